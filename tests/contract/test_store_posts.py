"""Posts: consecutive offsets, one for each id, all of a batch or nothing."""

from __future__ import annotations

import time

import pytest

from app.model import DEFAULT_ROOM, Post, Stored
from app.roles import Action
from app.store import Store, StoreDown
from app.verdict import Denied, ErrorCode
from tests.contract.folk import ADMIN, ANN, BANNED, BOB, INVITED, MEMBER, OTHER_MEMBER, OUTSIDER, OWNER
from tests.contract.house import (
    NOWHERE,
    ROOM,
    change,
    everything,
    furnish,
    opened,
    passes,
    post,
    refused,
    state_of,
    why,
)


async def test_the_default_room_is_there_and_empty_and_has_an_epoch(store: Store) -> None:
    """A fresh store can be joined at once; what is not a room has no state."""
    state = await store.room(DEFAULT_ROOM)
    assert state is not None
    assert (state.room, state.offset) == (DEFAULT_ROOM, 0)
    assert len(state.epoch) == 16
    assert await store.room(NOWHERE) is None
    assert await store.events(DEFAULT_ROOM, 0, 10) == []
    await store.ping()


async def test_two_stores_have_different_epochs(store: Store, other_url: str) -> None:
    """An epoch names one history."""
    async with opened(other_url) as other:
        here, there = await store.room(DEFAULT_ROOM), await other.room(DEFAULT_ROOM)
    assert here is not None
    assert there is not None
    assert here.epoch != there.epoch


async def test_a_batch_is_stored_in_order_from_offset_one(store: Store) -> None:
    """Answers come in the posts' order, carry what was stored, and the room moves along."""
    before = time.time()
    stored = await passes(store, [post("one"), post("two", "id-2", BOB), post("three")])
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
    first = await passes(store, posts)
    again = await passes(store, posts)
    assert [item.event.message for item in first] == texts
    assert [item.event for item in again] == [item.event for item in first]
    assert [event.message for event in await everything(store)] == texts


async def test_one_client_id_gets_one_offset_within_a_batch_and_across(store: Store) -> None:
    """A repeat is answered with the first event, marked as repeated, and stored nowhere."""
    first = await passes(store, [post("hi", "a"), post("hi again", "a"), post("other", "b")])
    later = await passes(store, [post("changed", "a"), post("new", "c")])
    assert [(item.event.offset, item.repeated) for item in first] == [(1, False), (1, True), (2, False)]
    assert [(item.event.offset, item.event.message, item.repeated) for item in later] == [
        (1, "hi", True),
        (3, "new", False),
    ]
    assert later[0].event == first[0].event
    assert [event.offset for event in await everything(store)] == [1, 2, 3]


async def test_client_ids_of_different_senders_and_posts_without_one_never_meet(store: Store) -> None:
    """The id is the sender's own; without one, equal texts are two posts."""
    stored = await passes(store, [post("hi", "a", ANN), post("hi", "a", BOB), post("hi"), post("hi")])
    assert [(item.event.offset, item.repeated) for item in stored] == [(n, False) for n in (1, 2, 3, 4)]


async def test_a_post_to_an_unknown_room_is_refused_by_itself(store: Store) -> None:
    """What else was in its batch is stored, without a gap."""
    lost, kept = await store.append([post("lost", room=NOWHERE), post("kept")])
    assert lost == Denied(ErrorCode.ROOM_UNKNOWN)
    assert isinstance(kept, Stored)
    assert kept.event.offset == 1
    assert len(await everything(store)) == 1


async def test_a_sender_who_was_checked_as_of_now_is_not_checked_again(store: Store) -> None:
    """The room's `access` vouches for the post; any other number makes the store ask for itself."""
    await furnish(store)
    access = (await state_of(store)).access
    (trusted,) = await passes(store, [Post(ROOM, OUTSIDER, "checked by who asks", None, access)])
    assert trusted.event.message == "checked by who asks"
    for stale in (access - 1, access + 1, -1):
        assert (await refused(store, Post(ROOM, OUTSIDER, "x", None, stale))).code is ErrorCode.ROOM_UNKNOWN
        await passes(store, [Post(ROOM, MEMBER, "x", None, stale)])


async def test_posts_that_are_refused_do_not_hold_back_the_others(store: Store) -> None:
    """Each one is answered by itself, in the batch's order, and takes no offset."""
    await furnish(store)
    before = (await state_of(store)).offset
    answers = await store.append([post("x", None, who, ROOM) for who in (MEMBER, OUTSIDER, INVITED, MEMBER, BANNED)])
    said = [answer.event.offset if isinstance(answer, Stored) else answer.code for answer in answers]
    assert said == [before + 1, ErrorCode.ROOM_UNKNOWN, ErrorCode.FORBIDDEN, before + 2, ErrorCode.BANNED]
    assert (await state_of(store)).offset == before + 2


async def test_a_change_counts_for_the_posts_behind_it_in_the_same_batch(store: Store) -> None:
    """The number under which they were checked is not the room's any more: who was removed has no say."""
    await furnish(store)
    access = (await state_of(store)).access
    posts = [Post(ROOM, who, "x", None, access) for who in (MEMBER, OTHER_MEMBER)]
    answers = await store.append([*posts, change(OWNER, Action.KICK, user=MEMBER), *posts])
    assert [isinstance(answer, Stored) for answer in answers] == [True, True, True, False, True]
    assert answers[3] == Denied(ErrorCode.ROOM_UNKNOWN)
    offsets = [answer.event.offset for answer in answers if isinstance(answer, Stored)]
    assert offsets == list(range(offsets[0], offsets[0] + 4))


async def test_a_repeated_id_is_acked_even_when_its_sender_may_not_post_any_more(store: Store) -> None:
    """It was stored while they might: the answer that was lost is given again."""
    await furnish(store)
    (first,) = await passes(store, [post("said", "a", MEMBER, ROOM)])
    await passes(store, [change(OWNER, Action.BAN, user=MEMBER)])
    (again,) = await passes(store, [post("said", "a", MEMBER, ROOM)])
    assert again == Stored(first.event, repeated=True)
    assert await why(store, post("new", "b", MEMBER, ROOM)) is ErrorCode.BANNED


async def test_administrators_post_in_public_rooms_only(store: Store) -> None:
    """They own every public room; a private one does not exist for them."""
    await furnish(store)
    assert await why(store, post("x", None, ADMIN, ROOM)) is ErrorCode.ROOM_UNKNOWN
    await passes(store, [change(OWNER, Action.CONFIGURE, facts={"public": True}), post("x", None, ADMIN, ROOM)])


async def test_timestamps_never_go_back_when_the_clock_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room's events are as ordered in time as in offset."""
    now = time.time()
    first = await passes(store, [post("now")])
    monkeypatch.setattr(time, "time", lambda: now - 3600)
    second = await passes(store, [post("an hour ago, says the clock")])
    assert second[0].event.timestamp == first[0].event.timestamp


async def test_events_are_read_by_offset_and_bounded(store: Store) -> None:
    """`after` is exclusive; the limit is at most 1000 and never negative."""
    await passes(store, [post(str(n)) for n in range(1, 1101)])
    assert [event.offset for event in await store.events(DEFAULT_ROOM, 3, 2)] == [4, 5]
    assert len(await store.events(DEFAULT_ROOM, 0, 5000)) == 1000
    assert await store.events(DEFAULT_ROOM, 0, -1) == []
    assert await store.events(NOWHERE, 0, 10) == []


async def test_what_was_stored_is_there_after_a_restart(url: str) -> None:
    """Offsets, ids and the epoch go on where they were."""
    async with opened(url) as store:
        first = await passes(store, [post("one", "a")])
        state = await store.room(DEFAULT_ROOM)
    async with opened(url) as store:
        assert await store.room(DEFAULT_ROOM) == state
        again = await passes(store, [post("one", "a"), post("two")])
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
        await passes(store, [post("x")])
        await store.accounts_exist()
    finally:
        await store.close()
    assert [verb for verb, _ in heard[-2:]] == ["append", "accounts_exist"]
    assert all(0.0 < seconds < 20.0 for _, seconds in heard)
