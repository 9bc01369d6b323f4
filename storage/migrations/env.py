"""Run the migrations on the connection that storage.records passes."""

from alembic import context

import storage.idempotency
import storage.rate_counters
import storage.requests_in_work
import storage.stored_bytes
import storage.tokens  # noqa: F401
from storage.records import Base

connection = context.config.attributes["connection"]
# Every table: the modules above, which are imported for this alone, have one `Base`.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
