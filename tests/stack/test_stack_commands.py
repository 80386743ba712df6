"""What the make targets print, on a healthy stack."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.stack.running import ROOT, RunningStack
from tests.stack.through import Through


def test_make_alone_prints_help() -> None:
    """`make` alone lists every target with its sentence."""
    said = subprocess.run(["make", "-C", ROOT, "-s"], capture_output=True, text=True, check=True).stdout
    for target in ("up", "down", "status", "logs", "user", "token", "metrics", "clean", "check", "test", "lock"):
        assert re.search(rf"^  make {target} +\S", said, re.MULTILINE), target


def test_status_of_a_healthy_stack(stack: RunningStack) -> None:
    """Status names every program, the addresses and the certificate's end, and succeeds."""
    said = stack.make("status").stdout
    for program in ("app", "edge", "mtail", "rotation"):
        assert re.search(rf"^  {program} +running", said, re.MULTILINE), said
    assert stack.url in said
    assert "valid until" in said
    assert said.rstrip().endswith("healthy")


def asked(stack: RunningStack, path: str, trust: ssl.SSLContext) -> http.client.HTTPResponse:
    """What a client that trusts `trust` gets there through the edge."""
    connection = http.client.HTTPSConnection("localhost", stack.https_port, context=trust, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse()
    finally:
        connection.close()


def test_the_page_is_served_with_a_trusted_certificate(stack: RunningStack) -> None:
    """The CA that `make up` names is enough to trust the page."""
    assert asked(stack, "/", stack.tls).status == 200


def test_administrators_have_a_page(stack: RunningStack) -> None:
    """With the same headers as everybody's, and what it asks for is for them alone."""
    page, chat = asked(stack, "/ops", stack.tls), asked(stack, "/", stack.tls)
    own = {"etag", "date", "content-length", "x-request-id"}
    assert page.status == 200
    assert [pair for pair in page.getheaders() if pair[0].lower() not in own] == [
        pair for pair in chat.getheaders() if pair[0].lower() not in own
    ]
    assert asked(stack, "/api/ops/catalogue", stack.tls).status == 401


def test_an_untrusting_client_refuses_the_certificate(stack: RunningStack) -> None:
    """Without the CA the certificate is not believed: it is no public one."""
    with pytest.raises(ssl.SSLCertVerificationError):
        asked(stack, "/", ssl.create_default_context())


def test_user_prints_the_password_once(stack: RunningStack) -> None:
    """Standard output is the password alone; the second time the account exists and nothing is printed."""
    done = stack.make("user", "NAME=once")
    assert re.fullmatch(r"\S{12,}\n", done.stdout)
    again = stack.make("user", "NAME=once", check=False)
    assert again.returncode != 0
    assert again.stdout == ""
    assert "once" in again.stderr


def test_token_prints_nothing_but_a_token(stack: RunningStack) -> None:
    """Standard output is one JWT and a newline; standard error is empty."""
    stack.user("bearer")
    done = stack.make("token", "NAME=bearer")
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", done.stdout)
    assert done.stderr == ""


async def test_rotate_makes_another_signing_key(stack: RunningStack) -> None:
    """Tokens of before count until they end, and the next ones are signed with the new key."""
    await asyncio.to_thread(stack.user, "rotating")
    before = await asyncio.to_thread(stack.token, "rotating")
    assert "signs now" in (await asyncio.to_thread(stack.make, "rotate")).stdout
    after = await asyncio.to_thread(stack.token, "rotating")
    assert before.partition(".")[0] != after.partition(".")[0]
    for token in (before, after):
        assert (await (await Through(stack).connect(token)).join())["room"] == "lobby"


def test_token_of_nobody_is_refused(stack: RunningStack) -> None:
    """An unknown account, or none, is answered with a sentence and no token."""
    unknown = stack.make("token", "NAME=nobody-here", check=False)
    assert (unknown.returncode != 0, unknown.stdout) == (True, "")
    nameless = stack.make("token", check=False)
    assert "NAME=" in nameless.stderr
    assert nameless.stdout == ""


def test_metrics_are_one_valid_exposition(stack: RunningStack) -> None:
    """Each family has one header and each series one sample; app and edge are both in it."""
    text = stack.metrics()
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")]
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(types) == len(set(types))
    assert len(series) == len(set(series))
    assert "chat_connections" in types
    assert stack.sample("mtail_lines_total") > 0
    assert not [
        line
        for line in text.splitlines()
        if line.startswith("mtail_prog_load_errors_total") and not line.endswith(" 0")
    ]


def test_metrics_say_when_the_certificate_ends(stack: RunningStack) -> None:
    """Which neither app nor edge knows."""
    assert stack.sample("portcullis_certificate_expiry_timestamp_seconds") > time.time()


def test_a_second_up_changes_nothing(stack: RunningStack) -> None:
    """Everything is found done, the processes stay, the password is not shown again, and it says so."""
    before = {one.pid for one in stack.processes()}
    files = {path: path.stat().st_mtime_ns for path in sorted((stack.state / "tls").iterdir())}
    said = stack.make("up").stdout
    assert "nothing was changed" in said
    assert "one-time password" not in said
    assert {one.pid for one in stack.processes()} == before
    assert files == {path: path.stat().st_mtime_ns for path in sorted((stack.state / "tls").iterdir())}


def test_the_first_password_is_stored_nowhere(stack: RunningStack) -> None:
    """No file below the state folder holds the one-time password that `make up` printed."""
    assert stack.first_password
    secret = stack.first_password.encode()
    looked = [path for path in stack.state.rglob("*") if path.is_file() and "venv" not in path.parts]
    assert looked
    assert [path for path in looked if secret in path.read_bytes()] == []


def test_nothing_runs_as_root_but_the_supervisor(stack: RunningStack) -> None:
    """Every process of the stack but the supervisor has an unprivileged user, and cannot get rights back."""
    for one in stack.processes():
        uids = re.search(r"^Uid:\s+(.*)$", Path(f"/proc/{one.pid}/status").read_text(), re.MULTILINE)
        assert uids
        assert (one.program == "supervisor") == ("0" in uids[1].split()), one


def test_only_their_owner_reads_secrets(stack: RunningStack) -> None:
    """Keys have mode 0600; the folders of keys, store and control are closed to everyone else."""
    secret = [path for path in (stack.state / "secrets").rglob("*") if path.is_file()]
    keys = [*secret, stack.state / "tls" / "ca.key", stack.state / "tls" / "server.key"]
    assert secret
    assert {oct(path.stat().st_mode & 0o777) for path in keys} == {"0o600"}
    closed = [stack.state / name for name in ("secrets", "data", "supervisor")]
    assert {oct(path.stat().st_mode & 0o777) for path in closed} == {"0o700"}
    assert (stack.state / "supervisor" / "control.sock").stat().st_mode & 0o777 == 0o700


def test_no_secret_in_any_environment(stack: RunningStack) -> None:
    """What the processes were given as environment holds no key and no password."""
    for one in stack.processes():
        environ = Path(f"/proc/{one.pid}/environ").read_bytes().decode(errors="replace").upper()
        assert not [word for word in ("PASSWORD=", "SECRET=", "PRIVATE KEY") if word in environ], one


def test_the_record_holds_what_runs(stack: RunningStack) -> None:
    """Later commands find the ports of the running stack without being told."""
    record = json.loads((stack.state / "started.json").read_text())
    assert (record["https_port"], record["http_port"]) == (stack.https_port, stack.http_port)
    said = stack.make("status", PORTCULLIS_HTTPS_PORT="", PORTCULLIS_HTTP_PORT="").stdout
    assert stack.url in said


def test_clean_asks_first(stack: RunningStack) -> None:
    """Without a terminal and without CONFIRM=yes nothing is deleted, and it says how to mean it."""
    done = stack.make("clean", check=False)
    assert done.returncode != 0
    assert "CONFIRM=yes" in done.stderr
    assert stack.make("clean", "CONFIRM=no", check=False).returncode != 0
    assert (stack.state / "data").is_dir()
    assert stack.make("status").returncode == 0
