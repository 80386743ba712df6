"""Several writers at once, and writers that are killed: no gap, no double, all of a batch or nothing."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

from app.model import DEFAULT_ROOM, EventKind, Stored
from app.roles import Action
from app.store import Store
from tests.contract.folk import MEMBER, OWNER
from tests.contract.house import ROOM, change, everything, furnish, opened, passes, post, state_of

ROOT = Path(__file__).parents[2]


async def test_concurrent_writers_get_consecutive_offsets_and_one_for_each_id(url: str) -> None:
    """Two stores on one database, 120 tasks, ids sent up to four times: no gap, no double."""
    dice = random.Random(2)  # noqa: S311
    answers: dict[str, set[int]] = {}

    async def send(store: Store, ids: list[str]) -> None:
        for name, item in zip(ids, await passes(store, [post("x", name) for name in ids]), strict=True):
            answers.setdefault(name, set()).add(item.event.offset)

    async with opened(url) as one, opened(url) as two:
        batches = [[f"id-{dice.randrange(400)}" for _ in range(dice.randrange(1, 12))] for _ in range(120)]
        await asyncio.gather(*(send(dice.choice((one, two)), ids) for ids in batches))
        events = await everything(one)
    assert [event.offset for event in events] == list(range(1, len(answers) + 1))
    assert all(len(offsets) == 1 for offsets in answers.values())
    assert sorted(min(offsets) for offsets in answers.values()) == [event.offset for event in events]


async def test_changes_and_posts_of_two_writers_interleave_without_a_gap(url: str) -> None:
    """A member is muted and unmuted on one connection and posts on the other: each post counts as of its turn."""
    async with opened(url) as one, opened(url) as two:
        await furnish(one)
        first = (await state_of(one)).offset
        mutes = [change(OWNER, Action.MUTE, user=MEMBER), change(OWNER, Action.UNMUTE, user=MEMBER)]
        answers = await asyncio.gather(
            *(one.append([mutes[turn % 2]]) for turn in range(40)),
            *(two.append([post(f"{turn}", f"{turn}", MEMBER, ROOM)]) for turn in range(40)),
        )
        events = await everything(two, ROOM, first)
    stored = sorted(answer.event.offset for (answer,) in answers if isinstance(answer, Stored))
    assert [event.offset for event in events] == list(range(first + 1, first + len(stored) + 1))
    assert [event.offset for event in events] == stored
    muted = False
    for event in events:
        if event.kind is EventKind.MEMBER:
            assert event.facts is not None
            muted = event.facts["change"] == "muted"
        else:
            assert not muted


APPENDER = """
import asyncio, sys
from app.model import Change, Post, RoomId, UserName
from app.roles import Action
from app.store import Store

async def main():
    store, room = Store(sys.argv[1], 20.0), RoomId("den-1a2b3c")
    await store.open()
    olga, mel = UserName("olga"), UserName("mel")
    for batch in range(int(sys.argv[2]), 10**6):
        posts = [Post(room, olga, "x" * 200, f"{batch}-{n}") for n in range(47)]
        mute, unmute = (Change(room, olga, action, user=mel) for action in (Action.MUTE, Action.UNMUTE))
        rename = Change(room, olga, Action.RENAME, facts={"title": f"Batch {batch}"})
        await store.append([*posts[:20], mute, *posts[20:], rename, unmute])
        print(batch, flush=True)

asyncio.run(main())
"""
BATCH = 50


async def test_kill_9_while_appending_leaves_whole_batches_without_a_gap(url: str) -> None:
    """Three times in a row: every acked batch is there, at most one more, and each one whole: with its posts and
    changes, the room's title and the entries in its audit log."""
    async with opened(url) as store:
        await furnish(store)
        before, logged = await state_of(store), len(await store.audit(ROOM, None, 1000))
    acked = 0
    for _ in range(3):
        acked += _append_until_killed(url, batches=15, first=acked * 1000)
    async with opened(url) as store:
        events = await everything(store, ROOM, before.offset)
        state, entries = await state_of(store), await store.audit(ROOM, None, 1000)
    batches, rest = divmod(len(events), BATCH)
    assert [event.offset for event in events] == list(range(before.offset + 1, state.offset + 1))
    assert rest == 0
    assert acked <= batches <= acked + 3
    assert state.access == before.access + 3 * batches
    assert len(entries) == logged + 3 * batches
    assert state.title == entries[1].facts["title"] == (events[-2].facts or {})["title"]


def _append_until_killed(url: str, batches: int, first: int) -> int:
    command = [sys.executable, "-c", APPENDER, url, str(first)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(batches)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return len([line for line in lines if line.endswith("\n")])


SENDER = """
import asyncio, random, sys
from app.model import DEFAULT_ROOM, Post, RoomId, UserName
from app.store import Store

async def main():
    store, dice = Store(sys.argv[1], 20.0), random.Random(int(sys.argv[2]))
    await store.open()
    for _ in range(40):
        rooms = [DEFAULT_ROOM, RoomId("den-1a2b3c")]
        ids = [f"{dice.randrange(300)}" for _ in range(dice.randrange(1, 12))]
        posts = [Post(dice.choice(rooms), UserName("olga"), "x", name) for name in ids]
        for post, item in zip(posts, await store.append(posts), strict=True):
            print(post.room, post.client_id, item.event.offset, flush=True)
    await store.close()

asyncio.run(main())
"""


def _send_at_once(url: str) -> list[list[str]]:
    """Room, id and offset of everything that three processes were answered."""
    command = [sys.executable, "-c", SENDER, url]
    running = [subprocess.Popen([*command, str(n)], cwd=ROOT, stdout=subprocess.PIPE, text=True) for n in range(3)]
    lines = [line.split() for process in running for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in running] == [0, 0, 0]
    return lines


async def test_several_processes_get_consecutive_offsets_and_one_for_each_id(url: str) -> None:
    """Three of them write into two rooms, in any order and with the same ids: no gap, no double, no deadlock told."""
    async with opened(url) as store:
        await furnish(store)
        first = {DEFAULT_ROOM: 0, ROOM: (await state_of(store)).offset}
    lines = await asyncio.to_thread(_send_at_once, url)
    answers: dict[tuple[str, str], set[int]] = {}
    for room, client_id, offset in lines:
        answers.setdefault((room, client_id), set()).add(int(offset))
    assert all(len(offsets) == 1 for offsets in answers.values())
    async with opened(url) as store:
        for room, before in first.items():
            there = [event.offset for event in await everything(store, room, before)]
            assert there == sorted(min(offsets) for (where, _), offsets in answers.items() if where == room)
            assert there == list(range(before + 1, before + 1 + len(there)))
