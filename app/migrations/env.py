"""Alembic's entry point: runs the steps inside the transaction that `migrate` opened."""

from alembic import context

from app.store_schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
