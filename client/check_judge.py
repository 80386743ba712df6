"""Whether what was acked is what is stored and what was delivered to each member entitled to it, once and in order.

No I/O: from the clients' records and the rooms' histories to a verdict with the first counterexample.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from client import check_handed, check_members
from client.check_fault import Counterexample, Fault, Verdict
from client.check_members import Spans
from client.check_walk import Walk
from client.record import Delivered, Ended, History, Joined, Post, Record, Saw, Stored

MESSAGE = "message"


Events = Mapping[str, Mapping[int, Stored]]
"""By room and offset."""


def judge(records: Sequence[Record], histories: Mapping[str, History]) -> Verdict:
    """The verdict on a run that has come to rest: nothing is being posted or delivered any more, every client is
    connected, and `histories` was read after that. Users without a record may have posted, too."""
    members = {room: check_members.spans(history) for room, history in histories.items()}
    events = {room: {event.offset: event for event in history.events} for room, history in histories.items()}
    found = [
        *_in_store(records, histories, members),
        *(fault for record in records for fault in _unstored(record, histories, events)),
        *(fault for record in records for fault in _undelivered(record, histories, events, members)),
    ]
    first = min(found, key=lambda fault: fault.at, default=None)
    return Verdict(first, len(found), counted(records, histories))


def counted(records: Sequence[Record], histories: Mapping[str, History]) -> Counter[str]:
    """How much happened."""
    count = Counter(stored=sum(len(history.events) for history in histories.values()))
    for record in records:
        for post in record.posts:
            count["acked" if post.offset is not None else "refused" if post.refusal else "unanswered"] += 1
        for saw in record.saw:
            count[_name(saw)] += 1
        count["handed"] += len(record.handed)
    return count


def _name(saw: Saw) -> str:
    if isinstance(saw, Joined):
        return "resumed" if saw.recovered else "joined"
    return "delivered" if isinstance(saw, Delivered) else f"ended_{saw.why}"


def _in_store(
    records: Sequence[Record], histories: Mapping[str, History], members: Mapping[str, Spans]
) -> Iterator[Counterexample]:
    """What a room's history says against itself, and against what was posted."""
    posted: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for record in records:
        posted[record.user] |= {(post.room, post.digest) for post in record.posts}
    for room, history in histories.items():
        yield from _gaps(history)
        seen: set[tuple[str, str]] = set()
        for event in history.events:
            if event.kind != MESSAGE or event.rewritten:
                continue
            if what := _wrong(event, history, members[room], posted, seen):
                yield Counterexample(what[0], room, event.offset, event.sender, event.at, what[1])
            seen.add((event.sender, event.digest))


def _wrong(
    event: Stored,
    history: History,
    members: Spans,
    posted: Mapping[str, set[tuple[str, str]]],
    seen: set[tuple[str, str]],
) -> tuple[Fault, str] | None:
    """What is wrong with a stored message by itself. Every post of a recorded client says something of its own."""
    if event.sender in posted and (event.sender, event.digest) in seen:
        return Fault.REPEATED, "is stored a second time"
    if event.sender in posted and (history.room, event.digest) not in posted[event.sender]:
        return Fault.INVENTED, "is stored and was never posted by them"
    if check_members.at(check_members.of(event.sender, history, members), event.offset) is None:
        return Fault.LEAKED, "was accepted from them while they were not a member"
    return None


def _gaps(history: History) -> Iterator[Counterexample]:
    """Offsets are consecutive."""
    before = history.floor
    for event in history.events:
        if event.offset > before + 1:
            what = f"is missing in the store: after {before} comes {event.offset}"
            yield Counterexample(Fault.LOST, history.room, before + 1, event.sender, event.at, what)
        elif event.offset <= before:
            what = f"stands in the store again, after {before}"
            yield Counterexample(Fault.REPEATED, history.room, event.offset, event.sender, event.at, what)
        before = event.offset


def _unstored(record: Record, histories: Mapping[str, History], events: Events) -> Iterator[Counterexample]:
    """Posts that are not where their ack says."""
    for post in record.posts:
        if post.offset is None and post.refusal is None:
            what = f"the post {post.id} was neither acked nor refused"
            yield Counterexample(Fault.UNANSWERED, post.room, None, record.user, post.at, what)
        elif post.offset is not None and post.offset > histories[post.room].floor:
            event = events[post.room].get(post.offset)
            if what := _unlike(post, record.user, event):
                yield Counterexample(Fault.LOST, post.room, post.offset, record.user, post.at, what)


def _unlike(post: Post, user: str, event: Stored | None) -> str:
    if event is None:
        return f"the post {post.id} was acked and is not stored"
    if event.sender != user or (event.digest != post.digest and not event.rewritten):
        return f"the post {post.id} was acked there, where something else is stored ({event.kind} of {event.sender})"
    return ""


def _undelivered(
    record: Record, histories: Mapping[str, History], events: Events, members: Mapping[str, Spans]
) -> Iterator[Counterexample]:
    """What is wrong with what came, else with what the caller got of it."""
    handed: dict[str, list[Delivered]] = defaultdict(list)
    for event in record.handed:
        handed[event.room].append(event)
    came = _by_room(record)
    for room in {**came, **handed}:
        spans = check_members.of(record.user, histories[room], members[room])
        fault = Walk(record.user, came[room], histories[room], events[room], spans).fault()
        if fault := fault or check_handed.fault(record.user, came[room], handed[room]):
            yield fault


def _by_room(record: Record) -> defaultdict[str, list[Saw]]:
    """A lost connection ends the stay in every room."""
    found: defaultdict[str, list[Saw]] = defaultdict(list)
    for saw in record.saw:
        if isinstance(saw, Ended) and saw.room is None:
            for others in found.values():
                others.append(saw)
        elif saw.room is not None:
            found[saw.room].append(saw)
    return found
