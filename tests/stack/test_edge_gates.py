"""nginx -t, gixy-ng and gixy-next over the configuration, each also shown to find a bad one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from nginx.machine import inspect
from nginx.render import EdgeValues, render
from nginx.values import UnsafeValueError
from tests.stack.edge import check, folder, prepare
from tests.tools import tool

GIXIES = ("gixy-ng", "gixy-next")


@contextmanager
def prepared(**changed: object) -> Iterator[EdgeValues]:
    """A rendered edge, as for a machine with enough descriptors: the gates know no excuse for a low limit."""
    with folder() as state:
        found = prepare(state, **changed)
        render(found, replace(inspect(), descriptors=65_536))
        yield found


@pytest.fixture
def values() -> Iterator[EdgeValues]:
    """The product's."""
    with prepared() as found:
        yield found


def gixy(name: str, edge: Path) -> tuple[int, str]:
    """A gixy's exit code and words; it follows includes relative to the main file."""
    command = [f"{tool(name)}/gixy", str(edge / "nginx.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=edge)
    return done.returncode, done.stdout + done.stderr


def append(values: EdgeValues, name: str, text: str) -> None:
    """Add directives to a rendered file."""
    path = values.state / "edge" / name
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def nginx_accepts(values: EdgeValues) -> str:
    """Empty when `nginx -t`, as the edge's own user, accepts without a warning; else what it says."""
    said = check(values)
    return said.stderr if said.returncode or "[warn]" in said.stderr else ""


def test_nginx_accepts_the_configuration(values: EdgeValues) -> None:
    """Accepted, and not a word of warning."""
    assert nginx_accepts(values) == ""


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("snippets/tls.conf", "no_such_directive on;\n", "unknown directive"),
        ("snippets/logging.conf", "access_log /nonexistent/log edge;\n", "/nonexistent/log"),
        ("snippets/upstream.conf", "upstream app { server 127.0.0.1:1; }\n", "duplicate upstream"),
        ("conf.d/20-redirect.conf", "server { server_name a; } server { server_name a; }\n", "conflicting server name"),
    ],
)
def test_nginx_refuses_a_bad_configuration(values: EdgeValues, name: str, text: str, complaint: str) -> None:
    """The same check fails for an error, and for what is only a warning."""
    append(values, name, text)
    assert complaint in nginx_accepts(values)


@pytest.mark.parametrize("name", GIXIES)
def test_gixy_finds_nothing(values: EdgeValues, name: str) -> None:
    """No finding of any severity."""
    code, said = gixy(name, values.state / "edge")
    assert code == 0, said
    assert "Problem:" not in said


@pytest.mark.parametrize("name", GIXIES)
@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("proxy_set_header Host $http_host;", "host_spoofing"),
        ("add_header X-One 1;", "add_header_redefinition"),
        ("return 302 https://localhost$uri;", "http_splitting"),
    ],
)
def test_gixy_finds_a_bad_location(values: EdgeValues, name: str, text: str, finding: str) -> None:
    """The same check fails when a location spoofs the Host, drops the headers, or splits an answer."""
    path = values.state / "edge" / "conf.d" / "30-chat.conf"
    chat = path.read_text(encoding="utf-8")
    assert "    location / {\n" in chat
    path.write_text(chat.replace("    location / {\n", f"    location / {{\n{text}\n"), encoding="utf-8")
    code, said = gixy(name, values.state / "edge")
    assert code != 0
    assert finding in said


@pytest.mark.parametrize(
    "bad",
    [
        {"hosts": ()},
        {"hosts": ("evil.example; return 200",)},
        {"hosts": ("UPPER.example",)},
        {"state": Path("relative")},
        {"state": Path("/tmp/a b;")},  # noqa: S108
        {"outer_proxies": ("everyone",)},
        {"outer_proxies": ("10.0.0.1/8",)},
        {"https_port": 0},
        {"https_port": 8080, "http_port": 8080},
        {"workers": 0},
        {"address_connections": 70_000},
        {"worker_shutdown_seconds": 34},
        {"listen4": "::1"},
    ],
)
def test_unsafe_value_stops_the_rendering(values: EdgeValues, bad: dict[str, object]) -> None:
    """What could become another directive, or a limit nginx does not have, is refused with a sentence."""
    with pytest.raises(UnsafeValueError, match=r"\.$"):
        replace(values, **bad)  # type: ignore[arg-type]


def test_rendering_twice_changes_nothing(values: EdgeValues) -> None:
    """A second rendering writes the same files, keeps the log, and drops what no template writes any more."""
    log = values.state / "logs" / "edge-access.log"
    log.write_text("kept\n", encoding="utf-8")
    stale = values.state / "edge" / "conf.d" / "99-old.conf"
    before = rendered(values)
    stale.write_text("return 200;", encoding="utf-8")
    render(values, replace(inspect(), descriptors=65_536))
    assert rendered(values) == before
    assert log.read_text(encoding="utf-8") == "kept\n"
    assert log.samefile(values.state / "edge" / "log" / "access")
    assert not [text for text in before.values() if "{{" in text]


def rendered(values: EdgeValues) -> dict[Path, str]:
    """All rendered files and their texts."""
    edge = values.state / "edge"
    return {path: path.read_text(encoding="utf-8") for path in sorted(edge.rglob("*.*")) if path.is_file()}


@pytest.mark.parametrize("python", ["/usr/bin/python3"])
def test_rendering_needs_no_package(python: str) -> None:
    """The distribution's own Python renders it, without a package and without writing beside the sources."""
    with folder() as state:
        code = (
            "from pathlib import Path; from nginx.render import EdgeValues, render; "
            f"print(render(EdgeValues(Path({str(state)!r}))))"
        )
        said = subprocess.run(
            [python, "-B", "-S", "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
        )
        assert said.stdout.startswith("[")
        assert (state / "edge" / "nginx.conf").exists()
