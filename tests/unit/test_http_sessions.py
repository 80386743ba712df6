"""Signing in and out over HTTP, as browsers do it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.model import BanKind, RevocationKind, SessionId, UserName
from tests.unit.party import ADDRESS, ORIGIN, PASSWORD, Party, canary, party, problem


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Party]:
    async with party(tmp_path) as server:
        await server.account("alice")
        yield server


SIGN_IN = {"name": "alice", "password": PASSWORD}


async def test_sign_in_sets_the_cookie(server: Party) -> None:
    """The cookie is a __Host- one with every protective attribute, and the body tells who and how much."""
    async with server.client() as client:
        answer = await client.post("/api/session", json=SIGN_IN)
    body = answer.json()
    assert answer.status_code == 200
    assert (body["name"], body["admin"], body["rooms"]) == ("alice", False, ["lobby"])
    assert body["limits"] == {"message_characters": 500, "frame_bytes": 16384}
    name, _, rest = answer.headers["set-cookie"].partition("=")
    value, *attributes = rest.split("; ")
    assert name == "__Host-session"
    assert len(value) == 43
    assert {item.lower() for item in attributes} == {
        "httponly",
        "secure",
        "path=/",
        "samesite=lax",
        "max-age=43200",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert value not in answer.text


async def test_sign_ins_are_counted(server: Party) -> None:
    """Every answer by its outcome; a throttled one by the limit."""
    async with server.client() as client:
        await client.post("/api/session", json=SIGN_IN)
        for _ in range(5):
            await client.post("/api/session", json={**SIGN_IN, "password": "not the password"})
    text = server.backends.metrics.exposition().decode()
    for outcome, number in (("accepted", 1), ("credentials_wrong", 4), ("sign_ins_per_account", 1)):
        assert f'chat_sign_ins_total{{outcome="{outcome}"}} {number}.0' in text


async def test_session_is_shown_and_ends(server: Party) -> None:
    """After sign-out the cookie opens nothing, and live sockets of the session are told to close."""
    client = await server.signed_in("alice")
    shown = (await client.get("/api/session")).json()
    cookie = client.cookies["__Host-session"]
    out = await client.delete("/api/session")
    assert out.status_code == 204
    assert "max-age=0" in out.headers["set-cookie"].lower()
    async with server.client(Cookie=f"__Host-session={cookie}") as old:
        assert problem(await old.get("/api/session")) == (401, "token_invalid")
    assert [(item.kind, item.value, item.reason) for item in server.revoked] == [
        (RevocationKind.SESSION, shown["session"], "revoked")
    ]


async def test_unknown_name_and_wrong_password_look_alike(server: Party) -> None:
    """Nothing in the answer tells which of both was wrong."""
    async with server.client() as client:
        wrong = await client.post("/api/session", json={**SIGN_IN, "password": "something else"})
        unknown = await client.post("/api/session", json={**SIGN_IN, "name": "nobody"})
        impossible = await client.post("/api/session", json={**SIGN_IN, "name": "S\x00 'or 1=1"})
    assert problem(wrong) == (401, "credentials_wrong")
    bodies = [{**answer.json(), "request_id": None} for answer in (wrong, unknown, impossible)]
    assert bodies[0] == bodies[1] == bodies[2]
    assert len({answer.headers["content-length"] for answer in (wrong, unknown, impossible)}) == 1


async def test_a_failed_sign_in_logs_no_typed_name(server: Party, caplog: pytest.LogCaptureFixture) -> None:
    """People type passwords into the name field; only names of accounts reach the log."""
    word = canary()
    with caplog.at_level(logging.INFO, "portcullis.security"):
        async with server.client() as client:
            await client.post("/api/session", json={"name": word, "password": word})
            await client.post("/api/session", json={**SIGN_IN, "password": word})
    records = [record for record in caplog.records if record.message == "sign_in_failed"]
    assert [record.__dict__["user"] for record in records] == [None, "alice"]
    assert not any(word in str(vars(record)) for record in caplog.records)


async def test_sign_in_again_rotates(server: Party) -> None:
    """Each sign-in is a new session and ends the one that the browser had."""
    client = await server.signed_in("alice")
    first = (await client.get("/api/session")).json()["session"]
    second = (await client.post("/api/session", json=SIGN_IN)).json()["session"]
    assert first != second
    assert [item.value for item in server.revoked] == [first]
    listed = (await client.get("/api/sessions")).json()["sessions"]
    assert [(item["id"], item["current"]) for item in listed] == [(second, True)]


async def test_a_stale_cookie_does_not_disturb_sign_in(server: Party) -> None:
    """Whatever cookie a browser still has, it can sign in."""
    async with server.client(Cookie=f"__Host-session={'A' * 43}") as client:
        answer = await client.post("/api/session", json=SIGN_IN)
    assert answer.status_code == 200
    assert server.revoked == []


async def test_own_sessions(server: Party) -> None:
    """A user lists sessions with address and agent, and ends one of them, but none of another user."""
    await server.account("bob")
    mine = await server.signed_in("alice")
    other = await server.signed_in("alice", "2001:db8::5")
    bobs = await server.signed_in("bob")
    listed = (await mine.get("/api/sessions")).json()["sessions"]
    assert [item["address"] for item in listed] == [ADDRESS, "2001:db8::5"]
    assert listed[0]["agent"].startswith("python-httpx")
    assert problem(await bobs.delete(f"/api/sessions/{listed[1]['id']}")) == (404, "not_found")
    assert (await mine.delete(f"/api/sessions/{listed[1]['id']}")).status_code == 204
    assert problem(await other.get("/api/session")) == (401, "token_invalid")
    assert (await mine.get("/api/session")).status_code == 200


async def test_one_time_password(server: Party) -> None:
    """It opens nothing but the choice of a new password, which must be fit."""
    await server.account("carol", one_time=True)
    body = {"name": "carol", "password": PASSWORD}
    async with server.client() as client:
        assert problem(await client.post("/api/session", json=body)) == (403, "password_change_required")
        for unfit in ("short", PASSWORD):
            answer = await client.post("/api/session", json={**body, "new_password": unfit})
            assert problem(answer) == (422, "invalid")
            assert answer.json()["errors"][0]["field"] == "new_password"
        chosen = {**body, "new_password": "my very own words"}
        assert (await client.post("/api/session", json=chosen)).status_code == 200
        again = await client.post("/api/session", json={"name": "carol", "password": "my very own words"})
        assert again.status_code == 200


async def test_new_password_is_only_for_one_time_passwords(server: Party) -> None:
    """Ignoring it silently would let the user believe that the password was changed."""
    async with server.client() as client:
        answer = await client.post("/api/session", json={**SIGN_IN, "new_password": "my very own words"})
    assert problem(answer) == (422, "invalid")


async def test_change_password(server: Party) -> None:
    """The other sessions end, this one goes on, and only the new password opens."""
    mine = await server.signed_in("alice")
    other = await server.signed_in("alice")
    new = {"password": PASSWORD, "new_password": "another set of words"}
    assert problem(await mine.post("/api/password", json={**new, "password": "no"})) == (401, "credentials_wrong")
    assert problem(await mine.post("/api/password", json={**new, "new_password": "short"})) == (422, "invalid")
    assert (await mine.post("/api/password", json=new)).status_code == 204
    assert problem(await other.get("/api/session")) == (401, "token_invalid")
    assert (await mine.get("/api/session")).status_code == 200
    async with server.client("192.0.2.99") as client:
        assert problem(await client.post("/api/session", json=SIGN_IN)) == (401, "credentials_wrong")


async def test_sign_in_is_limited_per_account_and_address(server: Party) -> None:
    """Stuffing one account from one address ends after five; the victim elsewhere is not locked out."""
    async with server.client() as attacker:
        for _ in range(5):
            answer = await attacker.post("/api/session", json={**SIGN_IN, "password": "guess"})
            assert problem(answer) == (401, "credentials_wrong")
        answer = await attacker.post("/api/session", json=SIGN_IN)
    assert problem(answer) == (429, "rate_limited")
    assert answer.json()["limit"] == "sign_ins_per_account"
    assert 0 < answer.json()["retry_after"] <= 12
    assert (await (await server.signed_in("alice", "192.0.2.2")).get("/api/session")).status_code == 200


async def test_sign_in_is_limited_per_address(server: Party) -> None:
    """Trying many accounts from one address ends after twenty and what the time has added, over a whole IPv6 /64."""
    began, tried = time.monotonic(), 0
    while True:
        async with server.client(f"2001:db8:0:1::{tried:x}") as client:
            body = {"name": f"user{tried}", "password": "guess"}
            answer = await client.post("/api/session", json=body)
        if answer.status_code != 401:
            break
        tried += 1
    assert 20 <= tried <= 20 + (time.monotonic() - began) / 3
    assert problem(answer) == (429, "rate_limited")
    assert answer.json()["limit"] == "sign_ins_per_address"


async def test_password_changes_are_limited_too(server: Party) -> None:
    """A stolen cookie is no way to guess the password without limit."""
    client = await server.signed_in("alice")
    body = {"password": "guess", "new_password": "another set of words"}
    answers = [await client.post("/api/password", json=body) for _ in range(5)]
    assert problem(answers[-1]) == (429, "rate_limited")


async def test_disabled_and_banned(server: Party) -> None:
    """Known only to whoever has the password; an address ban is told to anybody."""
    store = server.backends.store
    alice, admin = UserName("alice"), UserName("admin")
    client = await server.signed_in("alice")
    await store.add_ban(BanKind.USER, "alice", None, "spam", admin)
    async with server.client("192.0.2.3") as other:
        assert problem(await other.post("/api/session", json=SIGN_IN)) == (403, "account_banned")
        wrong = {**SIGN_IN, "password": "no"}
        assert problem(await other.post("/api/session", json=wrong)) == (401, "credentials_wrong")
        assert problem(await client.get("/api/session")) == (403, "account_banned")
        await store.set_disabled(alice, True)
        assert problem(await other.post("/api/session", json=SIGN_IN)) == (403, "account_disabled")
        assert problem(await client.get("/api/session")) == (403, "account_disabled")
        await store.set_disabled(alice, False)
        await store.lift_ban(1)
        await store.add_ban(BanKind.ADDRESS, "192.0.2.3", None, "spam", admin)
        assert problem(await other.post("/api/session", json=SIGN_IN)) == (403, "ip_banned")


async def test_gate_of_every_route(server: Party) -> None:
    """Host, client address and Origin are judged before anything else."""
    await server.account("dora")
    client = await server.signed_in("dora")
    cookie = f"__Host-session={client.cookies['__Host-session']}"
    foreign = {"Origin": "https://localhost:8443.evil.example"}

    async def refused(address: str | None = ADDRESS, origin: str | None = ORIGIN, **headers: str) -> tuple[int, str]:
        async with server.client(address, origin=origin, Cookie=cookie) as sender:
            return problem(await sender.delete("/api/session", headers=headers))

    assert await refused(Host="evil.example") == (400, "host_unknown")
    assert await refused(None) == (400, "handshake_invalid")
    assert await refused("not an address") == (400, "handshake_invalid")
    assert await refused(origin=None) == (403, "origin_forbidden")
    assert await refused(origin=None, **foreign) == (403, "origin_forbidden")
    assert await refused(origin="null") == (403, "origin_forbidden")
    async with server.client(origin=None) as sender:
        assert (await sender.post("/api/session", json=SIGN_IN)).status_code == 200
        answer = await sender.post("/api/session", json=SIGN_IN, headers=foreign)
        assert problem(answer) == (403, "origin_forbidden")
    async with server.client(origin=None, Cookie=cookie) as reader:
        assert (await reader.get("/api/session")).status_code == 200


async def test_credentials_that_are_none(server: Party) -> None:
    """Absent, doubled and odd credentials are refused by name."""
    value = "A" * 43
    async with server.client() as client:
        assert problem(await client.get("/api/session")) == (401, "credential_missing")
        assert problem(await client.get("/api/sessions")) == (401, "credential_missing")
        for cookie in (f"__Host-session={value}; __Host-session={value}", "__Host-session=", "__Host-session=x"):
            answer = await client.get("/api/session", headers={"Cookie": cookie})
            assert problem(answer) == (401, "token_invalid")
        basic = await client.get("/api/sessions", headers={"Authorization": "Basic YTpi"})
        assert problem(basic) == (401, "token_invalid")
        other = await client.get("/api/session", headers={"Cookie": "theme=dark; lang=en"})
        assert problem(other) == (401, "credential_missing")


async def test_validation_never_repeats_a_value(server: Party) -> None:
    """The fields are named; what was in them may be a password and comes back nowhere."""
    word = canary()
    bodies = [
        {"name": "alice", "password": word * 20},
        {"name": [word], "password": {"a": word}},
        {"name": "alice"},
        {"name": "alice", "password": word, "room_id": word},
        word,
    ]
    async with server.client() as client:
        for body in bodies:
            answer = await client.post("/api/session", json=body)
            assert problem(answer) == (422, "invalid")
            assert word not in answer.text
        unknown = await client.post("/api/session", json=bodies[3])
        assert [item["field"] for item in unknown.json()["errors"]] == ["room_id"]
        for raw in (b'{"name": "' + word.encode(), b'{"name":"alice","password":"\\ud800"}', b"\xff\xfe", b"[" * 9000):
            answer = await client.post("/api/session", content=raw, headers={"Content-Type": "application/json"})
            assert problem(answer)[1] == "invalid"
            assert word not in answer.text
        form = await client.post("/api/session", data=SIGN_IN)
        assert problem(form)[1] == "invalid"


async def test_busy_hashing_is_told(tmp_path: Path) -> None:
    """More sign-ins at once than threads and queue hold: some are asked to come again, none waits for long."""
    async with party(tmp_path, argon2_threads=1, argon2_queue=1) as server:
        await server.account("alice")

        async def attempt(number: int) -> int:
            async with server.client(f"192.0.2.{number}") as client:
                answer = await client.post("/api/session", json=SIGN_IN)
                if answer.status_code == 503:
                    assert problem(answer) == (503, "busy")
                return answer.status_code

        statuses = await asyncio.gather(*(attempt(number) for number in range(1, 9)))
        assert set(statuses) == {200, 503}


async def test_store_down(server: Party) -> None:
    """Without its store the server says so, and that a retry is worth it."""
    client = await server.signed_in("alice")
    await server.backends.store.close()
    answer = await client.get("/api/session")
    assert problem(answer) == (503, "backend_down")
    assert answer.headers["retry-after"] == "2"


async def test_unknown_paths_and_methods(server: Party) -> None:
    """Also what does not exist answers with a problem body."""
    async with server.client() as client:
        assert problem(await client.get("/api/nothing")) == (404, "not_found")
        assert problem(await client.get("/metrics")) == (404, "not_found")
        answer = await client.put("/api/session")
        assert problem(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"]


async def test_end_unknown_session(server: Party) -> None:
    """An id that is nobody's is a 404."""
    client = await server.signed_in("alice")
    assert problem(await client.delete(f"/api/sessions/{SessionId('nobody')}")) == (404, "not_found")
