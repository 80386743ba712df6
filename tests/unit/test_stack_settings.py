"""Where a stack lives and what it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import contained_settings, place, settings_file
from stack.place import Place
from stack.problem import Problem


def test_defaults(tmp_path: Path) -> None:
    """var/ in the clone, ports 8443 and 8080, the code where it is."""
    found = place.choose({}, tmp_path, root=False)
    assert (found.state, found.https_port, found.http_port) == (tmp_path / "var", 8443, 8080)
    assert found.code == tmp_path
    assert found.url == "https://localhost:8443/"


def test_a_closed_clone_is_copied_for_root(tmp_path: Path) -> None:
    """Root's stack moves to /var/lib when its users cannot enter the clone; an ordinary user's does not."""
    tmp_path.chmod(0o700)
    assert place.choose({}, tmp_path, root=True).code == place.SHARED_STATE / "code"
    assert place.choose({}, tmp_path, root=False).code == tmp_path


@pytest.mark.parametrize("value", ["0", "65536", "eight", "-1", "8443x", "٨"])
def test_bad_ports(tmp_path: Path, value: str) -> None:
    """A port that is none is refused by its setting's name."""
    with pytest.raises(Problem, match="PORTCULLIS_HTTPS_PORT"):
        place.choose({"PORTCULLIS_HTTPS_PORT": value}, tmp_path)


def test_equal_ports_and_relative_state(tmp_path: Path) -> None:
    """Both would fail later with a worse sentence."""
    with pytest.raises(Problem, match="different ports"):
        place.choose({"PORTCULLIS_HTTPS_PORT": "9000", "PORTCULLIS_HTTP_PORT": "9000"}, tmp_path)
    with pytest.raises(Problem, match="absolute path"):
        place.choose({"PORTCULLIS_STATE": "var"}, tmp_path)


def test_settings_file() -> None:
    """Comments, blanks, spaces, `export` and one pair of quotes are understood."""
    text = "# c\n\nexport PORTCULLIS_HOSTS = \"a,b\"\nWORKERS=1\nDATABASE_URL='sqlite:////x'\n"
    assert settings_file.parse(text, "f") == {
        "PORTCULLIS_HOSTS": "a,b",
        "WORKERS": "1",
        "DATABASE_URL": "sqlite:////x",
    }


@pytest.mark.parametrize("line", ["PORTCULLIS_HOSTS", "PATH=/x", "=1", "LD_PRELOAD=x"])
def test_bad_lines(line: str) -> None:
    """A line that is no setting stops everything, with its number."""
    with pytest.raises(Problem, match="f, line 2"):
        settings_file.parse(f"# first\n{line}\n", "f")


def test_only_prefixed_variables_come_from_the_environment(tmp_path: Path) -> None:
    """Another project's DATABASE_URL in the shell is not ours; a PORTCULLIS_ variable beats the file."""
    file = tmp_path / "settings.env"
    file.write_text("PORTCULLIS_HOSTS=a\n")
    found = settings_file.read(file, {"PORTCULLIS_HOSTS": "b", "DATABASE_URL": "postgresql://x", "HOME": "/"})
    assert found == {"PORTCULLIS_HOSTS": "b"}


def test_what_the_app_is_told(tmp_path: Path) -> None:
    """Origins follow hosts and port unless they are set; what only the stack reads is kept back."""
    where = Place(tmp_path, tmp_path, 9443, 9080)
    told = settings_file.for_app(where, {"PORTCULLIS_HOSTS": "localhost,[::1]", "PORTCULLIS_HTTPS_PORT": "9443"})
    assert told["PORTCULLIS_ORIGINS"] == "https://localhost:9443,https://[::1]:9443"
    assert "PORTCULLIS_HTTPS_PORT" not in told
    mine = settings_file.for_app(where, {"PORTCULLIS_ORIGINS": "https://chat.example.org"})
    assert mine["PORTCULLIS_ORIGINS"] == "https://chat.example.org"


def test_the_file_of_the_containers_names_their_prometheus(tmp_path: Path) -> None:
    """Whether or not this machine has one; another one is refused."""
    where, name = Place(tmp_path, tmp_path), "PORTCULLIS_PROMETHEUS_URL"
    assert name not in contained_settings.for_app(where, {})
    with pytest.raises(Problem, match=f"{name}: in containers docker-compose.yml decides"):
        contained_settings.for_app(where, {name: "http://127.0.0.1:9090"})
