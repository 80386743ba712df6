"""Runs that never took place: what is right in all of them, to be spoilt by each test in one respect."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from loadtest.counters import Scrape
from loadtest.tally import ACCEPTED, Tally, Window
from loadtest.verdict import Observation

POSTED = 'chat_messages_total{outcome="accepted"}'
THROTTLED = 'chat_messages_total{outcome="throttled"}'
LIMIT = 'chat_messages_throttled_total{limit="posts_per_user"}'
IP_RATE = 'chat_handshakes_rejected_total{reason="ip_rate"}'
EDGE_RATE = 'edge_rejected_total{reason="edge_rate"}'
CLOSED = 'chat_closes_total{code="1000"}'
MIB = 1024.0 * 1024.0


def window(accepted: int, refused: int, seconds: float, peak: int = 0) -> Window:
    """A key whose first attempt was at 100 s and whose last, a refused one, so much later; answers took 10 ms."""
    last = 100.0 + seconds if refused else -math.inf
    return Window(accepted, refused, 100.0, 100.01, 100.01 + seconds, last, accepted if refused else 0, 0, peak)


def deliveries(before: float, during: float) -> list[tuple[float, float]]:
    """200 deliveries in the calm (90 to 100 s) and 200 during the attack (100 to 110 s)."""
    return [(90.0 + number * 0.05, before) for number in range(200)] + [
        (100.0 + number * 0.05, during) for number in range(200)
    ]


def honest(before: float = 0.004, during: float = 0.005, **seen: int) -> Tally:
    """Twelve honest users who posted 60 times."""
    counted = Counter({ACCEPTED: 12, POSTED: 60, CLOSED: 12})
    return Tally(seen=counted + Counter(seen), delays={"delivery": deliveries(before, during)})


def attack(windows: Mapping[str, Window]) -> Tally:
    """Attackers who posted what their windows say on one connection."""
    accepted, refused = (sum(getattr(one, kind) for one in windows.values()) for kind in ("accepted", "refused"))
    seen = Counter({ACCEPTED: 1, CLOSED: 1, POSTED: accepted, THROTTLED: refused, LIMIT: refused})
    return Tally(seen=seen, windows=dict(windows))


def scrapes(*tallies: Tally, **changes: float) -> list[Scrape]:
    """What a server counted that counted right, from a start at 1000 on; `changes` name series or gauges at the end."""
    total: Counter[str] = sum((one.seen for one in tallies), Counter())
    gauges = {"chat_connections": 3.0, "chat_outbox_bytes": 0.0}
    before = gauges | dict.fromkeys(total, 1000.0)
    after = gauges | {name: 1000.0 + number for name, number in total.items()}
    return [Scrape(80.0, before), Scrape(120.0, after | changes)]


def observation(friends: Tally, enemies: Tally, **changes: float) -> Observation:
    """One run with everything as it should be, but for `changes` of the last scrape."""
    memory = ((95.0, 100 * MIB), (105.0, 110 * MIB), (115.0, 104 * MIB))
    return Observation(friends, enemies, scrapes(friends, enemies, **changes), (90.0, 100.0), (100.0, 110.0), memory)
