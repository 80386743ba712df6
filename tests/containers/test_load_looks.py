"""What a load run asks of a stack in containers: its counters and its memory, without a process started in it."""

from __future__ import annotations

from loadtest import counters, server
from loadtest.server import Server
from stack.contained import Contained
from tests.containers.contained import ContainedStack

MIB = 1024 * 1024


def looking(contained: ContainedStack) -> Server:
    """As `make load` sees it."""
    return server.local(Contained(contained.place, contained.settings), [])


def test_a_look_sees_what_make_metrics_prints(contained: ContainedStack) -> None:
    """Series of the app and of the edge, by the same names."""
    seen = set(looking(contained).scrape().samples)
    printed = set(counters.parse(contained.metrics(), 0.0).samples)
    assert seen == printed
    assert any(name.startswith("chat_") for name in seen)
    assert any(name.startswith("edge_") for name in seen)


def test_memory_is_that_of_all_processes_of_the_app(contained: ContainedStack) -> None:
    """A master and its workers, each of which takes some tens of MiB; and the same again at the next look."""
    memory = looking(contained).memory
    first, second = memory(), memory()
    assert first is not None
    assert second is not None
    assert 100 * MIB < first < 2000 * MIB
    assert abs(second - first) < 50 * MIB
