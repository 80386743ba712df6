"""The checks of `make up`, each as a question about facts."""

from __future__ import annotations

import resource
import socket
from pathlib import Path

import pytest

from stack import machine
from stack.place import Place


@pytest.mark.parametrize(
    ("family", "number", "fine"),
    [
        ("debian", "12", True),
        ("debian", "13", True),
        ("debian", "", True),
        ("debian", "11", False),
        ("ubuntu", "24.04", True),
        ("ubuntu", "22.04", False),
        ("fedora", "41", False),
    ],
)
def test_systems(family: str, number: str, fine: bool) -> None:
    """Debian from 12 (testing has no number) and Ubuntu from 24.04; others get a sentence with their name."""
    said = machine.system({"ID": family, "VERSION_ID": number, "PRETTY_NAME": f"{family} {number}"})
    assert (said is None) == fine
    assert fine or family in str(said)


def test_os_release_is_read(tmp_path: Path) -> None:
    """Quotes are taken off, and a missing file is an unknown system."""
    file = tmp_path / "os-release"
    file.write_text('ID=debian\nVERSION_ID="12"\n\n')
    assert machine.os_release(file) == {"ID": "debian", "VERSION_ID": "12"}
    assert machine.system(machine.os_release(tmp_path / "none")) is not None


def test_disk() -> None:
    """1 GiB is enough, a byte less is not."""
    assert machine.disk(Path("/x"), machine.LEAST_DISK_BYTES) is None
    assert "PORTCULLIS_STATE" in str(machine.disk(Path("/x"), machine.LEAST_DISK_BYTES - 1))


def test_clock() -> None:
    """Before this check was written, after 2100, or before the clone: each cannot be."""
    now = machine.WRITTEN + 1000.0
    assert machine.clock(now, now - 1) is None
    assert "earlier than this copy" in str(machine.clock(now, now + 3600))
    assert "cannot be right" in str(machine.clock(0.0, 0.0))
    assert "cannot be right" in str(machine.clock(machine.ABSURD + 1.0, 0.0))


def test_files() -> None:
    """4096 open files, or no limit."""
    assert machine.files(machine.LEAST_FILES) is None
    assert machine.files(resource.RLIM_INFINITY) is None
    assert "only 1024 files" in str(machine.files(1024))


def test_privileged_ports() -> None:
    """A port below the kernel's threshold is refused with both ways out."""
    assert machine.port_allowed("PORTCULLIS_HTTPS_PORT", 443, 443) is None
    assert "sysctl" in str(machine.port_allowed("PORTCULLIS_HTTPS_PORT", 443, 1024))


def test_long_paths(tmp_path: Path) -> None:
    """A state folder must leave room for the names of its sockets."""
    assert "too long" in str(machine.state_path(Place(tmp_path, Path("/" + "x" * 80))))


def test_a_port_in_use(tmp_path: Path) -> None:
    """A stranger's listener is found, and gone when it is gone."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"Port {port} is taken by" in str(machine.port_free(Place(tmp_path, tmp_path), "NAME", port))
    assert machine.port_free(Place(tmp_path, tmp_path), "NAME", port) is None


def test_open_secrets_are_named(tmp_path: Path) -> None:
    """Every secret file that others can read is named, and nothing else."""
    place = Place(tmp_path, tmp_path)
    for path, mode in ((place.secrets / "a", 0o600), (place.secrets / "b", 0o640), (place.tls / "ca.pem", 0o644)):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.chmod(mode)
    said = list(machine.secret_files(place))
    assert len(said) == 1
    assert f"chmod 600 {place.secrets / 'b'}" in said[0]
