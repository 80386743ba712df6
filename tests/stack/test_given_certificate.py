"""A certificate from elsewhere: taken when it is in order, refused with a sentence when not, renewed under sockets."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from certs.authority import CertificateError, ensure
from certs.given import take
from tests import canary
from tests.socket.server import OPENED, Client
from tests.stack.conftest import NewStack
from tests.stack.running import RunningStack

NAME = "chat.example"
NOW = datetime.datetime.now(datetime.UTC)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def pem(key: Key, secret: bytes = b"") -> bytes:
    """A key as a file has it."""
    how = serialization.BestAvailableEncryption(secret) if secret else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


@dataclass
class Authority:
    """Somebody else's, which nobody here trusts."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def sign(
        self, *names: str, key: Key | None = None, days: int = 90, begins: datetime.datetime = NOW
    ) -> tuple[Path, Path]:
        """A certificate with its chain, and its key, in the same two files each time."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        leaf = self._certificate("given", key, self.key, begins, days, names)
        own = self._certificate("elsewhere", self.key, self.key, begins, days, ())
        chain, secret = self.folder / "fullchain.pem", self.folder / "privkey.pem"
        chain.write_bytes(leaf + own)
        secret.touch(mode=0o600)
        secret.write_bytes(pem(key))
        return chain, secret

    def _certificate(
        self,
        subject: str,
        key: Key,
        by: ec.EllipticCurvePrivateKey,
        begins: datetime.datetime,
        days: int,
        names: tuple[str, ...],
    ) -> bytes:
        def called(name: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

        builder = x509.CertificateBuilder().subject_name(called(subject)).issuer_name(called("elsewhere"))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(begins).not_valid_after(begins + datetime.timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
        if names:
            held = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(held, critical=False)
        return builder.sign(by, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


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


def shown(stack: RunningStack) -> bytes:
    """The certificate that a client who asks for the name is shown, trusted because the authority's is in the chain."""
    trust = ssl.create_default_context(cafile=str(stack.state / "tls" / "server.pem"))
    with (
        socket.create_connection(("localhost", stack.https_port)) as plain,
        trust.wrap_socket(plain, server_hostname=NAME) as stream,
    ):
        return stream.getpeercert(binary_form=True) or b""


async def talking(stack: RunningStack, token: str) -> Client:
    """Somebody in the lobby who came by that name."""
    socket = await connect(
        f"wss://{NAME}:{stack.https_port}/ws/chat",
        host="127.0.0.1",
        ssl=ssl.create_default_context(cafile=str(stack.state / "tls" / "server.pem")),
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol("chat.v1")],
        proxy=None,
    )
    OPENED.append(socket)
    client = Client(socket)
    await client.join()
    return client


async def test_a_renewal_drops_no_socket(another: NewStack, elsewhere: Authority) -> None:
    """`make up` shows the new one, to the name that it is for; who talks goes on talking, to the same processes."""
    chain, key = elsewhere.sign(NAME)
    settings = {
        "PORTCULLIS_HOSTS": f"{NAME},localhost,127.0.0.1",
        "PORTCULLIS_CERTIFICATE": str(chain),
        "PORTCULLIS_CERTIFICATE_KEY": str(key),
    }
    with another(settings) as stack:
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
