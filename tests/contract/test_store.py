"""What every backend of the store must keep to. PostgreSQL joins by one more entry in BACKENDS."""

from __future__ import annotations

import asyncio
import math
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from app.model import (
    DEFAULT_ROOM,
    Account,
    Address,
    BanKind,
    Event,
    Post,
    RoomId,
    Session,
    SessionId,
    Stored,
    UserName,
)
from app.store import Standing, Store, StoreDown
from app.verdict import Denied, ErrorCode

BACKENDS = ("sqlite",)
ROOT = Path(__file__).parents[2]
ANN, BOB = UserName("ann"), UserName("bob")
HOME = Address("192.0.2.1")


@pytest.fixture(params=BACKENDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated store."""
    assert request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/data/chat.db"
    Store.migrate(url)
    yield url


@asynccontextmanager
async def opened(url: str, seconds: float = 20.0) -> AsyncIterator[Store]:
    """A store that is closed whatever happens."""
    store = Store(url, seconds)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """An open store."""
    async with opened(url) as store:
        yield store


def post(message: str, client_id: str | None = None, sender: UserName = ANN) -> Post:
    """A post to the default room."""
    return Post(DEFAULT_ROOM, sender, message, client_id)


async def everything(store: Store) -> list[Event]:
    """All events of the default room."""
    events: list[Event] = []
    while page := await store.events(DEFAULT_ROOM, events[-1].offset if events else 0, 1000):
        events += page
    return events


async def test_the_default_room_is_there_and_empty_and_has_an_epoch(store: Store) -> None:
    """A fresh store can be joined at once; what is not a room has no state."""
    state = await store.room(DEFAULT_ROOM)
    assert state is not None
    assert (state.room, state.offset) == (DEFAULT_ROOM, 0)
    assert len(state.epoch) == 16
    assert await store.room(RoomId("nowhere")) is None
    assert await store.events(DEFAULT_ROOM, 0, 10) == []
    await store.ping()


async def test_two_stores_have_different_epochs(store: Store, tmp_path: Path) -> None:
    """An epoch names one history."""
    url = f"sqlite:///{tmp_path}/other.db"
    Store.migrate(url)
    async with opened(url) as other:
        here, there = await store.room(DEFAULT_ROOM), await other.room(DEFAULT_ROOM)
    assert here is not None
    assert there is not None
    assert here.epoch != there.epoch


async def test_a_batch_is_stored_in_order_from_offset_one(store: Store) -> None:
    """Answers come in the posts' order, carry what was stored, and the room moves along."""
    before = time.time()
    stored = await store.append([post("one"), post("two", "id-2", BOB), post("three")])
    events = [item.event for item in stored]
    assert [(event.offset, event.sender, event.message) for event in events] == [
        (1, ANN, "one"),
        (2, BOB, "two"),
        (3, ANN, "three"),
    ]
    assert before <= events[0].timestamp <= events[2].timestamp <= time.time()
    assert not any(item.repeated for item in stored)
    assert await everything(store) == events
    state = await store.room(DEFAULT_ROOM)
    assert state is not None
    assert state.offset == 3


async def test_an_empty_batch_stores_nothing(store: Store) -> None:
    """No posts, no offsets, no error."""
    assert await store.append([]) == []


async def test_text_comes_back_as_it_went_in(store: Store) -> None:
    """Quotes, backslashes, new lines and characters beyond the BMP survive, in the text and in the client's id."""
    texts = ["'; DROP TABLE events; --", "a\nb", "\\u0000 \\", "👋🏽 ₿ ﷽", '"quoted"', "x" * 10_000]
    posts = [post(text, f"{text[:60]}-id") for text in texts]
    first = await store.append(posts)
    again = await store.append(posts)
    assert [item.event.message for item in first] == texts
    assert [item.event for item in again] == [item.event for item in first]
    assert [event.message for event in await everything(store)] == texts


async def test_one_client_id_gets_one_offset_within_a_batch_and_across(store: Store) -> None:
    """A repeat is answered with the first event, marked as repeated, and stored nowhere."""
    first = await store.append([post("hi", "a"), post("hi again", "a"), post("other", "b")])
    later = await store.append([post("changed", "a"), post("new", "c")])
    assert [(item.event.offset, item.repeated) for item in first] == [(1, False), (1, True), (2, False)]
    assert [(item.event.offset, item.event.message, item.repeated) for item in later] == [
        (1, "hi", True),
        (3, "new", False),
    ]
    assert later[0].event == first[0].event
    assert [event.offset for event in await everything(store)] == [1, 2, 3]


async def test_client_ids_of_different_senders_and_posts_without_one_never_meet(store: Store) -> None:
    """The id is the sender's own; without one, equal texts are two posts."""
    stored = await store.append([post("hi", "a", ANN), post("hi", "a", BOB), post("hi"), post("hi")])
    assert [(item.event.offset, item.repeated) for item in stored] == [(n, False) for n in (1, 2, 3, 4)]


async def test_a_post_to_an_unknown_room_is_refused_by_itself(store: Store) -> None:
    """What else was in its batch is stored, without a gap."""
    lost, kept = await store.append([Post(RoomId("nowhere"), ANN, "lost"), post("kept")])
    assert lost == Denied(ErrorCode.ROOM_UNKNOWN)
    assert isinstance(kept, Stored)
    assert kept.event.offset == 1
    assert len(await everything(store)) == 1


async def test_timestamps_never_go_back_when_the_clock_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room's events are as ordered in time as in offset."""
    now = time.time()
    first = await store.append([post("now")])
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    second = await store.append([post("an hour ago, says the clock")])
    assert second[0].event.timestamp == first[0].event.timestamp


async def test_events_are_read_by_offset_and_bounded(store: Store) -> None:
    """`after` is exclusive; the limit is at most 1000 and never negative."""
    await store.append([post(str(n)) for n in range(1, 1101)])
    assert [event.offset for event in await store.events(DEFAULT_ROOM, 3, 2)] == [4, 5]
    assert len(await store.events(DEFAULT_ROOM, 0, 5000)) == 1000
    assert await store.events(DEFAULT_ROOM, 0, -1) == []
    assert await store.events(RoomId("nowhere"), 0, 10) == []


async def test_concurrent_writers_get_consecutive_offsets_and_one_for_each_id(url: str) -> None:
    """Two stores on one database, 120 tasks, ids sent up to four times: no gap, no double."""
    dice = random.Random(2)  # noqa: S311
    answers: dict[str, set[int]] = {}

    async def send(store: Store, ids: list[str]) -> None:
        for name, item in zip(ids, await store.append([post("x", name) for name in ids]), strict=True):
            answers.setdefault(name, set()).add(item.event.offset)

    async with opened(url) as one, opened(url) as two:
        batches = [[f"id-{dice.randrange(400)}" for _ in range(dice.randrange(1, 12))] for _ in range(120)]
        await asyncio.gather(*(send(dice.choice((one, two)), ids) for ids in batches))
        events = await everything(one)
    assert [event.offset for event in events] == list(range(1, len(answers) + 1))
    assert all(len(offsets) == 1 for offsets in answers.values())
    assert sorted(min(offsets) for offsets in answers.values()) == [event.offset for event in events]


APPENDER = """
import asyncio, sys
from app.model import DEFAULT_ROOM, Post, UserName
from app.store import Store

async def main():
    store = Store(sys.argv[1], 20.0)
    await store.open()
    for batch in range(10**6):
        await store.append([Post(DEFAULT_ROOM, UserName("ann"), "x" * 200, f"{batch}-{n}") for n in range(50)])
        print(batch, flush=True)

asyncio.run(main())
"""


async def test_kill_9_while_appending_leaves_whole_batches_without_a_gap(url: str) -> None:
    """Three times in a row: every acked batch is there, at most one more, and each one whole."""
    acked = 0
    for _ in range(3):
        acked += _append_until_killed(url, batches=15, first=acked)
    async with opened(url) as store:
        events = await everything(store)
    assert [event.offset for event in events] == list(range(1, len(events) + 1))
    assert len(events) % 50 == 0
    assert acked * 50 <= len(events) <= (acked + 3) * 50


def _append_until_killed(url: str, batches: int, first: int) -> int:
    script = APPENDER.replace("range(10**6)", f"range({first * 1000}, 10**6)")
    process = subprocess.Popen([sys.executable, "-c", script, url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(batches)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return len([line for line in lines if line.endswith("\n")])


async def test_accounts_are_created_once(store: Store) -> None:
    """A name is one account; what was given is what is read."""
    assert not await store.accounts_exist()
    assert await store.create_account(ANN, "hash-1", admin=True, one_time=True)
    assert not await store.create_account(ANN, "hash-2")
    assert await store.accounts_exist()
    assert await store.account(ANN) == Account(ANN, True, False, "hash-1", True)
    assert await store.account(BOB) is None


async def test_two_creations_at_once_make_one_account(store: Store) -> None:
    """Exactly one of many callers is told that it created the account."""
    answers = await asyncio.gather(*(store.create_account(ANN, f"hash-{n}") for n in range(20)))
    assert sorted(answers) == [False] * 19 + [True]


async def test_upper_case_names_are_refused_by_the_table(store: Store) -> None:
    """A caller that forgot to validate is a bug, and bugs are not outages."""
    with pytest.raises(IntegrityError):
        await store.create_account(UserName("Ann"), "hash")


async def test_a_new_password_lifts_the_one_time_mark(store: Store) -> None:
    """Only accounts that exist can get a password or be disabled."""
    await store.create_account(ANN, "hash-1", one_time=True)
    assert await store.set_password(ANN, "hash-2")
    assert await store.set_disabled(ANN, True)
    assert await store.account(ANN) == Account(ANN, False, True, "hash-2", False)
    assert await store.set_disabled(ANN, False)
    assert await store.account(ANN) == Account(ANN, False, False, "hash-2", False)
    assert not await store.set_password(BOB, "hash")
    assert not await store.set_disabled(BOB, True)


async def test_an_external_subject_keeps_the_account_of_its_first_sight(store: Store) -> None:
    """The wish counts once and only when it is free; a taken name is never handed to another subject."""
    await store.create_account(ANN, "hash")
    carl = await store.external_account("https://idp", "1", "carl")
    other = await store.external_account("https://idp", "2", "carl")
    thief = await store.external_account("https://idp", "3", "ann")
    nameless = await store.external_account("https://other", "1", "")
    assert carl == Account(UserName("carl"), False, False, None, False)
    names = [account.name for account in (other, thief, nameless)]
    assert len(set(names)) == 3
    assert all(name.startswith("ext-") and len(name) == 12 for name in names)
    assert await store.external_account("https://idp", "1", "another-wish") == carl
    assert await store.external_account("https://idp", "3", "ann") == thief


async def test_an_external_account_is_one_under_races(url: str) -> None:
    """Twenty first sights at once over two stores provision one account."""
    async with opened(url) as one, opened(url) as two:
        found = await asyncio.gather(
            *(store.external_account("https://idp", "7", "dora") for _ in range(10) for store in (one, two))
        )
    assert {account.name for account in found} == {"dora"}


async def test_external_names_go_on_when_the_first_one_is_taken(store: Store, tmp_path: Path) -> None:
    """Eight hexadecimal digits may collide; the next ones are tried."""
    url = f"sqlite:///{tmp_path}/other.db"
    Store.migrate(url)
    first = await store.external_account("https://idp", "9", "")
    async with opened(url) as other:
        await other.create_account(first.name, "hash")
        second = await other.external_account("https://idp", "9", "")
    assert second.name.startswith("ext-")
    assert second.name != first.name


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


async def test_the_longest_ban_in_force_counts(store: Store) -> None:
    """Bans of one user may overlap; one without an end lasts until it is lifted; another's is not ours."""
    await store.create_account(ANN, "hash")
    now = time.time()

    async def until() -> float | None:
        standing, account = await store.standing(ANN, HOME, None, None, now), await store.account(ANN)
        assert standing.account == account
        assert account is not None
        return account.banned_until

    await store.add_ban(BanKind.USER, "bob", None, "not ann", BOB)
    await store.add_ban(BanKind.ADDRESS, "ann", None, "not a user", BOB)
    await store.add_ban(BanKind.USER, "ann", now - 5, "over", BOB)
    assert await until() is None
    await store.add_ban(BanKind.USER, "ann", now + 500, "long", BOB)
    await store.add_ban(BanKind.USER, "ann", now + 100, "short", BOB)
    assert await until() == now + 500
    forever = await store.add_ban(BanKind.USER, "ann", None, "for good", BOB)
    assert await until() == math.inf
    assert await store.lift_ban(forever.id)
    assert await until() == now + 500


async def test_bans_are_listed_as_they_were_made_and_lifted_once(store: Store) -> None:
    """Ids are never used again, so that a note about one stays true."""
    first = await store.add_ban(BanKind.USER, "ann", None, "rude", BOB)
    second = await store.add_ban(BanKind.ADDRESS, "2001:db8::/64", 1e12, "spam", BOB)
    assert await store.bans() == [first, second]
    assert (first.kind, first.value, first.until, first.reason, first.by) == (BanKind.USER, "ann", None, "rude", BOB)
    assert await store.lift_ban(second.id)
    assert not await store.lift_ban(second.id)
    assert await store.bans() == [first]
    third = await store.add_ban(BanKind.USER, "ann", None, "again", BOB)
    assert third.id > second.id


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
    assert await store.session(b"old") is None
    assert await store.session(b"new") is not None
    assert await store.bans() == [kept]
    assert not await store.use_ticket("dead", 1000.0)
    await store.sweep(1200.0)
    assert await store.use_ticket("dead", 1000.0)
    assert not await store.use_ticket("alive", 1400.0)
    assert not (await store.standing(ANN, HOME, None, "dead", 0.0)).token_revoked
    assert (await store.standing(ANN, HOME, None, "alive", 0.0)).token_revoked


async def test_what_was_stored_is_there_after_a_restart(url: str) -> None:
    """Offsets, ids and the epoch go on where they were."""
    async with opened(url) as store:
        first = await store.append([post("one", "a")])
        state = await store.room(DEFAULT_ROOM)
    async with opened(url) as store:
        assert await store.room(DEFAULT_ROOM) == state
        again = await store.append([post("one", "a"), post("two")])
    assert again[0].event == first[0].event
    assert again[1].event.offset == 2


async def test_a_closed_store_is_down(url: str) -> None:
    """Late callers during a shutdown see an outage, not a crash; closing twice is harmless."""
    store = Store(url, 1.0)
    with pytest.raises(StoreDown, match="not open"):
        await store.ping()
    await store.open()
    await store.close()
    await store.close()
    with pytest.raises(StoreDown, match="not open"):
        await store.append([post("late")])


async def test_every_verb_is_timed(url: str) -> None:
    """The observer hears the verb and its seconds."""
    heard: list[tuple[str, float]] = []
    store = Store(url, 20.0, lambda verb, seconds: heard.append((verb, seconds)))
    await store.open()
    try:
        await store.append([post("x")])
        await store.accounts_exist()
    finally:
        await store.close()
    assert [verb for verb, _ in heard[-2:]] == ["append", "accounts_exist"]
    assert all(0.0 < seconds < 20.0 for _, seconds in heard)
