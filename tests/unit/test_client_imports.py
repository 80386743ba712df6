"""The client is a library of its own: it would work without the server's sources."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).resolve().parents[2] / "client").glob("*.py"))
SMALL = 330


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.stem))
def test_the_client_needs_websockets_and_the_standard_library(path: Path) -> None:
    """Nothing of the app, no other third party; and no module is long."""
    source = path.read_text()
    tree = ast.parse(source)
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    allowed = {"client", "websockets", *sys.stdlib_module_names}
    assert {name.partition(".")[0] for name in names} <= allowed
    assert source.count("\n") <= SMALL
