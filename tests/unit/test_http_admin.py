"""Administration over HTTP: accounts, bans, revocations; and who may do it."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from app.model import Revocation, RevocationKind
from tests.unit.identity_provider import provider, token
from tests.unit.party import Party, SharedClock, canary, external, party, problem

KEY = ec.generate_private_key(ec.SECP256R1())
HOME = "198.51.100.1"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Party]:
    with provider() as idp:
        idp.status = 503
        async with party(tmp_path, issuers=(external(idp.url),)) as server:
            await server.account("admin", admin=True)
            await server.account("alice")
            yield server


@pytest.fixture
async def admin(server: Party) -> httpx.AsyncClient:
    return await server.signed_in("admin", HOME)


ROUTES = [
    ("POST", "/api/accounts", {"name": "bob"}),
    ("PATCH", "/api/accounts/alice", {"disabled": True}),
    ("DELETE", "/api/accounts/alice/sessions", None),
    ("POST", "/api/bans", {"user": "alice", "reason": ""}),
    ("GET", "/api/bans", None),
    ("DELETE", "/api/bans/1", None),
    ("GET", "/api/cooldowns", None),
    ("DELETE", "/api/cooldowns/alice", None),
    ("GET", "/api/nodes", None),
    ("PUT", "/api/nodes/here/drain", None),
    ("DELETE", "/api/nodes/here/drain", None),
    ("POST", "/api/revocations", {"jti": "x"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_only_administrators(server: Party, method: str, path: str, body: object) -> None:
    """Each route by itself refuses strangers and other users, and changes nothing."""
    client = await server.signed_in("alice")
    assert problem(await client.request(method, path, json=body)) == (403, "admin_required")
    async with server.client() as stranger:
        assert problem(await stranger.request(method, path, json=body)) == (401, "credential_missing")
    assert server.revoked == []


async def test_administrators_by_token(server: Party, admin: httpx.AsyncClient) -> None:
    """A script may use an access token instead of the cookie."""
    made = (await admin.post("/api/tokens")).json()["access_token"]
    async with server.client(origin=None, Authorization=f"Bearer {made}") as script:
        assert (await script.get("/api/bans")).json() == {"bans": []}


async def test_create_account(server: Party, admin: httpx.AsyncClient) -> None:
    """The password is shown once and has to be changed at the first sign-in."""
    answer = await admin.post("/api/accounts", json={"name": "bob", "admin": True})
    assert answer.status_code == 201
    body = {"name": "bob", "password": answer.json()["password"]}
    async with server.client() as bob:
        assert problem(await bob.post("/api/session", json=body)) == (403, "password_change_required")
        chosen = await bob.post("/api/session", json={**body, "new_password": "my very own words"})
        assert chosen.json()["admin"] is True
    assert problem(await admin.post("/api/accounts", json={"name": "bob"})) == (409, "name_taken")
    for name in ("system", "5ystem", "Bob", "ab", "a b", ""):
        assert problem(await admin.post("/api/accounts", json={"name": name})) == (422, "invalid")


async def test_disable_and_enable(server: Party, admin: httpx.AsyncClient) -> None:
    """Durable first, then every socket of the user closes with its reason; the sessions are gone for good."""
    alice = await server.signed_in("alice")
    answer = await admin.patch("/api/accounts/alice", json={"disabled": True})
    assert answer.json() == {"name": "alice", "disabled": True}
    assert server.revoked == [Revocation(RevocationKind.USER, "alice", "account_disabled")]
    assert (await admin.patch("/api/accounts/alice", json={"disabled": False})).status_code == 200
    assert problem(await alice.get("/api/session")) == (401, "token_invalid")
    assert problem(await admin.patch("/api/accounts/bob", json={"disabled": True})) == (404, "not_found")
    assert problem(await admin.patch("/api/accounts/admin", json={"disabled": True})) == (409, "own_account")


async def test_end_sessions_of_a_user(server: Party, admin: httpx.AsyncClient) -> None:
    """All of them, and only theirs."""
    sessions = [await server.signed_in("alice") for _ in range(2)]
    ids = [(await client.get("/api/session")).json()["session"] for client in sessions]
    assert (await admin.delete("/api/accounts/alice/sessions")).status_code == 204
    assert sorted(item.value for item in server.revoked) == sorted(ids)
    assert problem(await sessions[0].get("/api/session")) == (401, "token_invalid")
    assert problem(await admin.delete("/api/accounts/bob/sessions")) == (404, "not_found")
    assert (await admin.get("/api/session")).status_code == 200


async def test_ban_and_lift(server: Party, admin: httpx.AsyncClient) -> None:
    """Users until a time, addresses by /64; lifted bans let in again."""
    alice = await server.signed_in("alice", "2001:db8::7")
    user = await admin.post("/api/bans", json={"user": "alice", "seconds": 60, "reason": "spam"})
    assert user.status_code == 201
    assert 55 < user.json()["until"] - time.time() <= 60
    assert (user.json()["kind"], user.json()["by"]) == ("user", "admin")
    place = await admin.post("/api/bans", json={"address": "2001:DB8::9", "reason": "spam"})
    assert (place.json()["value"], place.json()["until"]) == ("2001:db8::/64", None)
    assert server.revoked == [
        Revocation(RevocationKind.USER, "alice", "account_banned"),
        Revocation(RevocationKind.ADDRESS, "2001:db8::/64", "ip_banned"),
    ]
    listed = (await admin.get("/api/bans")).json()["bans"]
    assert listed == [user.json(), place.json()]
    assert problem(await alice.get("/api/session")) == (403, "account_banned")
    assert (await admin.delete(f"/api/bans/{user.json()['id']}")).status_code == 204
    assert problem(await alice.get("/api/session")) == (403, "ip_banned")
    assert (await admin.delete(f"/api/bans/{place.json()['id']}")).status_code == 204
    assert (await alice.get("/api/session")).status_code == 200
    for number in (place.json()["id"], 0, 1 << 70):
        assert problem(await admin.delete(f"/api/bans/{number}")) == (404, "not_found")
    assert problem(await admin.delete("/api/bans/x")) == (422, "invalid")


async def test_cooldowns_are_listed_and_lifted(server: Party, admin: httpx.AsyncClient) -> None:
    """Until when, and gone at once; a name that has none is no reason to fail."""
    assert (await admin.get("/api/cooldowns")).json() == {"cooldowns": []}
    while not (seconds := await server.backends.limiter.strike("alice")):
        pass
    listed = (await admin.get("/api/cooldowns")).json()["cooldowns"]
    assert listed == [{"user": "alice", "until": pytest.approx(time.time() + seconds, abs=5.0)}]
    assert (await admin.delete("/api/cooldowns/alice")).status_code == 204
    assert await server.backends.limiter.cooldown("alice") == 0.0
    assert problem(await admin.delete("/api/cooldowns/alice")) == (404, "not_found")


async def test_the_only_node_is_not_drained(server: Party, admin: httpx.AsyncClient) -> None:
    """Nobody would take its people; and what does not exist is not drained either."""
    (node,) = (await admin.get("/api/nodes")).json()["nodes"]
    assert node == {"name": socket.gethostname(), "processes": 1, "connections": 0, "drained": False}
    path = f"/api/nodes/{node['name']}/drain"
    assert problem(await admin.put(path)) == (409, "last_node")
    assert problem(await admin.delete(path)) == (404, "not_found")
    assert problem(await admin.put("/api/nodes/nowhere/drain")) == (404, "not_found")
    assert not await server.backends.shared.nodes.drained()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"user": "nobody", "reason": ""}, (404, "not_found")),
        ({"user": "admin", "reason": ""}, (409, "own_account")),
        ({"address": HOME, "reason": ""}, (409, "own_account")),
        ({"address": "somewhere", "reason": ""}, (422, "invalid")),
        ({"reason": ""}, (422, "invalid")),
        ({"user": "alice", "address": "192.0.2.9", "reason": ""}, (422, "invalid")),
        ({"user": "alice", "seconds": 0, "reason": ""}, (422, "invalid")),
        ({"user": "alice", "seconds": 1e12, "reason": ""}, (422, "invalid")),
        ({"user": "alice", "reason": "r" * 201}, (422, "invalid")),
        ({"user": "alice", "reason": "", "until": 5}, (422, "invalid")),
    ],
)
async def test_bans_that_are_refused(
    server: Party, admin: httpx.AsyncClient, body: object, expected: tuple[int, str]
) -> None:
    """Nobody is banned by mistake, least of all the administrator."""
    assert problem(await admin.post("/api/bans", json=body)) == expected
    assert server.revoked == []


async def test_revoke_tokens(server: Party, admin: httpx.AsyncClient) -> None:
    """By the token itself or its id; tickets, too."""
    alice = await server.signed_in("alice")
    made = [(await alice.post("/api/tokens")).json()["access_token"] for _ in range(2)]
    ticket = (await alice.post("/api/tickets")).json()["ticket"]
    ids = []
    for value in (made[0], ticket):
        assert (await admin.post("/api/revocations", json={"token": value})).status_code == 204
        ids.append(server.revoked[-1].value)
    claims = await server.backends.auth.verify(made[1])
    assert not isinstance(claims, str)
    assert (await admin.post("/api/revocations", json={"jti": claims.token_id})).status_code == 204
    for value in made:
        async with server.client(origin=None, Authorization=f"Bearer {value}") as script:
            assert problem(await script.get("/api/sessions")) == (401, "token_revoked")
            assert problem(await script.post("/api/tickets")) == (401, "token_revoked")
    async with server.client(origin=None) as late:
        answer = await late.post("/api/tickets", params={"token": ticket})
        assert answer.status_code == 401
    assert len({*ids, claims.token_id}) == 3


async def test_revocations_that_are_refused(server: Party, admin: httpx.AsyncClient) -> None:
    """A token that is none is told so, without repeating it; an expired one needs no revocation."""
    word = canary()
    answer = await admin.post("/api/revocations", json={"token": word})
    assert problem(answer) == (422, "invalid")
    assert word not in answer.text
    assert problem(await admin.post("/api/revocations", json={})) == (422, "invalid")
    assert problem(await admin.post("/api/revocations", json={"token": "a", "jti": "b"})) == (422, "invalid")
    outside = await admin.post("/api/revocations", json={"token": token(KEY, "k1")})
    assert problem(outside) == (503, "backend_down")
    assert server.revoked == []


async def test_an_issuer_that_is_down(server: Party) -> None:
    """Its users are asked to come again, on every route."""
    async with server.client(origin=None, Authorization=f"Bearer {token(KEY, 'k1')}") as script:
        assert problem(await script.get("/api/sessions")) == (503, "backend_down")


async def test_an_expired_token_needs_no_revocation(server: Party, admin: httpx.AsyncClient) -> None:
    """Nothing is left to revoke: done, and nothing is stored or sent."""
    auth = server.backends.auth
    alice = await server.signed_in("alice")
    made = (await alice.post("/api/tokens")).json()["access_token"]
    clock = SharedClock()
    clock.now += 3600
    auth._tokens._clock = clock
    assert (await admin.post("/api/revocations", json={"token": made})).status_code == 204
    assert server.revoked == []
