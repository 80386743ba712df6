"""The store's tables as the code reads and writes them. Migrations build them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

HEAD = "0001"
"""The migration that this code needs. Revisions are numbered, so that a newer database is told from an older one."""

metadata = MetaData()

meta = Table("meta", metadata, Column("name", Text, primary_key=True), Column("value", Text, nullable=False))

rooms = Table(
    "rooms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("offset", Integer, nullable=False),
    Column("stamped_at", Double, nullable=False),
)
"""`offset` and `stamped_at` repeat the newest event's: what the next one continues from."""

events = Table(
    "events",
    metadata,
    Column("room", Integer, ForeignKey("rooms.id"), primary_key=True),
    Column("offset", Integer, primary_key=True),
    Column("sender", Text, nullable=False),
    Column("client_id", Text),
    Column("message", Text, nullable=False),
    Column("timestamp", Double, nullable=False),
    # History is read in key order, so the rows lie in the key's own tree: one tree less to write for each post.
    sqlite_with_rowid=False,
)

Index(
    "events_client_id",
    events.c.room,
    events.c.sender,
    events.c.client_id,
    unique=True,
    sqlite_where=text("client_id IS NOT NULL"),
    postgresql_where=text("client_id IS NOT NULL"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", Text),
    Column("one_time", Boolean, nullable=False),
    Column("issuer", Text),
    Column("subject", Text),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("issuer", "subject", name="accounts_subject"),
    CheckConstraint("name = lower(name)", name="accounts_name_lower"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user", Text, ForeignKey("accounts.name"), nullable=False, index=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("agent", Text, nullable=False),
    Column("address", Text, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", Text, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)
"""Tickets that were used; one that is not here yet may still be."""

bans = Table(
    "bans",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("until", Double),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    # An id in an administrator's notes never comes to mean another ban.
    sqlite_autoincrement=True,
)

Index("bans_value", bans.c.kind, bans.c.value)
