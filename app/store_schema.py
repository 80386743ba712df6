"""The store's tables as the code reads and writes them. Migrations build them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    DDL,
    BigInteger,
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
    event,
    false,
    text,
)

HEAD = "0003"
"""The migration that this code needs. Revisions are numbered, so that a newer database is told from an older one."""

NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""Offsets and whatever else clients count with: 64 bits, which SQLite's integers have anyway."""
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Compared by code points, as in SQLite: the order is the same everywhere, and no new C library corrupts an index."""

metadata = MetaData()

meta = Table("meta", metadata, Column("name", _TEXT, primary_key=True), Column("value", _TEXT, nullable=False))

_ZERO = text("0")

rooms = Table(
    "rooms",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", _TEXT, nullable=False, unique=True),
    Column("offset", NUMBER, nullable=False),
    Column("stamped_at", Double, nullable=False),
    Column("floor", NUMBER, nullable=False, server_default=_ZERO),
    Column("swept", NUMBER, nullable=False, server_default=_ZERO),
    Column("access", NUMBER, nullable=False, server_default=_ZERO),
    Column("title", _TEXT, nullable=False, server_default=text("''")),
    Column("public", Boolean, nullable=False, server_default=false()),
    Column("everyone", Boolean, nullable=False, server_default=false()),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("posts_per_second", Double),
    Column("slow_seconds", Double, nullable=False, server_default=_ZERO),
    Column("members", Integer, nullable=False, server_default=_ZERO),
    Column("created_by", _TEXT),
    Column("created_at", Double, nullable=False, server_default=_ZERO),
    Column("client_id", _TEXT),
)
"""`name` is the model's room id. `offset` and `stamped_at` repeat the newest event's: what the next one continues from.
Events up to `floor` are out of reach; up to `swept` they are removed or erased, too. `members` counts those with a
role, which a list of rooms would count anew for every row."""

Index(
    "rooms_client_id",
    rooms.c.created_by,
    rooms.c.client_id,
    unique=True,
    sqlite_where=text("client_id IS NOT NULL"),
    postgresql_where=text("client_id IS NOT NULL"),
)
Index("rooms_everyone", rooms.c.everyone, sqlite_where=text("everyone = 1"), postgresql_where=text("everyone"))
Index(
    "rooms_open",
    rooms.c.title,
    sqlite_where=text("public = 1 AND archived = 0"),
    postgresql_where=text("public AND NOT archived"),
)

members = Table(
    "members",
    metadata,
    Column("room", Integer, ForeignKey("rooms.id"), primary_key=True),
    Column("user", _TEXT, primary_key=True),
    Column("role", _TEXT),
    Column("invited_by", _TEXT),
    Column("muted_until", Double, nullable=False),
    Column("banned_until", Double, nullable=False),
    Column("read", NUMBER, nullable=False),
    Column("since", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Whoever was ever a member, invited, muted or banned. No role: not a member. `inf`: without an end; 0: not at all."""

Index("members_user", members.c.user)

events = Table(
    "events",
    metadata,
    Column("room", Integer, ForeignKey("rooms.id"), primary_key=True),
    Column("offset", NUMBER, primary_key=True),
    Column("sender", _TEXT, nullable=False),
    Column("client_id", _TEXT),
    Column("message", _TEXT, nullable=False),
    Column("timestamp", Double, nullable=False),
    Column("kind", _TEXT, nullable=False, server_default=text("'message'")),
    Column("target", NUMBER),
    Column("facts", _TEXT),
    # History is read in key order, so the rows lie in the key's own tree: one tree less to write for each post.
    sqlite_with_rowid=False,
)
"""`facts` is a JSON object; `target` repeats that of an edit, so that a message's edits are found."""

Index(
    "events_client_id",
    events.c.room,
    events.c.sender,
    events.c.client_id,
    unique=True,
    sqlite_where=text("client_id IS NOT NULL"),
    postgresql_where=text("client_id IS NOT NULL"),
)
Index(
    "events_target",
    events.c.room,
    events.c.target,
    sqlite_where=text("target IS NOT NULL"),
    postgresql_where=text("target IS NOT NULL"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("room", Integer, ForeignKey("rooms.id"), nullable=False),
    Column("offset", NUMBER, nullable=False),
    Column("timestamp", Double, nullable=False),
    Column("by", _TEXT, nullable=False),
    Column("action", _TEXT, nullable=False),
    Column("user", _TEXT),
    Column("reason", _TEXT, nullable=False),
    Column("facts", _TEXT, nullable=False),
    Column("request_id", _TEXT),
    # A page that ends before an id never sees another entry under it.
    sqlite_autoincrement=True,
)

Index("audit_room", audit.c.room, audit.c.id)

for _done in ("UPDATE", "DELETE"):
    event.listen(
        audit,
        "after_create",
        DDL(  # type: ignore[no-untyped-call]
            f"CREATE TRIGGER audit_refuses_{_done.lower()} BEFORE {_done} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        ).execute_if(dialect="sqlite"),
    )
for _text in (
    "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    " RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$",
    "CREATE TRIGGER audit_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_refuses()",
):
    event.listen(
        audit,
        "after_create",
        DDL(_text).execute_if(dialect="postgresql"),  # type: ignore[no-untyped-call]
    )

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", _TEXT, nullable=False, unique=True),
    Column("admin", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("password_hash", _TEXT),
    Column("one_time", Boolean, nullable=False),
    Column("issuer", _TEXT),
    Column("subject", _TEXT),
    Column("created_at", Double, nullable=False),
    UniqueConstraint("issuer", "subject", name="accounts_subject"),
    CheckConstraint("name = lower(name)", name="accounts_name_lower"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", _TEXT, primary_key=True),
    Column("user", _TEXT, ForeignKey("accounts.name"), nullable=False, index=True),
    Column("secret_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    Column("agent", _TEXT, nullable=False),
    Column("address", _TEXT, nullable=False),
)

revocations = Table(
    "revocations",
    metadata,
    Column("token_id", _TEXT, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)

tickets = Table(
    "tickets",
    metadata,
    Column("ticket_id", _TEXT, primary_key=True),
    Column("expires_at", Double, nullable=False, index=True),
)
"""Tickets that were used; one that is not here yet may still be."""

bans = Table(
    "bans",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("kind", _TEXT, nullable=False),
    Column("value", _TEXT, nullable=False),
    Column("until", Double),
    Column("reason", _TEXT, nullable=False),
    Column("by", _TEXT, nullable=False),
    Column("created_at", Double, nullable=False),
    # An id in an administrator's notes never comes to mean another ban.
    sqlite_autoincrement=True,
)

Index("bans_value", bans.c.kind, bans.c.value)
