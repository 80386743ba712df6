"""stack/images.py: an image is named after everything that it is made from, so that a change makes another one."""

from __future__ import annotations

import re

import pytest

from stack import images
from stack.place import CLONE

STAGES = {
    found[1]: found[2]
    for found in re.finditer(r"^FROM \S+ AS (\S+)$(.*?)(?=^FROM |\Z)", (CLONE / "Dockerfile").read_text(), re.M | re.S)
}


def _copied(stage: str) -> set[str]:
    """What the stage takes from the clone, directly or by way of others of which it copies."""
    found: set[str] = set()
    for options, words in re.findall(r"^COPY ((?:--\S+ )*)(.+)$", STAGES[stage], re.M):
        if other := re.search(r"--from=(\S+)", options):
            folder = words.split()[0].removeprefix("/opt/portcullis/")
            found |= {one for one in _copied(other[1]) if one.rstrip("/").partition("/")[0] == folder}
        else:
            found |= {one.rstrip("/") for one in words.split()[:-1]}
    return found


@pytest.mark.parametrize("target", images.PARTS | images.CLUSTER_PARTS)
def test_an_image_is_named_after_what_its_stage_copies(target: str) -> None:
    """A file that is missing here would not be in the image of an upgraded stack."""
    parts = (*images.SHARED, *(images.PARTS | images.CLUSTER_PARTS)[target])
    copied = _copied(target)
    assert copied
    assert not {one for one in copied if not any(one == part or one.startswith(f"{part}/") for part in parts)}
