"""What each image is made of, as CycloneDX 1.6 (ECMA-424): every Debian and every Python package with its version."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stack import compose, engine, images
from stack.place import Place
from stack.problem import Problem

LOOK = r"""
dpkg-query --show --showformat='deb ${Package} ${Version} ${Architecture}\n'
for one in /opt/portcullis/venv/lib/python3*/site-packages/*.dist-info; do
    [ ! -d "$one" ] || echo "pypi $(basename "$one" .dist-info | tr - ' ')"
done
"""


def write(place: Place) -> list[Path]:
    """One file for each image that `make up` has built, in the state folder. Raises Problem when one is missing."""
    folder = compose.folder(place) / "sbom"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = []
    for target, name in images.names(place.clone).items():
        image = engine.image_id(name)
        if not image:
            raise Problem(f"The image {target} is not built yet: make up")
        path = folder / f"{target}.cdx.json"
        path.write_text(json.dumps(document(target, name, image, listed(name)), indent=1) + "\n")
        found.append(path)
    return found


def listed(image: str) -> str:
    """The packages of an image, one a line: what it comes from, its name, its version, its architecture."""
    return engine.run("run", "--rm", "--network=none", "--entrypoint=sh", image, "-euc", LOOK)


def document(target: str, name: str, image: str, lines: str) -> dict[str, Any]:
    """The bill of materials of one image; the same image has the same serial number."""
    components = sorted(_components(lines), key=lambda one: str(one["bom-ref"]))
    version = name.rpartition(":")[2]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, image).urn,
        "version": 1,
        "metadata": {"component": {"type": "container", "name": f"portcullis {target}", "version": version}},
        "components": components,
    }


def _components(lines: str) -> Iterator[Mapping[str, object]]:
    for line in lines.splitlines():
        kind, name, version, *architecture = line.split()
        if kind == "deb":
            purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture[0]}"
        else:
            name = re.sub(r"[-_.]+", "-", name).lower()
            purl = f"pkg:pypi/{name}@{quote(version)}"
        yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
