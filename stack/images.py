"""The images of the stack: which there are, what each is made from, and building those that are not there yet."""

from __future__ import annotations

import hashlib
from pathlib import Path

from stack import base_image, engine, folders
from stack.problem import Problem

REPOSITORY = "portcullis.invalid"
"""A name that no registry can own (RFC 6761 §6.4): nobody else's image is ever started in place of ours."""
BUILD_SECONDS = 1800.0
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
SHARED = ("Dockerfile", "containers/install.sh", "containers/paced.sh", "containers/user.sh")
WATCHED = ("monitoring/__init__.py", "monitoring/catalogue.py", "monitoring/panel.py")
"""What there is to see, which is all that the app takes of monitoring."""
PARTS: dict[str, tuple[str, ...]] = {
    "app": ("requirements/run.txt", "app", "certs", "stack", "nginx", *WATCHED),
    "edge": ("containers/edge",),
    "counter": ("stack", "nginx"),
    "valkey": ("containers/valkey",),
    "postgres": ("containers/postgres",),
    "prometheus": ("containers/answers.sh", "monitoring/prometheus.yml", "monitoring/cluster.yml", "monitoring/rules"),
    "alertmanager": ("containers/answers.sh",),
    "exporters": ("containers/answers.sh",),
}


CLUSTER_PARTS: dict[str, tuple[str, ...]] = {"relay": ("containers/relay",)}
"""What only a cluster needs."""


def tag(clone: Path, target: str, base: str) -> str:
    """The same for the same content on the same base image, on every machine."""
    found = hashlib.sha256(base.encode())
    for part in (*SHARED, *(PARTS | CLUSTER_PARTS)[target]):
        path = clone / part
        for one in [path] if path.is_file() else folders.sources(path):
            found.update(f"{one.relative_to(clone)}\0{one.stat().st_size}\0".encode() + one.read_bytes())
    return found.hexdigest()[:16]


def names(clone: Path, *, cluster: bool = False) -> dict[str, str]:
    """The full name of each target's image, on one host or in a cluster.

    Raises Problem when there is no base image and no registry answers.
    """
    base = engine.image_id(base_image.NAME)
    if not base and base_image.pull():
        base = engine.image_id(base_image.NAME)
    if not base:
        raise Problem(f"{base_image.NAME} is not here and no registry answers. Make it from the archive: make engine")
    return {
        target: f"{REPOSITORY}/{target}:{tag(clone, target, base)}"
        for target in (PARTS | CLUSTER_PARTS if cluster else PARTS)
    }


def build(clone: Path, target: str, name: str, bundle: str, log: Path) -> None:
    """Build one image, its words in `log`; raises Problem with the last of them.

    `bundle` is a CA bundle for whoever sits behind a proxy that opens TLS: in one step of the build and no layer.
    """
    path = Path(bundle) if bundle else BUNDLE
    secret = ["--secret", f"id=ca,src={path}"] if path.is_file() else []
    version = name.rpartition(":")[2]
    labels = [
        "--label",
        f"org.opencontainers.image.version={version}",
        "--label",
        f"org.opencontainers.image.ref.name={name}",
    ]
    # The host's network: its own way to the archive, and no new interface for whoever watches those.
    words = [
        "build",
        "--network=host",
        "--progress=plain",
        *secret,
        *labels,
        f"--build-arg=BASE_IMAGE={base_image.NAME}",
    ]
    done = engine.attempt(*words, f"--target={target}", f"--tag={name}", clone, seconds=BUILD_SECONDS)
    log.write_text(done.stdout + done.stderr)
    if done.returncode:
        last = "\n".join("  " + line for line in (done.stdout + done.stderr).strip().splitlines()[-12:])
        raise Problem(f"The image {target} could not be built ({log} has everything):\n{last}")
