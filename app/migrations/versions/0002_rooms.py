"""Rooms with members, roles and settings, events of every kind, the audit log; the lobby becomes everyone's."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    zero = sa.text("0")
    # Columns are added, not tables rebuilt: it takes no longer on a database of any size.
    for column in (
        sa.Column("floor", NUMBER, nullable=False, server_default=zero),
        sa.Column("swept", NUMBER, nullable=False, server_default=zero),
        sa.Column("access", NUMBER, nullable=False, server_default=zero),
        sa.Column("title", TEXT, nullable=False, server_default=sa.text("''")),
        sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("everyone", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("archived", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("posts_per_second", sa.Double),
        sa.Column("slow_seconds", sa.Double, nullable=False, server_default=zero),
        sa.Column("members", sa.Integer, nullable=False, server_default=zero),
        sa.Column("created_by", TEXT),
        sa.Column("created_at", sa.Double, nullable=False, server_default=zero),
        sa.Column("client_id", TEXT),
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
        sa.Column("user", TEXT, primary_key=True),
        sa.Column("role", TEXT),
        sa.Column("invited_by", TEXT),
        sa.Column("muted_until", sa.Double, nullable=False),
        sa.Column("banned_until", sa.Double, nullable=False),
        sa.Column("read", NUMBER, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("members_user", "members", ["user"])
    op.add_column("events", sa.Column("kind", TEXT, nullable=False, server_default=sa.text("'message'")))
    op.add_column("events", sa.Column("target", NUMBER))
    op.add_column("events", sa.Column("facts", TEXT))
    op.create_index(
        "events_target",
        "events",
        ["room", "target"],
        sqlite_where=sa.text("target IS NOT NULL"),
        postgresql_where=sa.text("target IS NOT NULL"),
    )
    op.create_table(
        "audit",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("room", sa.Integer, sa.ForeignKey("rooms.id"), nullable=False),
        sa.Column("offset", NUMBER, nullable=False),
        sa.Column("timestamp", sa.Double, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("user", TEXT),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("facts", TEXT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("audit_room", "audit", ["room", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_refuses()"
        )
        return
    for done in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{done.lower()} BEFORE {done} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
