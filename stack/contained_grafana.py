"""Grafana beside Prometheus, for whoever names an image of it that the engine has: no image of it is made or pulled."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from stack import compose, contained_secrets, engine, knobs, place
from stack.place import Place

SERVICE: Final = compose.GRAFANA
IMAGE: Final = "PORTCULLIS_GRAFANA_IMAGE"
PORT: Final = "PORTCULLIS_GRAFANA_PORT"
NONE: Final = "portcullis.invalid/grafana:none"
"""Stands in docker-compose.yml where no image is named: no registry has it."""
QUALIFIED: Final = re.compile(
    r"(localhost|[\w-]+(\.[\w-]+)+)(:\d+)?(/[\w.-]+)+(:[\w.-]+(@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})", re.ASCII
)
"""A registry's host, a path, and a tag or a digest."""
SECRETS: Final = ("grafana_admin_password", "grafana_secret_key")
USER: Final = 10008
_FOLDER: Final = "monitoring/grafana"
_DASHBOARD: Final = "portcullis.json"
_FILES: Final = {
    "grafana.ini": "grafana.ini",
    _DASHBOARD: "dashboards/portcullis.json",
    "provisioning/dashboards/portcullis.yml": "provisioning/dashboards/portcullis.yml",
    "provisioning/datasources/portcullis.yml": "provisioning/datasources/portcullis.yml",
}
"""What is below monitoring/grafana, and where below /etc/grafana."""


def wanted(settings: Mapping[str, str]) -> bool:
    """Whether an image is named."""
    return bool(settings.get(IMAGE))


def problem(settings: Mapping[str, str]) -> str | None:
    """Why the named image cannot be used, as a sentence; None when it can, or when none is named."""
    name = settings.get(IMAGE, "")
    if name and not QUALIFIED.fullmatch(name):
        return f"{IMAGE} must name a registry, and a tag or digest (REGISTRY/grafana/grafana:TAG), and is {name!r}."
    if name and not engine.has_image(name):
        return f"The engine does not have {name}, which {IMAGE} names. Nothing is pulled by itself: docker pull {name}"
    return None


def port(settings: Mapping[str, str]) -> int:
    """Where it is on 127.0.0.1."""
    return place.port(settings, PORT, int(knobs.DEFAULTS[PORT]))


def for_compose(where: Place, settings: Mapping[str, str]) -> dict[str, str]:
    """What docker-compose.yml asks for. Without an image the profile is off, and the service with it."""
    return {
        "PORTCULLIS_IMAGE_GRAFANA": settings.get(IMAGE) or NONE,
        PORT: str(port(settings)),
        "PORTCULLIS_GRAFANA_MADE_FROM": _digest(where),
        "COMPOSE_PROFILES": SERVICE if wanted(settings) else "",
    }


def write(where: Place, settings: Mapping[str, str], app: str) -> None:
    """Lay out its configuration, which anybody may read, and make its secrets once, which only it can."""
    if not wanted(settings):
        return
    folder = compose.folder(where)
    for source, target in _FILES.items():
        path = folder / SERVICE / target
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        _replace(where.clone / _FOLDER / source, path)
    missing = [name for name in SECRETS if not (folder / "secrets" / name).exists()]
    for name in missing:
        contained_secrets.write(folder / "secrets" / name, secrets.token_urlsafe(32).encode())
    if missing:
        contained_secrets.own(where, app, {f"secrets/{name}": USER for name in missing})


def as_wanted(settings: Mapping[str, str], found: Mapping[str, compose.State]) -> bool:
    """Whether it is there where it should be, and not where it should not."""
    return wanted(settings) == (SERVICE in found)


def drop(settings: Mapping[str, str], found: Mapping[str, compose.State]) -> None:
    """Remove the container once nobody wants it: compose leaves a service alone whose profile is off."""
    if SERVICE in found and not wanted(settings):
        engine.run("rm", "--force", found[SERVICE].id)


def told(settings: Mapping[str, str]) -> list[str]:
    """Where it is and how to sign in; the password is shown by whoever may ask the engine."""
    if not wanted(settings):
        return []
    return [f"Grafana          http://127.0.0.1:{port(settings)}/ as admin; its password: docs/containers.md"]


def _digest(where: Place) -> str:
    """Another word whenever Grafana has to be started anew; dashboards it reads again by itself."""
    found = hashlib.sha256()
    for source in (name for name in _FILES if name != _DASHBOARD):
        found.update((where.clone / _FOLDER / source).read_bytes() + b"\0")
    return found.hexdigest()


def _replace(source: Path, target: Path) -> None:
    """The whole file or the former one, whenever Grafana looks."""
    draft = target.with_name(f".{target.name}.draft")
    shutil.copyfile(source, draft)
    draft.chmod(0o444)
    draft.replace(target)
