"""Sessions, revoked tokens and used tickets: what speaks for and against a credential."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from app.model import DEFAULT_ROOM, Address, BanKind, Session, SessionId, UserName
from app.store import Standing, Store
from app.store_sessions import Pass
from app.verdict import CloseCode
from tests.contract.folk import ANN, BOB
from tests.contract.house import HOME, opened


def a_session(name: str, user: UserName = ANN, created_at: float = 100.0) -> Session:
    """A session that ends 1000 seconds after it began."""
    return Session(SessionId(name), user, created_at, created_at, created_at + 1000, "agent", "192.0.2.1")


async def test_sessions_are_found_by_their_secret_and_end_once(store: Store) -> None:
    """A user sees and ends only their own."""
    await store.create_account(ANN, "hash")
    await store.create_account(BOB, "hash")
    late, early, bobs = a_session("s2", created_at=200.0), a_session("s1"), a_session("s3", BOB)
    for session in (late, early, bobs):
        await store.open_session(session, session.id.encode())
    assert await store.session(b"s1") == early
    assert await store.session(b"unknown") is None
    assert await store.sessions(ANN) == [early, late]
    assert not await store.end_session(ANN, SessionId("s3"))
    assert await store.end_session(ANN, SessionId("s1"))
    assert not await store.end_session(ANN, SessionId("s1"))
    assert await store.session(b"s1") is None
    assert await store.sessions(BOB) == [bobs]


async def test_ending_sessions_keeps_the_one_that_asks(store: Store) -> None:
    """The ids that ended are the ones whose sockets have to close."""
    await store.create_account(ANN, "hash")
    for name in ("a", "b", "c"):
        await store.open_session(a_session(name), name.encode())
    assert sorted(await store.end_sessions(ANN, SessionId("b"))) == ["a", "c"]
    assert await store.end_sessions(ANN) == ["b"]
    assert await store.end_sessions(ANN) == []


async def test_a_session_needs_its_account_and_a_secret_of_its_own(store: Store) -> None:
    """Foreign keys are on; two sessions never share a cookie."""
    with pytest.raises(IntegrityError):
        await store.open_session(a_session("orphan"), b"x")
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("a"), b"x")
    with pytest.raises(IntegrityError):
        await store.open_session(a_session("b"), b"x")


async def test_touching_moves_sessions_forward_only(store: Store) -> None:
    """Many ids at once, unknown ones among them; a late touch changes nothing."""
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("a"), b"a")
    await store.open_session(a_session("b"), b"b")
    many = [SessionId(f"unknown-{n}") for n in range(12_000)]
    await store.touch_sessions([*many, SessionId("a")], 150.0)
    await store.touch_sessions([SessionId("a")], 120.0)
    await store.touch_sessions([], 999.0)
    assert await store.session(b"a") == replace(a_session("a"), seen_at=150.0)
    assert await store.session(b"b") == a_session("b")


async def test_a_ticket_is_used_once_whoever_asks(url: str) -> None:
    """Forty attempts at once over two stores: exactly one True."""
    async with opened(url) as one, opened(url) as two:
        answers = await asyncio.gather(*(store.use_ticket("t", 1e12) for _ in range(20) for store in (one, two)))
        assert sorted(answers) == [False] * 39 + [True]
        assert await one.use_ticket("another", 1e12)


async def test_standing_of_a_good_credential_and_of_an_unknown_account(store: Store) -> None:
    """Nothing is held against the one; of the other there is no account."""
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("s"), b"s")
    account = await store.account(ANN)
    assert await store.standing(ANN, HOME, SessionId("s"), "jti", 500.0) == Standing(account, True, False, False)
    assert await store.standing(ANN, HOME, None, None, 500.0) == Standing(account, True, False, False)
    assert await store.standing(BOB, HOME, None, None, 500.0) == Standing(None, True, False, False)


async def test_standing_sees_each_thing_held_against_a_credential(store: Store) -> None:
    """An expired or missing session, a revoked token, a banned address, a disabled account: each by itself."""
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("s"), b"s")
    await store.revoke_token("bad", 2000.0)
    await store.revoke_token("bad", 2000.0)
    await store.add_ban(BanKind.ADDRESS, "192.0.2.9", 700.0, "spam", BOB)
    await store.set_disabled(ANN, True)

    async def ask(address: str, session: str, token: str, now: float) -> tuple[bool, bool, bool]:
        found = await store.standing(ANN, Address(address), SessionId(session), token, now)
        assert found.account is not None
        assert found.account.disabled
        return found.session_live, found.token_revoked, found.address_banned

    assert await ask(HOME, "s", "good", 500.0) == (True, False, False)
    assert await ask(HOME, "s", "good", 1100.0) == (False, False, False)
    assert await ask(HOME, "gone", "good", 500.0) == (False, False, False)
    assert await ask(HOME, "s", "bad", 500.0) == (True, True, False)
    assert await ask("192.0.2.9", "s", "good", 699.0) == (True, False, True)
    assert await ask("192.0.2.9", "s", "good", 700.0) == (True, False, False)


async def test_what_has_ended_is_found_among_many_passes(store: Store) -> None:
    """Each by its place and with the code to close by; those that hold, and who is unknown, are left out."""
    banned, off, away = UserName("banned"), UserName("off"), UserName("away")
    for user in (ANN, BOB, banned, off, away):
        await store.create_account(user, "hash")
    await store.open_session(a_session("s"), b"s")
    await store.open_session(a_session("over", created_at=-900.0), b"over")
    await store.revoke_token("bad", 2000.0)
    await store.add_ban(BanKind.ADDRESS, "192.0.2.9", 700.0, "spam", BOB)
    await store.add_ban(BanKind.USER, "banned", None, "spam", BOB)
    await store.add_ban(BanKind.USER, "away", 400.0, "spam", BOB)
    await store.set_disabled(off, True)
    home, there = HOME, Address("192.0.2.9")
    passes: list[Pass] = [
        (ANN, home, SessionId("s"), "good"),
        (ANN, home, SessionId("over"), None),
        (ANN, home, SessionId("gone"), None),
        (BOB, home, None, "bad"),
        (BOB, home, None, "good"),
        (BOB, there, None, "good"),
        (banned, home, None, "good"),
        (off, home, None, None),
        (UserName("nobody"), home, None, None),
        (away, home, None, None),
    ]
    assert await store.ended(passes, 500.0) == {
        1: CloseCode.CREDENTIAL_EXPIRED,
        2: CloseCode.REVOKED,
        3: CloseCode.REVOKED,
        5: CloseCode.IP_BANNED,
        6: CloseCode.ACCOUNT_BANNED,
        7: CloseCode.ACCOUNT_DISABLED,
    }
    assert await store.ended([], 500.0) == {}


async def test_a_restored_store_has_another_epoch_and_no_session(store: Store) -> None:
    """Nobody goes on by what they had before; accounts stay."""
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("s"), b"s")
    before = await store.room(DEFAULT_ROOM)
    await store.renew()
    after = await store.room(DEFAULT_ROOM)
    assert before and after and before.epoch != after.epoch and len(after.epoch) == len(before.epoch)
    assert await store.session(b"s") is None
    assert await store.account(ANN)


async def test_sweeping_removes_what_is_over_and_nothing_else(store: Store) -> None:
    """Revocations and used tickets stay for the clocks' leeway, so that no token comes back to life."""
    await store.create_account(ANN, "hash")
    await store.open_session(a_session("old", created_at=0.0), b"old")
    await store.open_session(a_session("new", created_at=500.0), b"new")
    await store.revoke_token("dead", 1000.0)
    await store.revoke_token("alive", 1400.0)
    await store.use_ticket("dead", 1000.0)
    await store.use_ticket("alive", 1400.0)
    await store.add_ban(BanKind.USER, "ann", 1000.0, "over", BOB)
    kept = await store.add_ban(BanKind.USER, "ann", None, "for good", BOB)
    await store.sweep(1001.0)
    assert await store.session(b"old") is not None
    assert await store.session(b"new") is not None
    assert await store.bans() == [kept]
    assert not await store.use_ticket("dead", 1000.0)
    await store.sweep(1200.0)
    assert await store.session(b"old") is None
    assert await store.use_ticket("dead", 1000.0)
    assert not await store.use_ticket("alive", 1400.0)
    assert not (await store.standing(ANN, HOME, None, "dead", 0.0)).token_revoked
    assert (await store.standing(ANN, HOME, None, "alive", 0.0)).token_revoked
