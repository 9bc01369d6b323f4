"""Migration 0008: the table in which servers tell each other what they have in work."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. Only PostgreSQL uses it: a single server has nobody to tell."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    op.create_table(
        "requests_in_work",
        sa.Column("server", sa.String(64), primary_key=True),
        sa.Column("published", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counts", JSONB() if is_postgresql else sa.JSON(), nullable=False),
        # Not in the log: it is written anew every second. Room in each page makes updates cheaper.
        prefixes=["UNLOGGED"] if is_postgresql else [],
        postgresql_with={"fillfactor": 50},
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("requests_in_work")
