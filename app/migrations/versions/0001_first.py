"""Rooms with their events, accounts, sessions, revocations, tickets and bans; the room `lobby` and the epoch."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    meta = op.create_table(
        "meta",
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("value", TEXT, nullable=False),
    )
    rooms = op.create_table(
        "rooms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        sa.Column("offset", NUMBER, nullable=False),
        sa.Column("stamped_at", sa.Double, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("room", sa.Integer, sa.ForeignKey("rooms.id"), primary_key=True),
        sa.Column("offset", NUMBER, primary_key=True),
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("client_id", TEXT),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("timestamp", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "events_client_id",
        "events",
        ["room", "sender", "client_id"],
        unique=True,
        sqlite_where=sa.text("client_id IS NOT NULL"),
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", TEXT, nullable=False, unique=True),
        sa.Column("admin", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("password_hash", TEXT),
        sa.Column("one_time", sa.Boolean, nullable=False),
        sa.Column("issuer", TEXT),
        sa.Column("subject", TEXT),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.UniqueConstraint("issuer", "subject", name="accounts_subject"),
        sa.CheckConstraint("name = lower(name)", name="accounts_name_lower"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", TEXT, primary_key=True),
        sa.Column("user", TEXT, sa.ForeignKey("accounts.name"), nullable=False, index=True),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
        sa.Column("agent", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
    )
    op.create_table(
        "revocations",
        sa.Column("token_id", TEXT, primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "tickets",
        sa.Column("ticket_id", TEXT, primary_key=True),
        sa.Column("expires_at", sa.Double, nullable=False, index=True),
    )
    op.create_table(
        "bans",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("until", sa.Double),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("bans_value", "bans", ["kind", "value"])
    op.bulk_insert(meta, [{"name": "epoch", "value": secrets.token_hex(8)}])
    op.bulk_insert(rooms, [{"name": "lobby", "offset": 0, "stamped_at": 0.0}])
