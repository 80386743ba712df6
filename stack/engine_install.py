"""`make engine`: a container engine with its plugins, running, and the base image. Each part is left alone if there."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from stack import archive, base_image, engine, machine, packages, processes
from stack.consent import agreed
from stack.problem import Problem
from stack.steps import Steps

LOG = Path("/var/log/portcullis-dockerd.log")
START_SECONDS = 60.0
START = 'setsid sh -c "exec dockerd >>\\"$1\\" 2>&1" sh "$1" </dev/null &'
INSTALL = r"""
apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" 2>&1; }
apt update && apt install -y --no-install-recommends "$@"
"""


@dataclass
class Plan:
    """What is missing, in the words that the person agrees to."""

    packages: list[str] = field(default_factory=list)
    files: dict[Path, str] = field(default_factory=dict)
    start: bool = False
    base: bool = False

    def sentences(self) -> list[str]:
        """What would be done, one line each."""
        lines = [f"write {path}" for path in self.files]
        lines += [f"install with apt-get: {' '.join(self.packages)}"] if self.packages else []
        lines += [
            f"start the engine ({'systemd' if under_systemd() else f'dockerd, in the background; {LOG}'})"
        ] * self.start
        return lines + [f"get or make the base image {base_image.NAME}"] * self.base


def run() -> bool:
    """Do what is missing after a yes; returns False when the person said no."""
    steps = Steps()
    with steps.step("look at the machine"):
        plan = look()
    if not plan.sentences():
        print(f"Nothing to do: engine {shown(engine.server_version())}, compose {shown(engine.compose_version())}.")
        return True
    print("This will\n" + "\n".join(f"  - {line}" for line in plan.sentences()), flush=True)
    if packages.prefix() is None:
        raise Problem("Nothing was done: this needs root. Run it as root, or where sudo asks for no password.")
    if not agreed("engine", "Nothing was done"):
        print("Nothing was done.")
        return False
    act(plan, steps)
    print(f"Ready after {steps.seconds:.1f} s: engine {shown(engine.server_version())}, base {base_image.NAME}.")
    print("Try next: make up")
    return True


def look() -> Plan:
    """What this machine lacks."""
    answers = bool(engine.server_version())
    plan = Plan(start=not answers)
    if not answers and not packages.command("dockerd"):
        plan.packages += ["docker.io", "iptables"]
    if not shutil.which("docker") and archive.candidate("docker-cli"):
        plan.packages.append("docker-cli")
    if not (engine.compose_version() and engine.buildx_version()):
        plugins(plan)
    # BASE=0 where the images come from elsewhere.
    plan.base = os.environ.get("BASE") != "0" and (not answers or bool(base_image.lacking()))
    if plan.base and packages.command("mmdebstrap") is None:
        plan.packages.append("mmdebstrap")
        plan.packages += [] if archive.KEYRING.exists() else ["debian-archive-keyring"]
    return plan


def plugins(plan: Plan) -> None:
    """compose and buildx: from the machine's own suite where that has them, else from the next one, by name."""
    if archive.candidate("docker-compose-v2"):
        plan.packages += ["docker-compose-v2", "docker-buildx"]
        return
    if archive.candidate("docker-compose") >= engine.OLDEST_COMPOSE and archive.candidate("docker-buildx"):
        plan.packages += ["docker-compose", "docker-buildx"]
        return
    uri = archive.main_uri(machine.os_release().get("VERSION_CODENAME", ""))
    if uri is None:
        raise Problem("The plugins compose and buildx are in none of this machine's package sources: install them.")
    plan.files |= {path: text for path, text in archive.borrow(uri).items() if not _same(path, text)}
    plan.packages += [f"docker-compose/{archive.BORROWED}", f"docker-buildx/{archive.BORROWED}"]


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def act(plan: Plan, steps: Steps) -> None:
    """Do it, part by part."""
    before = packages.prefix() or []
    if plan.packages:
        with steps.step("install packages") as notes:
            for path, text in plan.files.items():
                _as_root([*before, "tee", str(path)], text)
            # The package must not start its service under systemd only to be told no by policy-rc.d elsewhere.
            _as_root([*before, "sh", "-c", INSTALL, "sh", *plan.packages], "")
            notes.append(" ".join(plan.packages))
    if plan.start:
        with steps.step("start the engine") as notes:
            start(before)
            notes.append(shown(engine.server_version()))
    if plan.base and base_image.lacking():
        with steps.step("get the base image") as notes:
            notes.append(get_base(before, steps.say))


def _as_root(words: list[str], given: str) -> None:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise Problem(f"{words[0]} failed:\n{last}")


def under_systemd() -> bool:
    """Whether systemd runs this machine (sd_booted(3))."""
    return Path("/run/systemd/system").is_dir()


def start(before: list[str]) -> None:
    """Start the engine and wait until it answers; raises Problem with its last words."""
    if under_systemd():
        _as_root([*before, "systemctl", "enable", "--now", "docker"], "")
    else:
        subprocess.run([*before, "sh", "-c", START, "sh", str(LOG)], check=True, cwd="/", env=_clean())
    if not processes.until(lambda: bool(engine.server_version()), START_SECONDS):
        last = "\n".join(LOG.read_text(errors="replace").splitlines()[-5:]) if LOG.exists() else ""
        raise Problem(f"The engine does not answer after {START_SECONDS:.0f} s.\n{last}")


def _clean() -> dict[str, str]:
    """No setting of the caller's may stay with an engine that outlives the command."""
    kept = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    return kept | {"PATH": packages.SEARCHED, "HOME": "/"}


def get_base(before: list[str], say: Callable[[str], None]) -> str:
    """The base image, checked; returns where it came from."""
    came = "pulled"
    if not base_image.pull():
        say(f"         no registry answers: making {base_image.NAME} from the distribution's archive")
        release = machine.os_release()
        mirror = archive.main_uri(release.get("VERSION_CODENAME", "")) if release.get("ID") == "debian" else None
        base_image.make(before, mirror)
        came = "made from the archive"
    if lacking := base_image.lacking():
        raise Problem(f"{base_image.NAME} does not list {', '.join(lacking)}, where fixes come from.")
    return came


def shown(version: tuple[int, ...]) -> str:
    """A version in words."""
    return ".".join(str(part) for part in version) or "none"
