"""The wiring of one process. Two URLs decide what it stands on: the store's here, Redis's in `shared.py`."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from app.auth import Auth
from app.batch import Batch
from app.broker import Broker
from app.charges import Charges
from app.chat import Chat
from app.drain import Drain
from app.entrance import RECOVERIES, Entrance
from app.floods import Floods
from app.handshake import Doorman
from app.hub import Hub
from app.keys import open_keys
from app.limiter import MESSAGE_LIMITS, Limiter
from app.lock import StoreLock
from app.marks import Marks
from app.metrics import Metrics
from app.model import RoomId, SessionId, UserName
from app.notices import Notices
from app.outcome import Outcome
from app.presence import Presence
from app.protocol import Invalid
from app.repair import Repair
from app.resync import Resync
from app.rooms import CHANGES, Rooms
from app.settings import Settings
from app.shared import Shared, share
from app.sign_in import SIGN_INS
from app.store import Store, StoreDown
from app.store_database import kind_of
from app.verdict import CLOSE_LABELS, Reason
from app.watch import Watch

_log = logging.getLogger("portcullis.backends")
_TICK = 1.0
_LOCK_MARGIN = 5.0
"""Seconds that a predecessor may take beyond its graceful time."""
_WRITE_TICKS = 10
_TOUCH_TICKS = 60
_SWEEP_TICKS = 600


@dataclass
class Backends:
    """Everything that one process of the chat consists of."""

    settings: Settings
    store: Store
    shared: Shared
    resync: Resync
    limiter: Limiter
    presence: Presence
    broker: Broker
    auth: Auth
    metrics: Metrics
    hub: Hub
    batch: Batch
    notices: Notices
    drain: Drain
    doorman: Doorman
    rooms: Rooms
    floods: Floods
    marks: Marks
    chat: Chat
    watch: Watch
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def background(self, task: asyncio.Task[None]) -> None:
        """Keep a task that nobody awaits until it is done."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def clocks(self) -> list[Coroutine[Any, Any, None]]:
        """All that goes on for as long as the process serves."""
        clocks = [self.tick(), self.tend(), self.retain()]
        return clocks if self.settings.alone else [*clocks, self.resync.run()]

    async def tick(self) -> None:
        """Every second what has to happen whether the store answers or not: expiry above all."""
        while True:
            await asyncio.sleep(_TICK)
            await self.attempt(self._tick)

    async def retain(self) -> None:
        """Now and then, a failing store permitting: delete what is older than the retention."""
        while True:
            await asyncio.sleep(self.settings.retention_every_seconds)
            await self.attempt(self._retain)

    async def _retain(self) -> None:
        """Step by step, each short enough for the posts that wait behind it."""
        while await self.store.retain(time.time(), self.settings.retention_seconds, self.settings.retention_events):
            pass

    async def tend(self) -> None:
        """Every second, a failing store permitting: ask whether it answers, say who was seen, sweep now and then."""
        for ticks in itertools.count(1):
            await asyncio.sleep(_TICK)
            await self.attempt(partial(self._tend, ticks))

    async def attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        """A clock that stopped at the first failure would keep expired credentials alive."""
        try:
            await work()
        except StoreDown:
            self.metrics.degraded.labels("store").set(1)
            _log.warning("store_down", exc_info=True)
        except Exception:
            _log.error("tick_failed", exc_info=True)

    async def _tick(self) -> None:
        self.hub.expire(time.time(), self.settings.expiring_notice_seconds)
        self.metrics.outbox_bytes.set(self.hub.waiting())
        await self.presence.renew(self.hub.connections.keys())
        self.drain.turn(away=await self.shared.nodes.drained())

    async def _tend(self, ticks: int) -> None:
        await self.store.ping()
        # A full or read-only disk shows in writes only, and until one succeeds it is not over.
        if self.batch.failed or ticks % _WRITE_TICKS == 0:
            self.batch.failed = True
            await self.store.ping_write()
            self.batch.failed = False
        self.metrics.degraded.labels("store").set(0)
        await self.marks.flush()
        # Often enough that no session idles out under a live socket.
        if ticks % max(1, min(_TOUCH_TICKS, int(self.settings.session_idle_seconds / 4))) == 0:
            await self.store.touch_sessions([SessionId(session) for session in self.hub.sessions()], time.time())
        if ticks % _SWEEP_TICKS == 0:
            await self.store.sweep(time.time())


def build(settings: Settings) -> Backends:
    """Pick and connect the parts; opens nothing yet. Raises SettingsError for a bad secret."""
    metrics = _metrics(together=not settings.alone)
    store = Store(
        settings.database,
        settings.store_timeout_seconds,
        _observer(metrics),
        settings.database_password_file,
        alone=settings.alone,
    )
    charges, marks = Charges(settings), Marks(store)
    hub = Hub(metrics, charges.room)
    resync = Resync(store, hub)
    shared = share(settings, metrics, resync)
    limiter, presence, broker = shared.limiter, shared.presence, shared.broker
    auth = Auth(settings, store, open_keys(settings))
    batch = Batch(store, broker.publish, metrics, settings.batch_posts, settings.queued_posts)
    notices = Notices(
        broker.notify,
        broker.typing,
        lambda room: _live_members(hub, room),
        presence.online,
        settings.notices_max_members,
        settings.notices_resume_seconds,
    )

    def notice(room: RoomId, joined: Sequence[UserName], left: Sequence[UserName]) -> None:
        notices.heard(room, left)
        hub.notify(room, joined, left)

    broker.subscribe(hub.deliver, hub.revoke, notice, hub.typing)
    drain = Drain(hub, batch, metrics, settings.drain_seconds)
    doorman = Doorman(settings, auth, limiter, presence, drain, metrics)
    rooms = Rooms(settings, store, limiter, presence, broker, batch, notices, charges, marks, metrics)
    repair = Repair(store, hub, settings.store_timeout_seconds)
    entrance = Entrance(store, hub, rooms, repair, presence, notices, metrics, settings.rooms_per_user)
    floods = Floods(limiter, broker, metrics)
    chat = Chat(
        settings, auth, limiter, presence, floods, hub, batch, notices, rooms, charges, marks, entrance, metrics
    )
    hub.removed, hub.lost = chat.removed, repair.begin
    return Backends(
        settings,
        store,
        shared,
        resync,
        limiter,
        presence,
        broker,
        auth,
        metrics,
        hub,
        batch,
        notices,
        drain,
        doorman,
        rooms,
        floods,
        marks,
        chat,
        Watch(settings.prometheus_url),
    )


@contextlib.asynccontextmanager
async def opened(backends: Backends) -> AsyncIterator[None]:
    """Hold the store's lock, open it, run the clocks; undo all that in reverse. Raises StoreLocked, StoreDown."""
    settings = backends.settings
    path = kind_of(settings.database).lock_path(settings.database)
    wait = settings.graceful_seconds + _LOCK_MARGIN
    lock = StoreLock(path, wait)
    await asyncio.to_thread(lock.acquire)
    try:
        await backends.store.open(wait)
        await backends.shared.open()
        clocks = [asyncio.create_task(clock) for clock in backends.clocks()]
        try:
            yield
        finally:
            for clock in clocks:
                clock.cancel()
            await asyncio.gather(*clocks, return_exceptions=True)
            backends.watch.close()
            backends.notices.stop()
            await backends.batch.flush(settings.store_timeout_seconds)
            await backends.attempt(backends.marks.flush)
            await backends.shared.close()
            await backends.store.close()
            backends.auth.close()
    finally:
        lock.release()


def _observer(metrics: Metrics) -> Callable[[str, float], None]:
    def observe(verb: str, seconds: float) -> None:
        metrics.store_seconds.labels(verb.strip("_")).observe(seconds)

    return observe


def _live_members(hub: Hub, room: RoomId) -> int:
    live = hub.rooms.get(room)
    return 0 if live is None else len(live)


def _metrics(*, together: bool) -> Metrics:
    """Every labelled series starts at 0, so that a rate over the first refusal is not lost."""
    metrics = Metrics()
    for counted, words in (
        (metrics.handshakes, ("accepted", "refused")),
        (metrics.handshakes_rejected, Reason),
        (metrics.messages, Outcome),
        (metrics.messages_throttled, MESSAGE_LIMITS),
        (metrics.messages_invalid, Invalid),
        (metrics.recoveries, RECOVERIES),
        (metrics.closes, CLOSE_LABELS),
        (metrics.sign_ins, SIGN_INS),
    ):
        for word in words:
            counted.labels(word)
    for action in CHANGES:
        metrics.changes.labels(action, "stored")
    metrics.store_errors.labels("append")
    for backend in ("store", "redis", "broker") if together else ("store",):
        metrics.degraded.labels(backend).set(0)
    for what in ("publish", "receive") if together else ():
        metrics.broker_errors.labels(what)
    return metrics
