"""The image that the lab's hosts start from: a bare Debian 12 as an installer leaves it, with nothing of ours on it.

Debian 12, because the systemd of Debian 13 refuses the cgroup v1 hierarchy that some machines still have.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from stack import engine, packages
from stack.place import CLONE
from stack.problem import Problem

SUITE = "bookworm"
REPOSITORY = "portcullis-lab.invalid/host"
SECONDS = 900.0
INCLUDED = (
    "systemd,systemd-sysv,dbus,libpam-systemd,openssh-server,sudo,python3,python3-apt,iproute2,procps,ca-certificates"
)
"""What Debian's installer and its cloud images bring, and Ansible needs: no more."""
CGROUPS = """\
[Unit]
Description=Let an engine in this container make cgroups (cgroup v1 is mounted read-only in it)
DefaultDependencies=no
ConditionPathExists=!/sys/fs/cgroup/cgroup.controllers
Before=sysinit.target docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'for one in /sys/fs/cgroup/*/; do mount -o remount,bind,rw "$one" || true; done'

[Install]
WantedBy=sysinit.target
"""
KEYS = """\
[Unit]
Description=Give this host SSH keys of its own, as an installer does
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key

[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -A

[Install]
WantedBy=multi-user.target
"""
FINISH = """\
set -eu
cp "$(dirname "$0")"/lab-*.service "$1/etc/systemd/system/"
chroot "$1" systemctl -q enable lab-cgroups.service lab-keys.service ssh.service
chroot "$1" useradd --create-home --shell /bin/bash deploy
echo 'deploy ALL=(ALL) NOPASSWD: ALL' >"$1/etc/sudoers.d/deploy"
chmod 0440 "$1/etc/sudoers.d/deploy"
rm -f "$1"/etc/ssh/ssh_host_*
: >"$1/etc/machine-id"
"""


def name() -> str:
    """The image's full name; another recipe is another image."""
    recipe = "\0".join((SUITE, INCLUDED, CGROUPS, KEYS, FINISH))
    return f"{REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:16]}"


def make(say: Callable[[str], None]) -> str:
    """Make the image from the distribution's archive unless it is there; returns its name. Raises Problem.

    Of two labs that begin at once, one makes it and the other waits.
    """
    folder = CLONE / "var" / "lab"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not engine.has_image(name()):
            _make(say)
    return name()


def _make(say: Callable[[str], None]) -> None:
    if packages.command("mmdebstrap") is None:
        raise Problem("The hosts' image is made with mmdebstrap: sudo apt-get install mmdebstrap")
    say(f"making the hosts' image {name()}, once; about a minute")
    with tempfile.TemporaryDirectory(prefix="portcullis-lab-", dir="/var/tmp") as folder:
        hook, tree = Path(folder, "finish.sh"), Path(folder, "host.tar")
        hook.write_text(FINISH)
        Path(folder, "lab-cgroups.service").write_text(CGROUPS)
        Path(folder, "lab-keys.service").write_text(KEYS)
        words = ["mmdebstrap", "--variant=minbase", "--quiet", f"--include={INCLUDED}"]
        words += [f'--customize-hook=sh {hook} "$1"', SUITE, str(tree)]
        clean = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False, env=clean)
        if done.returncode:
            raise Problem("The hosts' image could not be made:\n" + "\n".join(done.stderr.strip().splitlines()[-8:]))
        engine.run("import", tree, name())
