"""What this machine's nginx can do, read from `nginx -V`, and what its kernel allows."""

from __future__ import annotations

import os
import re
import resource
import shutil
import socket
import subprocess
from dataclasses import dataclass

_NGINX = re.compile(r"nginx version: \S*?/(\d+)\.(\d+)\.(\d+)")
_OPENSSL = re.compile(r"OpenSSL (\d+)\.(\d+)\.(\d+)")


class NginxUnusableError(RuntimeError):
    """nginx is missing or does not say what it is; the text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts that choose between variants of a snippet."""

    nginx: tuple[int, int, int]
    openssl: tuple[int, int, int]
    ipv6: bool
    descriptors: int

    @property
    def http2_directive(self) -> bool:
        """`http2 on;` exists since nginx 1.25.1, which warns about the older parameter of `listen`."""
        return self.nginx >= (1, 25, 1)

    @property
    def hybrid_group(self) -> bool:
        """X25519MLKEM768 exists since OpenSSL 3.5; naming it to an older one stops nginx."""
        return self.openssl >= (3, 5, 0)


def parse_versions(text: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """nginx's version and that of the OpenSSL it runs with, from the output of `nginx -V`."""
    nginx = _NGINX.search(text)
    openssl = _OPENSSL.findall(text)
    if nginx is None or not openssl:
        raise NginxUnusableError("nginx -V names no nginx version or no OpenSSL: this build cannot be used.")
    # The last one is the library in use where it differs from the one it was built with.
    major, minor, patch = openssl[-1]
    return (int(nginx[1]), int(nginx[2]), int(nginx[3])), (int(major), int(minor), int(patch))


def inspect(binary: str = "nginx") -> Machine:
    """The facts of this machine. Raises NginxUnusableError."""
    try:
        # An unprivileged user's PATH often lacks the folders where a distribution puts nginx.
        found = shutil.which(binary, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
        said = subprocess.run([found or binary, "-V"], capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise NginxUnusableError(f"{binary} -V does not run: {error}.") from error
    nginx, openssl = parse_versions(said.stderr + said.stdout)
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return Machine(nginx, openssl, has_ipv6(), descriptors)


def has_ipv6() -> bool:
    """Whether an IPv6 socket can be bound here."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
