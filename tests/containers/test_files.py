"""What the images are built from and made of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from stack import base_image, compose, engine, images, ship
from stack.problem import Problem
from tests.containers.contained import ContainedStack
from tests.stack.running import ROOT


def test_the_dockerfile_has_no_known_fault() -> None:
    """hadolint, which knows shellcheck's rules as well, finds nothing."""
    hadolint = ROOT / ".venv" / "bin" / "hadolint"
    done = subprocess.run([hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_compose_accepts_the_file(contained: ContainedStack) -> None:
    """Without a word of warning."""
    done = compose.attempt(contained.place, "config", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_sbom_names_every_package(contained: ContainedStack) -> None:
    """One valid CycloneDX document for each image; what is locked for the app stands in its one."""
    said = contained.make("sbom").stdout.splitlines()
    assert {Path(line).name for line in said} == {f"{target}.cdx.json" for target in images.PARTS}
    for line in said:
        text = Path(line).read_text()
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None, line
        names = {one["name"] for one in json.loads(text)["components"]}
        assert "libc6" in names
        if "app." in line:
            assert {"fastapi", "gunicorn", "uvicorn", "psycopg", "hiredis"} <= names


@pytest.mark.parametrize("target", images.PARTS)
def test_every_fix_that_is_out_is_in(contained: ContainedStack, target: str) -> None:
    """The images know the suites with fixes, and there is nothing in them that is not installed."""
    name = images.names(contained.clone)[target]
    assert base_image.lacking(name) == []
    assert base_image.upgradable(name) == []


def test_a_renewed_base_is_another_one_with_every_fix(contained: ContainedStack) -> None:
    """The same suites, nothing newer out, and another identity: whatever is made from it is made anew."""
    name = "portcullis.invalid/renewed:test"
    engine.run("tag", images.names(contained.clone)["valkey"], name)
    try:
        before = engine.image_id(name)
        base_image.renew(name)
        assert engine.image_id(name) != before
        assert base_image.lacking(name) == []
        assert base_image.upgradable(name) == []
    finally:
        engine.run("image", "rm", "--force", name)


def test_nothing_is_made_anew_where_no_fix_is_out(contained: ContainedStack) -> None:
    """`make fixes` looks into every image, and says so."""
    before = images.names(contained.clone)
    said = contained.make("fixes").stdout
    assert all(target in said for target in before)
    assert "nothing was changed" in said
    assert images.names(contained.clone) == before


def test_an_image_that_is_gone_is_not_packed(tmp_path: Path) -> None:
    """It says so, and leaves no half of a file."""
    with pytest.raises(Problem, match="could not be packed"):
        ship.pack(tmp_path, ["portcullis.invalid/gone:gone"])
    assert list(tmp_path.iterdir()) == []
