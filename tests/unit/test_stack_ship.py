"""stack/ship.py: what a controller sends to a host, and how a host says what it lacks."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import engine, images, ship
from stack.place import CLONE


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder that is gone before the secrets in documented examples are found in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _copy(target: Path) -> Path:
    for path in ship.sources(CLONE):
        copy = target / path.relative_to(CLONE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def test_a_release_is_named_by_its_content_alone(elsewhere: Path) -> None:
    """Another folder and other dates make the same archive; one changed byte makes another."""
    copy = _copy(elsewhere / "copy")
    first = ship.archive(copy)
    assert first == ship.archive(CLONE)
    (copy / "Makefile").write_text((copy / "Makefile").read_text() + "\n")
    assert ship.archive(copy) != first


def test_a_release_holds_what_its_images_are_named_after(elsewhere: Path) -> None:
    """A host gives each image the name that the controller gave it, from the release alone."""
    with tarfile.open(fileobj=io.BytesIO(ship.archive(CLONE))) as tar:
        tar.extractall(elsewhere)  # noqa: S202 - made above
    for target in images.PARTS:
        assert images.tag(elsewhere, target, "sha256:base") == images.tag(CLONE, target, "sha256:base"), target


def test_the_last_file_of_a_release_is_the_one_that_ansible_looks_for() -> None:
    """An archive that was unpacked halfway is unpacked again."""
    last = str(list(ship.sources(CLONE))[-1].relative_to(CLONE))
    assert f"/{last}\n" in (CLONE / "ansible/roles/chat/tasks/release.yml").read_text().replace('"', "")


def test_what_is_missing_is_what_is_not_there_with_the_same_content(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of the same name and another content counts as missing, and so does one that was never built."""
    here = {"a": "sha256:1", "b": "sha256:2"}
    monkeypatch.setattr(engine, "server_version", lambda: (20, 10))
    monkeypatch.setattr(engine, "image_id", lambda name: here.get(name, ""))
    assert ship.missing({"a": "sha256:1", "b": "sha256:9", "c": "sha256:3", "d": ""}) == ["b", "c", "d"]
