"""What a controller sends to a host, and how a host says what it lacks: `python3 -m stack.ship`, one line of JSON each.

The release is this tree as it lies here, without tests and documents, and is named by its content. The images are
built here, once, and are the same on every host: their names follow from that content (stack/images.py).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from stack import base_image, engine, folders, images
from stack.place import CLONE
from stack.problem import Problem

FILES = (
    "Makefile",
    "Dockerfile",
    "docker-compose.yml",
    "docker-compose.cluster.yml",
    ".env.example",
    ".dockerignore",
    "LICENSE",
)
FOLDERS = ("app", "certs", "containers", "monitoring", "nginx", "requirements", "stack")
"""What `make up` and the other commands of a host read."""
OURS = f"{images.REPOSITORY}/*"
PACK_SECONDS = 24 * 3600.0
"""How long a file with images is of use: another host may want the same ones."""


def sources(clone: Path) -> Iterator[Path]:
    """Every file of a release, always in the same order."""
    yield from (clone / name for name in FILES)
    for name in FOLDERS:
        yield from folders.sources(clone / name)


def archive(clone: Path) -> bytes:
    """The release as a tar file, the same for the same content, whoever makes it and when."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sources(clone):
            member = tarfile.TarInfo(str(path.relative_to(clone)))
            content = path.read_bytes()
            member.size, member.mode = len(content), 0o755 if path.stat().st_mode & 0o100 else 0o644
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def release(folder: Path, clone: Path = CLONE) -> dict[str, str]:
    """Write the release into `folder`; its name and where it is."""
    content = archive(clone)
    name = hashlib.sha256(content).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"release-{name}.tar.gz"
    if not path.exists():
        _whole(path, gzip.compress(content, mtime=0))
    return {"release": name, "archive": str(path)}


def _draft(path: Path) -> Path:
    """Its own for each run: two may pack the same at once."""
    return path.with_name(f"{path.name}.{os.getpid()}")


def _whole(path: Path, content: bytes) -> None:
    draft = _draft(path)
    draft.write_bytes(content)
    draft.replace(path)


def known(clone: Path = CLONE, *, cluster: bool = False) -> dict[str, str]:
    """Name and content address of every image of the release, of which none is built for it; those that are not here
    yet have an empty address. Raises Problem when the base image is not here either.
    """
    wanted = [base_image.NAME, *images.names(clone, cluster=cluster).values()]
    return {name: engine.image_id(name) for name in wanted}


def built(clone: Path = CLONE, *, cluster: bool = False) -> dict[str, str]:
    """The same, with every image there. Raises Problem with the builder's words."""
    with tempfile.TemporaryDirectory(prefix="portcullis-ship-") as folder:
        for target, name in images.names(clone, cluster=cluster).items():
            if not engine.has_image(name):
                print(f"building {target}", file=sys.stderr, flush=True)
                images.build(clone, target, name, "", Path(folder, "build.log"))
    return known(clone, cluster=cluster)


def pack(folder: Path, names: list[str]) -> dict[str, str]:
    """One compressed file with these images, made once. `docker load` reads it as it is."""
    content = "\0".join(f"{name}\0{engine.image_id(name)}" for name in sorted(names))
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("images-*"):
        if old.stat().st_mtime < time.time() - PACK_SECONDS:
            old.unlink()
    path = folder / f"images-{hashlib.sha256(content.encode()).hexdigest()[:16]}.tar.gz"
    if not path.exists():
        draft = _draft(path)
        words, environ = ["docker", "save", *names], engine.environ()
        with draft.open("wb") as out, subprocess.Popen(words, stdout=subprocess.PIPE, env=environ) as save:
            packed = subprocess.run(["gzip", "-1"], stdin=save.stdout, stdout=out, check=False)
        if save.returncode or packed.returncode:
            draft.unlink()
            raise Problem(f"The images could not be packed into {path}, for the reason above.")
        draft.replace(path)
    return {"archive": str(path)}


def missing(wanted: dict[str, str]) -> list[str]:
    """Which of these images this machine has not got, or has with another content. Raises Problem without an engine."""
    if not engine.server_version():
        raise Problem("No container engine answers.")
    return [name for name, address in wanted.items() if not address or engine.image_id(name) != address]


def tidy(clone: Path = CLONE) -> list[str]:
    """Delete this stack's images of other releases, but what a container still uses; their names."""
    kept = known(clone, cluster=True)
    listed = engine.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={OURS}").split()
    return [name for name in listed if name not in kept and engine.attempt("image", "rm", name).returncode == 0]


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(prog="python3 -m stack.ship", description=__doc__)
    parser.add_argument("what", choices=("release", "images", "known", "pack", "missing", "tidy"))
    parser.add_argument("--folder", type=Path, default=CLONE / "var" / "ship", help="where files are put")
    parser.add_argument("--cluster", action="store_true", help="with what only a cluster needs")
    parser.add_argument("images", nargs="*", help="for pack: the images' names")
    words = parser.parse_args()
    commands: dict[str, Callable[[], object]] = {
        "release": lambda: release(words.folder),
        "images": lambda: built(cluster=words.cluster),
        "known": lambda: known(cluster=words.cluster),
        "pack": lambda: pack(words.folder, words.images),
        "tidy": tidy,
        "missing": lambda: missing(json.load(sys.stdin)),
    }
    try:
        found = commands[words.what]()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
