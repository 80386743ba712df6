"""The line to a real Redis and a real Valkey: order, bounds, and what is left of it when the server fails."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import uvloop

from app.redis_link import RedisLink, Script
from app.redis_pipe import RedisDown
from app.redis_server import Server, connect
from app.settings import SettingsError
from app.store import StoreDown
from tests.contract import servers
from tests.contract.servers import KINDS, linked, running, until_true
from tests.patience import PATIENCE
from tests.stack.running import free_port

SOON = 0.3
"""Seconds that the links of these tests wait for an answer."""
SLACK = 5.0
"""A busy machine's, on top."""


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    """A server for one test, which may do to it what it likes."""
    with running(request.param) as server:
        yield server


@pytest.fixture
async def link(server: servers.Server) -> AsyncIterator[RedisLink]:
    """A patient link to it."""
    async with linked(server.where) as link:
        yield link


async def test_answers_come_in_the_order_of_the_calls(link: RedisLink) -> None:
    """A thousand calls of one tick, one of them refused: each gets its own answer."""
    calls = [link.call("ECHO", f"{number}") for number in range(1000)]
    calls.insert(500, link.call("INCR", "not", "so"))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(answers.pop(500), RedisDown)
    assert answers == [b"%d" % number for number in range(1000)]
    assert link.up


async def test_calls_of_one_tick_leave_in_one_write(link: RedisLink, server: servers.Server) -> None:
    """The server reads them all at once, which is what makes them cheap."""

    def reads() -> int:
        lines = server.ask("INFO", "stats").splitlines()
        return int(next(line for line in lines if line.startswith("total_reads_processed")).partition(":")[2])

    before = reads()
    await asyncio.gather(*(link.call("PING") for _ in range(200)))
    assert reads() - before < 10


async def test_one_commands_error_is_nobody_elses(link: RedisLink) -> None:
    """Its caller learns of it, as an outage."""
    with pytest.raises(RedisDown, match="WRONGTYPE"):
        await asyncio.gather(link.call("SET", "key", "1"), link.call("ZCARD", "key"))
    assert await link.call("GET", "key") == b"1"
    assert issubclass(RedisDown, StoreDown)


async def test_a_caller_who_goes_away_changes_nothing(link: RedisLink) -> None:
    """The answer that nobody waits for any more is not another's."""
    gone = asyncio.create_task(link.call("ECHO", "gone"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await link.call("ECHO", "here") == b"here"


async def test_scripts_are_sent_when_the_server_does_not_know_them(link: RedisLink) -> None:
    """At first, and after they were flushed; by digest in between."""
    script = Script.of("local answer = ARGV[1] .. KEYS[1]", "return answer")
    for _ in range(2):
        assert await asyncio.gather(*(link.run(script, ["b"], ["a"]) for _ in range(20))) == [b"ab"] * 20
        await link.call("SCRIPT", "FLUSH")


async def test_only_so_many_calls_are_on_their_way(link: RedisLink) -> None:
    """Those beyond are refused at once, the others answered."""
    answers = await asyncio.gather(*(link.call("PING") for _ in range(10_500)), return_exceptions=True)
    assert answers.count(b"PONG") == 10_000
    assert sum(isinstance(answer, RedisDown) for answer in answers) == 500


async def test_a_server_that_stands_still_is_waited_for_once(server: servers.Server) -> None:
    """Everything on its way fails together, what comes after at once, and when it goes on so does the link."""
    told: list[bool] = []
    async with linked(server.within(SOON), told.append) as link:
        server.pause()
        began = time.monotonic()
        answers = await asyncio.gather(*(link.call("PING") for _ in range(50)), return_exceptions=True)
        assert SOON * 0.9 < time.monotonic() - began < SOON + SLACK
        assert all(isinstance(answer, RedisDown) and "no answer within" in str(answer) for answer in answers)
        began = time.monotonic()
        for _ in range(100):
            with pytest.raises(RedisDown):
                await link.call("PING")
        assert time.monotonic() - began < SOON
        server.resume()
        await until_true(lambda: link.up, "the link is there again")
        assert await link.call("PING") == b"PONG"
    assert told == [False, True, False]


async def test_a_killed_server_is_found_again_with_nothing_in_it(server: servers.Server) -> None:
    """Calls on their way fail; scripts are loaded anew; whoever waits for it is told."""
    script, restored = Script.of("return redis.call('GET', KEYS[1])"), []
    async with linked(server.where) as link:
        link.restored.append(lambda: restored.append(1))
        await link.call("SET", "key", "value")
        assert await link.run(script, ["key"], []) == b"value"
        server.kill()
        with pytest.raises(RedisDown):
            await link.call("PING")
        await until_true(lambda: not link.up, "the link is down")
        server.start()
        await until_true(lambda: restored, "the link is there again")
        assert await link.run(script, ["key"], []) is None


async def test_who_starts_before_the_server_does_not_wait_for_it(server: servers.Server) -> None:
    """Opening returns, calls fail with the reason, and it is found when it comes."""
    server.kill()
    told: list[bool] = []
    async with linked(server.where, told.append) as link:
        with pytest.raises(RedisDown):
            await link.call("PING")
        assert told == [True]
        server.start()
        await until_true(lambda: link.up, "the link is there")


async def test_a_server_that_cannot_serve_counts_as_down(server: servers.Server) -> None:
    """One that is out of memory, say: it is let go, and tried again."""
    told: list[bool] = []
    async with linked(server.where, told.append) as link:
        server.ask("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(RedisDown, match="OOM"):
            await link.call("SET", "key", "value")
        await until_true(lambda: True in told, "it counts as down")
        server.ask("CONFIG", "SET", "maxmemory", "0")
        await until_true(lambda: link.up, "the link is there again")
        assert await link.call("SET", "key", "value") == b"OK"


async def test_a_password_comes_from_a_file_of_ours_alone(server: servers.Server, tmp_path: Path) -> None:
    """A wrong or open one is a reason not to be connected; it is read again each time."""
    file = tmp_path / "password"
    file.write_text("wrong\n")
    file.chmod(0o600)
    server.ask("ACL", "SETUSER", "chat", "on", ">right", "+@all", "~*", "&*")
    where = Server(f"unix://{server.socket}", "chat", file, seconds=PATIENCE)
    with pytest.raises(RedisDown, match="WRONGPASS"):
        await connect(where)
    async with linked(where) as link:
        with pytest.raises(RedisDown, match="WRONGPASS"):
            await link.call("PING")
        file.chmod(0o644)
        with pytest.raises(SettingsError, match="chmod 600"):
            await connect(where)
        file.write_text("right\n")
        file.chmod(0o600)
        await until_true(lambda: link.up, "the link is there")
        assert await link.call("ACL", "WHOAMI") == b"chat"


def certify(folder: Path, name: str) -> None:
    """A self-signed certificate for an address."""
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    words += ["-keyout", str(folder / f"{name}.key"), "-out", str(folder / f"{name}.pem"), "-subj", f"/CN={name}"]
    subprocess.run([*words, "-addext", f"subjectAltName=IP:{name}"], check=True, capture_output=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_tls_trusts_the_named_authority_and_name_only(kind: str, tmp_path: Path) -> None:
    """A certificate of somebody else, or for another address, is as good as no server."""
    for name in ("127.0.0.1", "192.0.2.1"):
        certify(tmp_path, name)
    port = free_port()
    paths = [str(tmp_path / name) for name in ("127.0.0.1.pem", "127.0.0.1.key")]
    words = ["--tls-port", str(port), "--tls-auth-clients", "no", "--tls-cert-file", paths[0]]
    with running(kind, *words, "--tls-key-file", paths[1], "--bind", "127.0.0.1"):
        url = f"rediss://127.0.0.1:{port}"
        async with linked(Server(url, ca_file=tmp_path / "127.0.0.1.pem", seconds=PATIENCE)) as link:
            assert await link.call("PING") == b"PONG"
        for other in (tmp_path / "192.0.2.1.pem", None):
            with pytest.raises(RedisDown, match="CERTIFICATE_VERIFY_FAILED"):
                await connect(Server(url, ca_file=other, seconds=PATIENCE))
        with pytest.raises(RedisDown, match="CERTIFICATE_VERIFY_FAILED"):
            there = Server(f"rediss://localhost:{port}", ca_file=tmp_path / "127.0.0.1.pem", seconds=PATIENCE)
            await connect(there)
        with pytest.raises(RedisDown):
            await connect(Server(f"redis://127.0.0.1:{port}", seconds=1.0))


STORIES = (
    test_a_server_that_stands_still_is_waited_for_once,
    test_a_killed_server_is_found_again_with_nothing_in_it,
    test_who_starts_before_the_server_does_not_wait_for_it,
    test_a_server_that_cannot_serve_counts_as_down,
)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: str(story.__name__))
def test_the_event_loop_that_serves_is_no_other(
    server: servers.Server, story: Callable[[servers.Server], Coroutine[None, None, None]]
) -> None:
    """uvloop's transports differ from asyncio's, above all in how they fail."""
    uvloop.run(story(server))


@pytest.mark.parametrize("kind", KINDS)
def test_its_tls_is_no_other(kind: str, tmp_path: Path) -> None:
    """uvloop has one of its own."""
    uvloop.run(test_tls_trusts_the_named_authority_and_name_only(kind, tmp_path))


@pytest.mark.parametrize("words", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"%0\r\n+PONG\r\n+more\r\n"])
async def test_what_is_no_redis_is_not_believed(tmp_path: Path, words: bytes) -> None:
    """Words that are not RESP, or an answer too many."""
    path, gone = tmp_path / "other.sock", []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        await reader.read()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        gone.append(writer)

    async with await asyncio.start_unix_server(answer, path):
        with pytest.raises(RedisDown):
            pipe = await connect(Server(f"unix://{path}", seconds=PATIENCE))
            await pipe.send("PING")
        await until_true(lambda: gone, "we hung up")


def test_the_servers_are_those_that_are_promised() -> None:
    """Redis 7 and Valkey 8."""
    assert shutil.which("redis-server")
    for kind, least in (("redis", "redis 7."), ("valkey", "valkey 8.")):
        with running(kind) as server:
            assert server.version() >= least
