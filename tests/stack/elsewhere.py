"""An authority that nobody here trusts, what it signs, and clients that meet it."""

from __future__ import annotations

import datetime
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from tests.socket.server import OPENED, Client
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


def shown(stack: RunningStack) -> bytes:
    """The certificate that a client who asks for the name is shown, trusted because the authority's is in the chain."""
    trust = ssl.create_default_context(cafile=str(stack.state / "tls" / "server.pem"))
    with (
        socket.create_connection(("localhost", stack.https_port)) as plain,
        trust.wrap_socket(plain, server_hostname=NAME) as stream,
    ):
        return stream.getpeercert(binary_form=True) or b""


async def talking(stack: RunningStack, token: str, name: str = NAME, root: str = "") -> Client:
    """Somebody in the lobby who came by that name, and trusts `root` alone; by default what the stack shows."""
    socket = await connect(
        f"wss://{name}:{stack.https_port}/ws/chat",
        host="127.0.0.1",
        ssl=ssl.create_default_context(cadata=root or (stack.state / "tls" / "server.pem").read_text()),
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=[Subprotocol("chat.v1")],
        proxy=None,
    )
    OPENED.append(socket)
    client = Client(socket)
    await client.join()
    return client


def settings(chain: Path, key: Path) -> dict[str, str]:
    """Of a stack that shows this certificate."""
    return {
        "PORTCULLIS_HOSTS": f"{NAME},localhost,127.0.0.1,[::1]",
        "PORTCULLIS_CERTIFICATE": str(chain),
        "PORTCULLIS_CERTIFICATE_KEY": str(key),
    }
