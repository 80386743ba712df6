"""A lab: a network of its own, its hosts, an inventory for them, and the end of it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from lab import host_image
from lab.host import LABEL, OPERATOR, Host
from stack import engine
from stack.place import CLONE
from stack.problem import Problem

NETWORKS = tuple(IPv4Network(f"10.213.{third}.0/24") for third in range(1, 250))
"""Where a lab looks for a network that nobody has; hosts are numbered from .11, .1 is this machine."""
FIRST = 11
PLAY_SECONDS = 1800.0
EXAMPLES = CLONE / "ansible" / "inventories"
INVENTORY = """\
# Written by the lab; thrown away with it.
portcullis:
  hosts:
{hosts}
  vars:
    ansible_user: {user}
    ansible_ssh_private_key_file: "{folder}/id_ed25519"
    ansible_ssh_common_args: "-F none -o UserKnownHostsFile={folder}/known_hosts -o StrictHostKeyChecking=yes"
"""


@dataclass(frozen=True)
class Played:
    """What became of a playbook."""

    said: str
    code: int

    def changed(self) -> int:
        """How many tasks changed something, over all hosts, as the recap says. Raises Problem without a recap."""
        found = re.findall(r"\bchanged=(\d+)", self.said)
        if not found:
            raise Problem(f"The playbook did not come to its end:\n{self.said[-2000:]}")
        return sum(int(number) for number in found)


@contextmanager
def ended_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """A process that is ended when it takes longer."""
    timer = threading.Timer(seconds, process.terminate)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@dataclass
class Lab:
    """Made by `running`. Its folder holds an SSH key, the inventory and what the playbooks said."""

    name: str
    folder: Path
    say: Callable[[str], None]
    example: str = ""
    """Which of the example inventories says what the hosts are for; none for one host."""
    hosts: list[Host] = field(default_factory=list)
    echo: Callable[[str], object] = field(default=len)
    """Is given each line that a playbook says; by default nobody."""

    @property
    def network(self) -> str:
        """The network that joins the hosts and this machine."""
        return self.name

    @property
    def inventory(self) -> Path:
        """Where the hosts are; a link beside it leads to the lab's group_vars."""
        return self.folder / "hosts.yml"

    def inventories(self) -> list[str | Path]:
        """What ansible-playbook is given: the later of two wins."""
        examples = [EXAMPLES / self.example / "hosts.yml"] if self.example else []
        return [word for one in (*examples, self.inventory) for word in ("--inventory", one)]

    def start(self, names: tuple[str, ...]) -> None:
        """Network, hosts, inventory. Raises Problem."""
        image = host_image.make(self.say)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / "id_ed25519"], check=True)
        subnet = self._network()
        for number, name in enumerate(names, FIRST):
            host = Host(self.name, name, str(subnet[number]), self.folder)
            self.say(f"starting {name} at {host.address}")
            host.start(image, self.network)
            self.hosts.append(host)
        lines = "\n".join(f"    {one.name}:\n      ansible_host: {one.address}" for one in self.hosts)
        self.inventory.write_text(INVENTORY.format(hosts=lines, user=OPERATOR, folder=self.folder))
        (self.folder / "group_vars").symlink_to(CLONE / "ansible" / "inventories" / "lab" / "group_vars")

    def __getitem__(self, name: str) -> Host:
        """One of the hosts, by its name."""
        return next(host for host in self.hosts if host.name == name)

    def _network(self) -> IPv4Network:
        for subnet in NETWORKS:
            words = ("network", "create", "--label", f"{LABEL}={self.name}", f"--subnet={subnet}", self.network)
            if engine.attempt(*words).returncode == 0:
                return subnet
        raise Problem("Every network that a lab may have is taken.")

    def playbook(self, name: str, *more: str, seconds: float = PLAY_SECONDS) -> Played:
        """Run a playbook against the lab over SSH. Its words are in the folder line by line, and shown by `echo`."""
        command = CLONE / "var" / "dev" / "ansible" / "bin" / "ansible-playbook"
        clean = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "DOCKER_HOST") if key in os.environ}
        running = subprocess.Popen(
            [command, *self.inventories(), f"{name}.yml", *more],
            cwd=CLONE / "ansible",
            env=clean | {"ANSIBLE_NOCOLOR": "1", "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = []
        with running, (self.folder / "playbooks.log").open("a", buffering=1) as log, ended_after(running, seconds):
            for line in running.stdout or ():
                lines.append(line)
                log.write(line)
                self.echo(line)
        return Played("".join(lines), running.returncode)

    def remove(self) -> None:
        """Everything that carries the lab's name, whatever state it is in."""
        remove(self.name)
        shutil.rmtree(self.folder, ignore_errors=True)


def remove(name: str) -> None:
    """Containers, volumes and networks that are labelled as the lab's, and nothing else."""
    mine = ("--quiet", "--filter", f"label={LABEL}={name}")
    for kind, delete in (
        ("ps --all", "rm --force --volumes"),
        ("volume ls", "volume rm"),
        ("network ls", "network rm"),
    ):
        found = engine.run(*kind.split(), *mine).split()
        if found:
            engine.run(*delete.split(), *found)


@contextmanager
def running(
    name: str, hosts: tuple[str, ...], say: Callable[[str], None], keep: bool = False, example: str = ""
) -> Iterator[Lab]:
    """A lab with these hosts, bare, as long as the block lasts, or longer with `keep`. One left over is removed."""
    folder = CLONE / "var" / "lab" / name
    remove(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    lab = Lab(name, folder, say, example)
    try:
        lab.start(hosts)
        yield lab
    finally:
        if not keep:
            lab.remove()
