"""The local authority and the server certificate."""

from __future__ import annotations

import datetime
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509

from certs.authority import CertificateError, ensure

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
NAMES = ("ca.key", "ca.pem", "server.key", "server.pem")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in NAMES}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def verify(folder: Path, leaf: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """OpenSSL's own verdict, by the strict reading of RFC 5280."""
    moment = str(int((NOW + datetime.timedelta(days=1)).timestamp()))
    command = ["openssl", "verify", "-x509_strict", "-attime", moment, "-CAfile", str(folder / "ca.pem"), *options]
    return subprocess.run([*command, str(leaf)], capture_output=True, text=True, check=False)


def test_files_and_their_modes(tmp_path: Path) -> None:
    """Four files; the keys readable by their owner alone, also after someone loosened them."""
    ensure(tmp_path, ("localhost",), now=NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    for key in ("ca.key", "server.key"):
        (tmp_path / key).chmod(0o644)
    ensure(tmp_path, ("localhost",), now=NOW)
    for key in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / key).stat().st_mode) == 0o600


def test_server_certificate_is_short_lived_and_verifies(tmp_path: Path) -> None:
    """At most 366 days, ECDSA P-256, for the hosts and loopback; OpenSSL accepts the chain for each."""
    ensure(tmp_path, ("chat.example", "192.0.2.7"), now=NOW)
    leaf = certificate(tmp_path / "server.pem")
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= datetime.timedelta(days=366)
    for option, name in (("-verify_hostname", "chat.example"), ("-verify_hostname", "localhost"),
                         ("-verify_ip", "192.0.2.7"), ("-verify_ip", "127.0.0.1"), ("-verify_ip", "::1")):  # fmt: skip
        assert verify(tmp_path, tmp_path / "server.pem", option, name).returncode == 0
    assert verify(tmp_path, tmp_path / "server.pem", "-verify_hostname", "evil.example").returncode != 0
    text = subprocess.run(
        ["openssl", "x509", "-noout", "-text", "-in", tmp_path / "server.pem"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "ASN1 OID: prime256v1" in text


def test_authority_is_constrained(tmp_path: Path) -> None:
    """Path length 0 and critical name constraints: the hosts, 127/8 and ::1."""
    ensure(tmp_path, ("chat.example",), now=NOW)
    authority = certificate(tmp_path / "ca.pem")
    basic = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    names = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert names.critical
    permitted = {str(name.value) for name in names.value.permitted_subtrees or ()}
    assert permitted == {"chat.example", "localhost", "127.0.0.0/8", "::1/128"}


def test_stolen_authority_signs_nothing_else(tmp_path: Path) -> None:
    """A certificate for another name, signed with the authority's key, is refused by OpenSSL."""
    ensure(tmp_path, ("localhost",), now=NOW)
    forged = tmp_path / "forged.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-CA", tmp_path / "ca.pem", "-CAkey", tmp_path / "ca.key", "-keyout", tmp_path / "forged.key"),
            *(
                "-subj",
                "/CN=bank.example",
                "-addext",
                "subjectAltName=DNS:bank.example",
                "-out",
                forged,
                "-days",
                "3650",
            ),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
        ],
        check=True,
        capture_output=True,
    )
    said = verify(tmp_path, forged)
    assert said.returncode != 0
    assert "permitted subtree violation" in said.stderr


def test_second_run_keeps_everything(tmp_path: Path) -> None:
    """What is valid stays as it is, byte by byte, and the run says so."""
    first = ensure(tmp_path, ("localhost",), now=NOW)
    before = contents(tmp_path)
    second = ensure(tmp_path, ("localhost",), now=NOW)
    assert contents(tmp_path) == before
    assert all(line.startswith("Made") for line in first)
    assert all(line.startswith("Kept") for line in second)


def test_server_certificate_is_renewed_before_it_ends(tmp_path: Path) -> None:
    """With 30 days left it is kept; with less it is made anew, by the same authority."""
    ensure(tmp_path, ("localhost",), now=NOW)
    before = contents(tmp_path)
    ends = certificate(tmp_path / "server.pem").not_valid_after_utc
    ensure(tmp_path, ("localhost",), now=ends - datetime.timedelta(days=30))
    assert contents(tmp_path) == before
    _, said = ensure(tmp_path, ("localhost",), now=ends - datetime.timedelta(days=29))
    after = contents(tmp_path)
    assert (after["ca.pem"], after["ca.key"]) == (before["ca.pem"], before["ca.key"])
    assert after["server.pem"] != before["server.pem"]
    assert "30 days" in said


def test_server_certificate_ends_with_its_authority(tmp_path: Path) -> None:
    """Near the authority's end the server's certificate does not outlive it, and both are renewed in time."""
    ensure(tmp_path, ("localhost",), now=NOW)
    authority_ends = certificate(tmp_path / "ca.pem").not_valid_after_utc
    ensure(tmp_path, ("localhost",), now=authority_ends - datetime.timedelta(days=100))
    assert certificate(tmp_path / "server.pem").not_valid_after_utc == authority_ends
    ca_said, server_said = ensure(tmp_path, ("localhost",), now=authority_ends - datetime.timedelta(days=20))
    assert ca_said.startswith("Made")
    assert server_said.startswith("Made")


@pytest.mark.parametrize(
    ("hosts", "ca", "server"),
    [
        (("localhost",), "Kept", "Made"),
        (("sub.chat.example", "chat.example"), "Made", "Made"),
        (("other.example",), "Made", "Made"),
    ],
)
def test_changed_hosts(tmp_path: Path, hosts: tuple[str, ...], ca: str, server: str) -> None:
    """Other hosts make a new server certificate; a new authority, which must be trusted anew, only where they must."""
    ensure(tmp_path, ("chat.example",), now=NOW)
    ca_said, server_said = ensure(tmp_path, hosts, now=NOW)
    assert (ca_said[:4], server_said[:4]) == (ca, server)
    assert verify(tmp_path, tmp_path / "server.pem", "-verify_hostname", hosts[0]).returncode == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("how", ["garbled", "missing", "foreign"])
def test_broken_file_is_made_anew(tmp_path: Path, name: str, how: str) -> None:
    """A damaged, lost or foreign file never stays: the result verifies, and the run says why."""
    ensure(tmp_path, ("localhost",), now=NOW)
    if how == "garbled":
        (tmp_path / name).write_bytes(b"garbled")
    elif how == "missing":
        (tmp_path / name).unlink()
    else:
        ensure(tmp_path / "other", ("localhost",), now=NOW)
        (tmp_path / "other" / name).replace(tmp_path / name)
    said = " ".join(ensure(tmp_path, ("localhost",), now=NOW))
    assert "Made" in said
    assert verify(tmp_path, tmp_path / "server.pem").returncode == 0
    assert all(line.startswith("Kept") for line in ensure(tmp_path, ("localhost",), now=NOW))


def test_clock_that_was_ahead(tmp_path: Path) -> None:
    """Certificates from the future are replaced once the clock is right."""
    ensure(tmp_path, ("localhost",), now=NOW + datetime.timedelta(days=400))
    said = ensure(tmp_path, ("localhost",), now=NOW)
    assert all("not valid yet" in line or "another authority" in line for line in said)
    assert verify(tmp_path, tmp_path / "server.pem").returncode == 0


@pytest.mark.parametrize("host", ["", "UPPER", "a b", "-a", "a..b", "*.example", "ümlaut.example", "host:8443"])
def test_no_host(tmp_path: Path, host: str) -> None:
    """What is no name and no address is refused with a sentence, before anything is written."""
    with pytest.raises(CertificateError, match="no lower-case host name"):
        ensure(tmp_path / "tls", (host,), now=NOW)
    assert not (tmp_path / "tls").exists()


def command(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m certs`."""
    words = [sys.executable, "-m", "certs", "--host", "localhost", "--folder", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])


def test_command(tmp_path: Path) -> None:
    """`python -m certs` says what it did; what it cannot do is one sentence and exit code 78."""
    done = command(tmp_path)
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 2, "")
    blocked = tmp_path / "file"
    blocked.touch()
    failed = command(blocked / "tls")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (78, "", 1)


def test_owner_reads_its_key(tmp_path: Path) -> None:
    """Run by root, the server's key belongs to the edge's user and the authority's stays root's."""
    if os.geteuid() != 0:
        pytest.fail("only root can give a file away: run this test as root")
    ensure(tmp_path, ("localhost",), owner="www-data", now=NOW)
    assert (tmp_path / "server.key").owner() == "www-data"
    assert (tmp_path / "ca.key").owner() == "root"
    with pytest.raises(CertificateError, match="cannot be written"):
        ensure(tmp_path, ("localhost",), owner="nobody-of-that-name", now=NOW)
