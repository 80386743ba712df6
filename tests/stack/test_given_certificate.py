"""A certificate from elsewhere: taken when it is in order, refused with a sentence when not, renewed under sockets."""

from __future__ import annotations

import asyncio
import datetime
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.authority import CertificateError, ensure
from certs.given import take
from tests import canary
from tests.stack.conftest import NewStack
from tests.stack.elsewhere import NAME, NOW, Authority, pem, settings, shown, talking


@pytest.fixture
def elsewhere(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_it_takes_the_place_of_our_own_and_gives_it_back(elsewhere: Authority, tmp_path: Path) -> None:
    """The chain is kept as it came, the key is its owner's alone; without it our authority signs again."""
    folder, hosts = tmp_path / "tls", ("localhost", NAME)
    ensure(folder, hosts)
    chain, key = elsewhere.sign("*.example")
    assert take(folder, chain, key, hosts)[0].startswith("Took the given certificate")
    assert (folder / "server.pem").read_bytes() == chain.read_bytes()
    assert stat.S_IMODE((folder / "server.key").stat().st_mode) == 0o600
    assert take(folder, chain, key, hosts)[0].startswith("Kept the given certificate")
    assert "signed by another authority" in ensure(folder, hosts)[1]
    assert not (folder / "given").exists()


def _others(path: Path) -> None:
    path.chmod(0o644)


def _words(path: Path) -> None:
    path.write_text("no key")


def _locked(path: Path) -> None:
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1()), b"a password"))


def _another(path: Path) -> None:
    path.write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.unlink, "cannot be read: No such file"),
        (_others, "can be read by others: run chmod 600"),
        (_words, "holds no private key in PEM without a password"),
        (_locked, "holds no private key in PEM without a password"),
        (_another, "does not belong to the certificate"),
    ],
)
def test_a_key_that_will_not_do_is_refused(
    elsewhere: Authority, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    """Before anything is changed."""
    chain, key = elsewhere.sign(NAME)
    spoil(key)
    with pytest.raises(CertificateError, match=sentence):
        take(tmp_path / "tls", chain, key, (NAME,))
    assert not (tmp_path / "tls").exists()


def test_a_certificate_that_will_not_do_is_refused(elsewhere: Authority, tmp_path: Path) -> None:
    """Not PEM, out of its time, for other names, with a weak key, or for this machine alone."""

    def refused(sentence: str, hosts: tuple[str, ...] = (NAME,)) -> None:
        with pytest.raises(CertificateError, match=sentence):
            take(tmp_path / "tls", tmp_path / "fullchain.pem", tmp_path / "privkey.pem", hosts)

    elsewhere.sign(NAME)
    refused("needs a host that it names besides localhost", ("localhost", "127.0.0.1"))
    refused(r"does not name other.example, 192\.0\.2\.7", (NAME, "other.example", "192.0.2.7"))
    elsewhere.sign("*.example")
    refused("does not name a.chat.example", ("a.chat.example",))
    elsewhere.sign(NAME, begins=NOW - datetime.timedelta(days=100))
    refused("is valid from .* only: renew it")
    elsewhere.sign(NAME, key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - on purpose
    refused("an RSA key of 1024 bits")
    (tmp_path / "fullchain.pem").write_text("no certificate")
    refused("holds no certificate in PEM")


async def test_a_renewal_drops_no_socket(another: NewStack, elsewhere: Authority) -> None:
    """`make up` shows the new one, to the name that it is for; who talks goes on talking, to the same processes."""
    chain, key = elsewhere.sign(NAME)
    with another(settings(chain, key)) as stack:
        said = stack.up()
        assert "Took the given certificate" in said
        assert "Trust the CA" not in said
        first = shown(stack)
        stack.user("tls-ann")
        token = stack.token("tls-ann")
        canary.remember(token)
        ann = await talking(stack, token)
        app = stack.pid("app")
        elsewhere.sign(NAME)
        said = await asyncio.to_thread(stack.up)
        assert "no socket was dropped" in said
        assert shown(stack) != first
        assert (await ann.post("still here"))["type"] == "ack"
        assert stack.pid("app") == app
        assert "healthy" in stack.make("status").stdout
        key.chmod(0o644)
        failed = await asyncio.to_thread(stack.make, "up", check=False)
        assert failed.returncode
        assert "can be read by others" in failed.stderr
        assert (await ann.post("and still"))["type"] == "ack"
        stack.settings = {}
        stack.up()
        assert "healthy" in stack.make("status").stdout
