"""Seam: the durable truth. One class over SQLAlchemy Core; its URL decides between SQLite and PostgreSQL."""

from __future__ import annotations

from app.migrations import migrate
from app.store_accounts import Accounts
from app.store_audit import Audit
from app.store_bans import Bans
from app.store_events import Events
from app.store_faults import SchemaAhead, SchemaBehind, SchemaMismatch, StoreDown, StoreTaken
from app.store_listings import Listings
from app.store_members import Members
from app.store_retention import Retention
from app.store_rooms import Rooms
from app.store_sessions import Sessions, Standing

__all__ = [
    "SchemaAhead",
    "SchemaBehind",
    "SchemaMismatch",
    "Standing",
    "Store",
    "StoreDown",
    "StoreTaken",
]


class Store(Events, Rooms, Members, Listings, Audit, Retention, Accounts, Sessions, Bans):
    """`Store(url, timeout)`: open it, use its verbs from one event loop, close it. PostgreSQL's password is a file's.

    Every verb is one hop to a thread and takes at most `timeout` seconds; then, and on every fault of disk, file or
    lock, it raises StoreDown: what it was asked to write may or may not be stored. Bugs raise as themselves.
    """

    migrate = staticmethod(migrate)
