"""TLS by Mozilla's server-side guidelines 6.0, intermediate, as far as this machine's OpenSSL can."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nginx.machine import Machine, inspect, parse_versions
from nginx.render import render
from tests.patience import PATIENCE, until
from tests.stack.edge import Edge, check, folder, prepare, running
from tests.tools import tool

PROFILE = Path(__file__).parent / "data" / "mozilla-6.0-intermediate.json"
COMPLIANT = "OK - Compliant"


@pytest.fixture(scope="module")
def edge() -> Iterator[Edge]:
    with running() as started:
        yield started


def sslyze(edge: Edge) -> str:
    """What sslyze says; its exit code is of no use, being 0 for a server it cannot reach."""
    command = [
        f"{tool('sslyze')}/sslyze",
        f"--custom_tls_config={PROFILE}",
        f"--certinfo_ca_file={edge.values.state}/tls/ca.pem",
        edge.host,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def spoil(edge: Edge, snippet: str, **changed: str) -> None:
    """Replace values of directives in the rendered configuration, and let nginx take it."""
    path = edge.values.state / "edge" / "snippets" / f"{snippet}.conf"
    text = path.read_text(encoding="utf-8")
    for directive, value in changed.items():
        text, times = re.subn(rf"^{directive} .*;$", f"{directive} {value};", text, flags=re.MULTILINE)
        assert times == 1
    path.write_text(text, encoding="utf-8")
    edge.stop("nginx")
    edge.start_nginx()


def test_sslyze_finds_the_guidelines_kept(edge: Edge) -> None:
    """Nothing is offered beyond the guidelines."""
    said = sslyze(edge)
    assert COMPLIANT in said, said


# OpenSSL has no TLS 1.1 above security level 0, whatever nginx says.
OLD_CIPHER = "@SECLEVEL=0:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"ssl_protocols": "TLSv1.1 TLSv1.2 TLSv1.3", "ssl_ciphers": OLD_CIPHER}, "TLSv1.1"),
        ({"ssl_ciphers": OLD_CIPHER}, "AES_128_CBC_SHA"),
        ({"ssl_ecdh_curve": "secp521r1:X25519"}, "secp521r1"),
    ],
)
def test_sslyze_finds_what_is_too_much(changed: dict[str, str], complaint: str) -> None:
    """The same check fails for an old version, a cipher or a group that the guidelines leave out."""
    with running() as edge:
        spoil(edge, groups(edge) if "ssl_ecdh_curve" in changed else "tls", **changed)
        said = sslyze(edge)
        assert COMPLIANT not in said
        assert complaint in said


def test_sslyze_says_nothing_of_a_server_that_is_not_there(edge: Edge) -> None:
    """The line that is asserted does not come from a scan that reached nobody."""
    with folder() as state:
        gone = Edge(prepare(state))
        assert COMPLIANT not in sslyze(gone)


def groups(edge: Edge) -> str:
    """The snippet of groups this machine's configuration includes."""
    found = re.search(r"snippets/(tls-groups-\w+)\.conf", (edge.values.state / "edge" / "nginx.conf").read_text())
    assert found
    return found[1]


def version_of(edge: Edge, version: ssl.TLSVersion) -> str | None:
    """The version of a verified connection that offers this one only."""
    context = edge.trust
    context.minimum_version = context.maximum_version = version
    plain = socket.create_connection(("127.0.0.1", edge.values.https_port), PATIENCE)
    with plain, context.wrap_socket(plain, server_hostname="localhost") as stream:
        return stream.version()


def test_both_versions_connect(edge: Edge) -> None:
    """TLS 1.2 and 1.3 each connect, with the chain verified (sslyze says nothing when one is missing)."""
    assert version_of(edge, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    assert version_of(edge, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


def test_missing_version_does_not_connect() -> None:
    """The same check fails where TLS 1.3 is off, which sslyze takes for compliant."""
    with running() as edge:
        spoil(edge, "tls", ssl_protocols="TLSv1.2")
        assert COMPLIANT in sslyze(edge)
        with pytest.raises(ssl.SSLError):
            version_of(edge, ssl.TLSVersion.TLSv1_3)


def test_strict_transport_security(edge: Edge) -> None:
    """The value is the guidelines' two years."""
    assert edge.request("/").headers["Strict-Transport-Security"] == "max-age=63072000"


def test_group_of_this_machine(edge: Edge) -> None:
    """The hybrid group is there exactly where the linked OpenSSL has it (3.5); X25519 is there everywhere."""
    hybrid = inspect().hybrid_group
    assert groups(edge) == ("tls-groups-hybrid" if hybrid else "tls-groups-classic")
    assert hybrid_negotiated(edge) == hybrid
    edge.request("/")
    until(lambda: [line for line in edge.lines() if '"tls":"TLSv1.3","group":"X25519' in line], "the group is logged")


def hybrid_negotiated(edge: Edge) -> bool:
    """Whether a client that offers only the hybrid group gets a connection (a client's OpenSSL before 3.5 cannot)."""
    said = subprocess.run(
        [
            *("openssl", "s_client", "-groups", "X25519MLKEM768", "-servername", "localhost"),
            *("-connect", f"127.0.0.1:{edge.values.https_port}"),
        ],
        input="",
        capture_output=True,
        text=True,
        check=False,
    )
    return "BEGIN CERTIFICATE" in said.stdout


@pytest.mark.parametrize(
    ("said", "nginx", "openssl", "http2", "group"),
    [
        ("nginx version: nginx/1.22.1\nbuilt with OpenSSL 3.0.22 1 Aug 2026 (running with OpenSSL 3.0.19 1 Jan 2026)",
         (1, 22, 1), (3, 0, 19), "http2-listen", "tls-groups-classic"),
        ("nginx version: nginx/1.26.3\nbuilt with OpenSSL 3.5.1 1 Jul 2025",
         (1, 26, 3), (3, 5, 1), "http2-directive", "tls-groups-hybrid"),
        ("nginx version: nginx/1.24.0 (Ubuntu)\nbuilt with OpenSSL 3.0.13 30 Jan 2024",
         (1, 24, 0), (3, 0, 13), "http2-listen", "tls-groups-classic"),
    ],
)  # fmt: skip
def test_includes_follow_the_versions(
    said: str, nginx: tuple[int, int, int], openssl: tuple[int, int, int], http2: str, group: str
) -> None:
    """Each distribution's nginx gets the form it understands, and a status line for what it cannot do."""
    assert parse_versions(said) == (nginx, openssl)
    with folder() as state:
        values = prepare(state)
        cannot = render(values, Machine(nginx, openssl, ipv6=True, descriptors=65_536))
        text = (state / "edge" / "nginx.conf").read_text()
        assert f"snippets/{http2}.conf" in text
        assert f"snippets/{group}.conf" in text
        listens = (state / "edge" / "conf.d" / "30-chat.conf").read_text()
        assert (" ssl http2;" in listens) == (http2 == "http2-listen")
        assert any("X25519MLKEM768" in line for line in cannot) == (group == "tls-groups-classic")


def test_machine_without_ipv6_or_descriptors_says_so() -> None:
    """What a machine cannot do is a sentence, and the configuration still loads."""
    with folder() as state:
        values = prepare(state)
        facts = inspect()
        cannot = render(values, Machine(facts.nginx, facts.openssl, ipv6=False, descriptors=1_024))
        assert [line for line in cannot if "IPv6" in line]
        assert [line for line in cannot if "descriptor limit of 1024" in line]
        assert check(values).returncode == 0
        assert "[::]" not in (state / "edge" / "conf.d" / "30-chat.conf").read_text()
