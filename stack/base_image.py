"""The image that all of ours are made from: pulled where a registry answers, made from the archive where none does."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from stack import engine
from stack.archive import BORROWED
from stack.problem import Problem

NAME = f"debian:{BORROWED}-slim"
SUITES = (BORROWED, f"{BORROWED}-updates", f"{BORROWED}-security")
PULL_SECONDS = 180.0
MAKE_SECONDS = 600.0
LIST = "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null"
NEWER = "apt-get -qq update && apt list --upgradable 2>/dev/null"
UPGRADE = """
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y -o Dpkg::Use-Pty=0 dist-upgrade
find /var/cache/apt /var/log -type f -delete
"""
COMPLETE = r"""
set -eu
uri=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' "$1/etc/apt/sources.list" | head -n 1)
uri=${uri%/}
{
    echo "deb $uri SUITE main"
    echo "deb $uri SUITE-updates main"
    echo "deb ${uri%/debian}/debian-security SUITE-security main"
} >"$1/etc/apt/sources.list"
rm -f "$1"/etc/apt/sources.list.d/*
chroot "$1" apt-get -qq update
DEBIAN_FRONTEND=noninteractive chroot "$1" apt-get -qq -y dist-upgrade
"""
"""Adds the suites that carry fixes, beside the main one, to a tree whose only source is the main suite."""
SLIM = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*")


def lacking(name: str = NAME) -> list[str]:
    """Which of the suites the image does not list; all of them when there is no such image."""
    done = engine.attempt("run", "--rm", "--network=none", "--entrypoint=sh", name, "-c", LIST)
    return [suite for suite in SUITES if suite not in words(done.stdout)]


def words(sources: str) -> set[str]:
    """Every word of a list of sources that is no comment."""
    lines = (line for line in sources.splitlines() if not line.lstrip().startswith("#"))
    return {word for line in lines for word in line.split()}


def upgradable(name: str) -> list[str]:
    """The packages in an image for which something newer is out. Raises Problem when the archive cannot be asked."""
    words = ("run", "--rm", "--user=0", "--network=host", "--tmpfs=/tmp", "--entrypoint=sh", name, "-euc", NEWER)
    return [line.partition("/")[0] for line in engine.run(*words).splitlines() if "upgradable" in line]


def renew(name: str = NAME) -> None:
    """Give the image every fix that is out, as one layer. It is another one afterwards, and so are all made from it."""
    container = engine.run("run", "--detach", "--user=0", "--network=host", "--entrypoint=sh", name, "-euc", UPGRADE)
    try:
        if engine.run("wait", container) != "0":
            raise Problem("\n".join(engine.run("logs", container).splitlines()[-8:]))
        with tempfile.TemporaryDirectory(prefix="portcullis-base-", dir="/var/tmp") as folder:
            tree = Path(folder, "base.tar")
            engine.run("export", "--output", tree, container)
            engine.run("import", tree, name)
    finally:
        engine.run("rm", "--force", container)


def pull() -> bool:
    """Whether the registry had it, within bounded time."""
    try:
        return engine.attempt("pull", "--quiet", NAME, seconds=PULL_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def make(before: list[str], mirror: str | None) -> None:
    """Make it from the archive, signatures checked, with every fix that is out. `before` makes us root.

    Without `mirror` (the archive as this machine knows it) mmdebstrap picks the archive. Raises Problem.
    """
    with tempfile.TemporaryDirectory(prefix="portcullis-base-", dir="/var/tmp") as folder:
        hook, tree = Path(folder, "complete.sh"), Path(folder, "base.tar")
        hook.write_text(COMPLETE.replace("SUITE", BORROWED))
        command = [*before, "mmdebstrap", "--variant=minbase", "--quiet", "--include=ca-certificates"]
        command += [f"--dpkgopt=path-exclude={path}" for path in SLIM]
        command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", '--aptopt=APT::Install-Recommends "false"']
        command += [f'--customize-hook=sh {hook} "$1"', BORROWED, str(tree), *([mirror] if mirror else [])]
        done = subprocess.run(command, env=environ(), capture_output=True, text=True, timeout=MAKE_SECONDS, check=False)
        if done.returncode:
            last = "\n".join(done.stderr.strip().splitlines()[-8:])
            raise Problem(f"The base image could not be made from the distribution's archive:\n{last}")
        engine.run("import", tree, NAME)


def environ() -> dict[str, str]:
    """mmdebstrap's environment: packages' dates are theirs, and the tree's own are the same in every run of a day."""
    kept = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME") or key.endswith("_proxy")}
    return kept | {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:" + kept.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"}
