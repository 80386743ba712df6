"""What must be true of the machine before `make up` changes anything. Each check answers with a sentence, or None."""

from __future__ import annotations

import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from stack import interpreter, listeners, packages, processes
from stack.place import Place, reachable

LEAST_DISK_BYTES = 1 << 30
LEAST_FILES = 4096
"""Two file descriptors a socket in nginx, one in the app: below this a burst of a thousand people fails."""
LONGEST_STATE = 70
"""A Unix socket's path has at most 107 bytes (unix(7)); the supervisor adds `/supervisor/control.sock.PID`."""
WRITTEN = 1_793_491_200
"""2026-11-01, when this check was written: no right clock shows less."""
ABSURD = 4_102_444_800
"""2100-01-01: certificates made under such a clock are refused by everyone else's."""
OLDEST = {"debian": 12.0, "ubuntu": 24.04}


def problems(place: Place) -> list[str]:
    """Everything that keeps the stack from starting here, as sentences that say what to do. Changes nothing."""
    return [sentence for sentence in _every(place) if sentence]


def _every(place: Place) -> Iterator[str | None]:
    yield system(os_release())
    yield python(interpreter.choose())
    for name, port in (("PORTCULLIS_HTTPS_PORT", place.https_port), ("PORTCULLIS_HTTP_PORT", place.http_port)):
        yield port_free(place, name, port) or port_allowed(name, port, first_open_port())
    yield disk(place.state, shutil.disk_usage(existing(place.state)).free)
    yield clock(time.time(), newest(place.clone))
    yield files(resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    yield state_path(place)
    yield installable(packages.missing())
    yield from secret_files(place)


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The distribution's own words about itself (os-release(5)); empty when there are none."""
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def system(release: Mapping[str, str]) -> str | None:
    """Debian 12 or later, or Ubuntu 24.04 or later; Debian's testing has no number and is newer than both."""
    family, number = release.get("ID", "an unknown system"), release.get("VERSION_ID", "")
    oldest = OLDEST.get(family)
    known = oldest is not None and (not number or float(number) >= oldest)
    name = release.get("PRETTY_NAME", family)
    return None if known else f"This is {name}. Portcullis runs on Debian 12 or later and Ubuntu 24.04 or later."


def python(chosen: Path | None) -> str | None:
    """An interpreter of at least 3.11 that the stack's users can run."""
    if chosen:
        return None
    return (
        "No Python 3.11 or later was found that an unprivileged user can run (an interpreter in a home folder does "
        "not count for root's stack). Install the distribution's: sudo apt-get install python3 python3-venv"
    )


def port_free(place: Place, name: str, port: int) -> str | None:
    """Nobody listens on `port`, or the stack at `place` does."""
    if not listeners.busy(port) or listeners.holders(port, [one.pid for one in processes.ours(place)]):
        return None
    who = ", ".join(title(pid) for pid in listeners.holders(port, processes.every()))
    return (
        f"Port {port} is taken{' by ' + who if who else ''}. Stop what listens there, "
        f"or choose another port: make up {name}={another(port)}"
    )


def another(port: int) -> int:
    """One to suggest instead."""
    return port + 1000 if port < 64000 else port - 1000


def title(pid: int) -> str:
    """A process in words."""
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    except OSError:
        return f"process {pid}"


def first_open_port(path: Path = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")) -> int:
    """The lowest port that an unprivileged process may listen on."""
    return int(path.read_text()) if path.exists() else 1024


def port_allowed(name: str, port: int, first: int) -> str | None:
    """The edge never runs as root, so its ports must be open to everyone."""
    if port >= first:
        return None
    return (
        f"{name}={port} is below {first}, and the edge never runs as root. Choose a higher port, "
        f"or open it to everyone: sudo sysctl -w net.ipv4.ip_unprivileged_port_start={port}"
    )


def existing(path: Path) -> Path:
    """`path`, or its nearest folder that is there."""
    return path if path.exists() else existing(path.parent)


def disk(state: Path, free_bytes: int) -> str | None:
    """At least 1 GiB for the environment, the store and the logs."""
    if free_bytes >= LEAST_DISK_BYTES:
        return None
    return (
        f"Only {free_bytes / (1 << 20):.0f} MiB are free for {state}, and the stack needs 1024. "
        "Free some space, or set PORTCULLIS_STATE to a folder on a larger disk."
    )


def newest(clone: Path) -> float:
    """When the clone was last changed: its last commit or its lock file, in Unix seconds."""
    lock = clone / "requirements" / "run.txt"
    times = [lock.stat().st_mtime if lock.exists() else 0.0]
    git = ["git", "-C", str(clone), "log", "-1", "--format=%ct"]
    if shutil.which("git") and (clone / ".git").exists():
        # git refuses another user's clone; the lock file's date is enough then.
        text = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
        times.append(float(text) if text.isdigit() else 0.0)
    return max(times)


def clock(now: float, changed: float) -> str | None:
    """A clock that could be right: tokens and certificates made under a wrong one are refused later."""
    shown = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    if now >= ABSURD or now < WRITTEN:
        return f"The clock says {shown}, which cannot be right. Set it: sudo timedatectl set-ntp true"
    if now < changed - 120:
        return (
            f"The clock says {shown}, which is earlier than this copy of Portcullis. "
            "Set it: sudo timedatectl set-ntp true"
        )
    return None


def files(hard: int) -> str | None:
    """The hard limit of open files, which every process of the stack inherits."""
    if hard == resource.RLIM_INFINITY or hard >= LEAST_FILES:
        return None
    return (
        f"A process may open only {hard} files here, and the edge needs {LEAST_FILES}. "
        f"Raise the hard limit (ulimit -Hn {LEAST_FILES} in a root shell, or /etc/security/limits.conf)."
    )


def state_path(place: Place) -> str | None:
    """A state folder that fits into a socket's address, and that root's service users can reach."""
    if len(str(place.state).encode()) > LONGEST_STATE:
        return (
            f"The path {place.state} is too long for Unix sockets (at most {LONGEST_STATE} bytes). "
            "Set PORTCULLIS_STATE to a shorter one."
        )
    if packages.prefix() == [] and not reachable(place.state):
        return (
            f"Root's stack runs as the user portcullis, who cannot enter {place.state}. "
            "Set PORTCULLIS_STATE to a folder everyone may enter, such as /var/lib/portcullis."
        )
    return None


def installable(names: list[str]) -> str | None:
    """Nothing is missing, or we may install it."""
    if not names or packages.prefix() is not None:
        return None
    return f"{', '.join(names)} must be installed, and this user may not do it. Run: {packages.by_hand(names)}"


def secret_files(place: Place) -> Iterator[str]:
    """A sentence for each key or secret that others can read. Those we cannot look at are the app's to check."""
    folders = [folder for folder in (place.secrets, place.tls) if folder.is_dir()]
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        secret = path.is_relative_to(place.secrets) or path.suffix == ".key"
        if secret and path.stat().st_mode & 0o077:
            yield f"The secret file {path} can be read by others. Run: chmod 600 {path}"
