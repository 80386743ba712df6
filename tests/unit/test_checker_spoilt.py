"""Any run that keeps the promise is green, and any single change of one is red."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.check_judge import judge
from client.record import Delivered, Joined, Record
from tests.unit.run_of_rooms import OWNER, Run, certain, deliveries
from tests.unit.test_checker import ROOMS, USERS, Material, carried, got, of

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("post", "post", "post", "ack_lost", "join", "join", "kick", "cut", "connect")),
        st.sampled_from((OWNER, *USERS)),
        st.sampled_from(ROOMS),
    ),
    min_size=5,
    max_size=60,
)


def play(steps: list[tuple[str, str, str]]) -> Material:
    """Any steps, as far as they are possible."""
    run = Run(USERS, ROOMS)
    for user in USERS:
        run.join(user, "red")
    run.post("ann", "red")
    for verb, user, room in steps:
        if verb in ("cut", "connect"):
            getattr(run, verb)(user)
        elif verb in ("post", "ack_lost"):
            run.post(user, room, verb == "ack_lost")
        elif user != OWNER:
            getattr(run, verb)(user, room)
    return run.rest()


@given(STEPS)
def test_every_run_that_keeps_the_promise_is_green(steps: list[tuple[str, str, str]]) -> None:
    """No false alarm, whatever the order of posts, removals, returns, cuts and resumes."""
    verdict = judge(*play(steps))
    assert verdict.kept, str(verdict)


def pick_record(material: Material, rng: random.Random) -> Record:
    return rng.choice([record for record in material[0] if certain(record)])


def drop_delivery(material: Material, rng: random.Random) -> None:
    record = pick_record(material, rng)
    del record.saw[rng.choice(certain(record))]


def repeat_delivery(material: Material, rng: random.Random) -> None:
    record = pick_record(material, rng)
    index = rng.choice(certain(record))
    record.saw.insert(index + 1, record.saw[index])


def swap_deliveries(material: Material, rng: random.Random) -> None:
    """Within one stay. The owner's of the first room is never empty: they saw three others join."""
    record = of(material, OWNER)
    where = deliveries(record, "red")
    pairs = [(a, b) for a, b in pairwise(where) if not any_join(record, a, b)]
    first, second = rng.choice(pairs)
    record.saw[first], record.saw[second] = record.saw[second], record.saw[first]


def any_join(record: Record, first: int, second: int) -> bool:
    return any(not isinstance(saw, Delivered) for saw in record.saw[first:second])


def alter_delivery(material: Material, rng: random.Random) -> None:
    record = pick_record(material, rng)
    index = rng.choice(certain(record))
    record.saw[index] = replace(got(record, index), digest="f" * 16)


def invent_delivery(material: Material, rng: random.Random) -> None:
    record = of(material, OWNER)
    last = got(record, deliveries(record, "red")[-1])
    record.saw.append(replace(last, offset=last.offset + rng.randint(1, 3)))


def leak_delivery(material: Material, rng: random.Random) -> None:
    """Somebody who is in no room hears of it."""
    other = of(material, OWNER)
    material[0].append(Record("dan", saw=[other.saw[rng.choice(deliveries(other, "red"))]]))


def forget_stored(material: Material, rng: random.Random) -> None:
    events = material[1]["red"].events
    del events[rng.randrange(len(events))]


def store_twice(material: Material, rng: random.Random) -> None:
    events = material[1]["red"].events
    events.append(replace(rng.choice([event for event in events if event.kind == "message"]), offset=len(events) + 1))


def alter_stored(material: Material, rng: random.Random) -> None:
    events = material[1]["red"].events
    index = rng.choice([index for index, event in enumerate(events) if event.kind == "message"])
    events[index] = replace(events[index], digest="f" * 16)


def move_ack(material: Material, rng: random.Random) -> None:
    post = rng.choice([post for record in material[0] for post in record.posts if post.offset is not None])
    post.offset = (post.offset or 0) + rng.choice((-1, 1))


def take_back_ack(material: Material, rng: random.Random) -> None:
    post = rng.choice([post for record in material[0] for post in record.posts if post.offset is not None])
    post.offset = None


def refuse_resume(material: Material, rng: random.Random) -> None:
    """Where nobody resumed, the last to join is asked to have resumed in vain."""
    joins = [
        (record, index, saw)
        for record in material[0]
        for index, saw in enumerate(record.saw)
        if isinstance(saw, Joined) and saw.recovered
    ]
    if not joins:
        repeat_delivery(material, rng)
        return
    record, index, joined = rng.choice(joins)
    record.saw[index] = replace(joined, recovered=False)


SPOIL: list[Callable[[Material, random.Random], None]] = [
    drop_delivery,
    repeat_delivery,
    swap_deliveries,
    alter_delivery,
    invent_delivery,
    leak_delivery,
    forget_stored,
    store_twice,
    alter_stored,
    move_ack,
    take_back_ack,
    refuse_resume,
]


@pytest.mark.parametrize("spoil", SPOIL, ids=lambda spoil: spoil.__name__)
@given(steps=STEPS, seed=st.integers(0, 2**32))
def test_any_single_change_of_a_good_run_is_red(
    spoil: Callable[[Material, random.Random], None], steps: list[tuple[str, str, str]], seed: int
) -> None:
    """Whatever is dropped, repeated, moved, altered, added or taken back, wherever it is: never green."""
    material = play(steps)
    spoil(material, random.Random(seed))  # noqa: S311
    assert not carried(material).kept


@given(
    steps=STEPS, seed=st.integers(0, 2**32), how=st.sampled_from(("drop", "repeat", "swap", "alter", "invent", "move"))
)
def test_any_single_change_of_what_callers_got_is_red(steps: list[tuple[str, str, str]], seed: int, how: str) -> None:
    """Whatever the library might do to one event, while all that came was right."""
    material, rng = play(steps), random.Random(seed)  # noqa: S311
    record = rng.choice([record for record in material[0] if sum(event.room == "red" for event in record.handed) > 1])
    spoil_handed(record.handed, how, rng)
    assert not judge(*material).kept


def spoil_handed(handed: list[Delivered], how: str, rng: random.Random) -> None:
    index = rng.randrange(len(handed))
    event = handed[index]
    match how:
        case "drop":
            del handed[index]
        case "repeat":
            handed.insert(rng.randint(index, len(handed)), event)
        case "swap":
            red_ones = [number for number, one in enumerate(handed) if one.room == "red"]
            first, second = rng.sample(red_ones, 2)
            handed[first], handed[second] = handed[second], handed[first]
        case "alter":
            handed[index] = replace(event, digest="f" * 16)
        case "invent":
            handed.insert(index, replace(event, offset=event.offset + 1000))
        case _:
            handed[index] = replace(event, room="blue" if event.room == "red" else "red")
