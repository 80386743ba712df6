"""Rooms with members, roles and settings, events of every kind, the audit log; the lobby becomes everyone's."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    zero = sa.text("0")
    # Columns are added, not tables rebuilt: it takes no longer on a database of any size.
    for column in (
        sa.Column("floor", sa.Integer, nullable=False, server_default=zero),
        sa.Column("swept", sa.Integer, nullable=False, server_default=zero),
        sa.Column("access", sa.Integer, nullable=False, server_default=zero),
        sa.Column("title", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("everyone", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("posts_per_second", sa.Double),
        sa.Column("slow_seconds", sa.Double, nullable=False, server_default=zero),
        sa.Column("members", sa.Integer, nullable=False, server_default=zero),
        sa.Column("created_by", sa.Text),
        sa.Column("created_at", sa.Double, nullable=False, server_default=zero),
        sa.Column("client_id", sa.Text),
    ):
        op.add_column("rooms", column)
    op.execute("UPDATE rooms SET title = 'Lobby', public = TRUE, everyone = TRUE WHERE name = 'lobby'")
    op.create_index(
        "rooms_client_id",
        "rooms",
        ["created_by", "client_id"],
        unique=True,
        sqlite_where=sa.text("client_id IS NOT NULL"),
        postgresql_where=sa.text("client_id IS NOT NULL"),
    )
    op.create_index(
        "rooms_everyone",
        "rooms",
        ["everyone"],
        sqlite_where=sa.text("everyone = 1"),
        postgresql_where=sa.text("everyone"),
    )
    op.create_index(
        "rooms_open",
        "rooms",
        ["title"],
        sqlite_where=sa.text("public = 1 AND archived = 0"),
        postgresql_where=sa.text("public AND NOT archived"),
    )
    op.create_table(
        "members",
        sa.Column("room", sa.Integer, sa.ForeignKey("rooms.id"), primary_key=True),
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("role", sa.Text),
        sa.Column("invited_by", sa.Text),
        sa.Column("muted_until", sa.Double, nullable=False),
        sa.Column("banned_until", sa.Double, nullable=False),
        sa.Column("read", sa.Integer, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("members_user", "members", ["user"])
    op.add_column("events", sa.Column("kind", sa.Text, nullable=False, server_default=sa.text("'message'")))
    op.add_column("events", sa.Column("target", sa.Integer))
    op.add_column("events", sa.Column("facts", sa.Text))
    op.create_index(
        "events_target",
        "events",
        ["room", "target"],
        sqlite_where=sa.text("target IS NOT NULL"),
        postgresql_where=sa.text("target IS NOT NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("room", sa.Integer, sa.ForeignKey("rooms.id"), nullable=False),
        sa.Column("offset", sa.Integer, nullable=False),
        sa.Column("timestamp", sa.Double, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("user", sa.Text),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_room", "audit", ["room", "id"])
    for done in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{done.lower()} BEFORE {done} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
