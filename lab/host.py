"""One host of the lab: started, reached over SSH, asked and thrown away."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack import engine, processes
from stack.problem import Problem

LABEL = "portcullis.lab"
"""Every container, volume and network of a lab carries it, with the lab's name: by it they are found and removed."""
BOOT_SECONDS = 60.0
OPERATOR = "deploy"
FLAGS = (
    # Without CAP_SYS_RESOURCE, which some machines cannot give (there --privileged fails); else as close to a machine
    # as a container comes.
    *("--detach", "--tty", "--cap-add=ALL", "--cap-drop=SYS_RESOURCE", "--cgroupns=private", "--memory=6g"),
    *("--security-opt=seccomp=unconfined", "--security-opt=systempaths=unconfined"),
    *("--security-opt=apparmor=unconfined", "--env=container=docker", "--stop-signal=SIGRTMIN+3"),
    *("--tmpfs=/run", "--tmpfs=/run/lock", "--tmpfs=/tmp"),
)
CUT = "lab_cut"
"""The host's table of packets that get lost."""
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"


@dataclass(frozen=True)
class Host:
    """A container that plays a machine. `lab` names the lab that it belongs to."""

    lab: str
    name: str
    address: str
    folder: Path
    """Where the lab keeps its SSH key and what it knows of its hosts."""

    @property
    def container(self) -> str:
        """The container's name."""
        return f"{self.lab}-{self.name}"

    @property
    def known_hosts(self) -> Path:
        """The host's key, as read from its disk: nothing is trusted on first use."""
        return self.folder / "known_hosts"

    @property
    def key(self) -> Path:
        """The operator's private key."""
        return self.folder / "id_ed25519"

    def ssh_options(self) -> list[str]:
        """Options for a connection that shares nothing with an earlier one."""
        options = ("BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=5", "ControlPath=none")
        files = (f"UserKnownHostsFile={self.known_hosts}", f"IdentityFile={self.key}", "IdentitiesOnly=yes")
        return [word for option in (*options, *files) for word in ("-o", option)]

    def ssh(self, *words: str, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command on the host as the operator, over a fresh connection."""
        command = ["ssh", "-F", "none", *self.ssh_options(), f"{OPERATOR}@{self.address}", *words]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False
        )

    def shell(self, command: str, seconds: float = 180.0) -> str:
        """What a shell command prints as root over a fresh login. Raises Problem when it fails."""
        done = self.ssh("sudo", "sh", "-c", f"'{command}'", seconds=seconds)
        if done.returncode:
            raise Problem(f"{command}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def inside(self, *words: str) -> str:
        """Run a command in the container as root, past SSH: for the lab itself, never for what is tested."""
        return engine.run("exec", self.container, *words)

    def start(self, image: str, network: str) -> None:
        """Start it and wait until it takes the operator's key. Raises Problem with what the boot said."""
        label = f"{LABEL}={self.lab}"
        volume = f"{self.container}-docker"
        engine.run("volume", "create", "--label", label, volume)
        place = (f"--network={network}", f"--ip={self.address}", f"--volume={volume}:/var/lib/docker")
        words = ["run", *FLAGS, "--label", label, f"--name={self.container}", f"--hostname={self.name}", *place]
        engine.run(*words, image, "/sbin/init")
        self._booted()
        self._let_in()

    def cut(self, *others: Host) -> None:
        """Let every packet between it and the others get lost, or all of its packets; it notices nothing else."""
        lost = {
            "input": [f"ip saddr {one.address}" for one in others] or ["iifname != lo"],
            "output": [f"ip daddr {one.address}" for one in others] or ["oifname != lo"],
        }
        words = [f"add table inet {CUT}"]
        for hook, packets in lost.items():
            words.append(f"add chain inet {CUT} {hook} {{ type filter hook {hook} priority -400; }}")
            words += [f"add rule inet {CUT} {hook} {one} drop" for one in packets]
        self.inside("/usr/sbin/nft", "; ".join(words))

    def mend(self) -> None:
        """Carry packets again."""
        self.inside("/usr/sbin/nft", f"delete table inet {CUT}")

    def power_off(self) -> None:
        """As a lost host goes: without a word to anybody, so that whoever waits for its packets goes on waiting."""
        self.cut()
        engine.run("kill", "--signal=KILL", self.container)

    def power_on(self) -> None:
        """Boot it with what is on its disk. Raises Problem."""
        engine.run("start", self.container)
        self._booted()

    def reboot(self) -> None:
        """As an operator would, and wait until it is there again. Raises Problem."""
        engine.run("stop", "--time=120", self.container)
        self.power_on()

    def _booted(self) -> None:
        asked = ("exec", self.container, "systemctl", "is-system-running")
        if not processes.until(lambda: engine.attempt(*asked).stdout.strip() == "running", BOOT_SECONDS):
            failed = engine.attempt("exec", self.container, "systemctl", "--failed", "--no-legend").stdout
            raise Problem(f"{self.name} did not boot within {BOOT_SECONDS:.0f} s:\n{failed}")

    def _let_in(self) -> None:
        home = f"/home/{OPERATOR}/.ssh"
        self.inside("install", "-d", "-m", "0700", "-o", OPERATOR, "-g", OPERATOR, home)
        public = self.key.with_suffix(".pub").read_text()
        keep = 'umask 077; cat >"$1/authorized_keys"; chown "$2:" "$1/authorized_keys"'
        words = ("exec", "--interactive", self.container, "sh", "-c", keep, "sh", home, OPERATOR)
        engine.run(*words, given=public)
        kind, value = self.inside("cat", HOST_KEY).split()[:2]
        with self.known_hosts.open("a") as known:
            known.write(f"{self.address} {kind} {value}\n")
        if not processes.until(lambda: self.ssh("true").returncode == 0, BOOT_SECONDS):
            raise Problem(f"{self.name} does not take the operator's key: {self.ssh('true').stderr.strip()}")
