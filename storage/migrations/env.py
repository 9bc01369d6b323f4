"""Run the migrations on the connection that storage.records passes."""

from alembic import context

from storage.idempotency import IdempotencyRow

connection = context.config.attributes["connection"]
# Every table: this module and storage.records, which it imports, have one `Base`.
metadata = IdempotencyRow.metadata
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
