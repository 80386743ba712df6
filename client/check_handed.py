"""Whether the client library handed on what came over its connections: each event once, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from client.check_fault import Counterexample, Fault
from client.record import Delivered, Joined, Saw


def fault(user: str, saw: Sequence[Saw], handed: Sequence[Delivered]) -> Counterexample | None:
    """The first difference between what came from one room and what the caller got of it."""
    for number, (came, got) in enumerate(zip_longest(_once(saw), handed)):
        if got is None and came is not None:
            return _found(Fault.LOST, user, came, "came and was never handed to the caller")
        if got is not None and (came is None or came.offset != got.offset):
            return _out_of_turn(user, came, got, handed, number)
        if came is not None and got is not None and (came.kind, came.sender, came.digest) != _content(got):
            return _found(Fault.ALTERED, user, got, "was handed to the caller with another content than came")
    return None


def _once(saw: Sequence[Saw]) -> Iterator[Delivered]:
    """Without what came a second time, on a connection that went on below what the one before had brought."""
    newest, epoch = 0, ""
    for one in saw:
        if isinstance(one, Joined) and one.epoch != epoch:
            newest, epoch = 0, one.epoch
        if isinstance(one, Delivered) and one.offset > newest:
            newest = one.offset
            yield one


def _out_of_turn(
    user: str, came: Delivered | None, got: Delivered, handed: Sequence[Delivered], number: int
) -> Counterexample:
    others = [other.offset for other in handed]
    if got.offset in others[:number]:
        return _found(Fault.REPEATED, user, got, "was handed to the caller again")
    if came is None:
        return _found(Fault.INVENTED, user, got, "was handed to the caller and never came")
    if came.offset in others[number:]:
        return _found(Fault.REORDERED, user, got, f"was handed to the caller before offset {came.offset}")
    return _found(Fault.LOST, user, came, f"came and was never handed to the caller; {got.offset} was in its stead")


def _content(event: Delivered) -> tuple[str, str, str]:
    return event.kind, event.sender, event.digest


def _found(fault: Fault, user: str, event: Delivered, what: str) -> Counterexample:
    return Counterexample(fault, event.room, event.offset, user, event.at, f"{what} (connection {event.life})")
