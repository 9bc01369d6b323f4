"""Migration 0005: the table in which servers count the requests of each organisation and route."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table. Only PostgreSQL uses it: a single server counts in memory."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    counts = ARRAY(sa.Integer) if is_postgresql else sa.JSON()
    op.create_table(
        "rate_counters",
        sa.Column("organisation", sa.String(64), primary_key=True),
        sa.Column("route", sa.String(255), primary_key=True),
        sa.Column("second", sa.BigInteger, nullable=False),
        sa.Column("accepted", counts, nullable=False),
        sa.Column("refused", counts, nullable=False),
        # Not in the log: a count is worth no wait for a disk. Room in each page makes updates cheaper.
        prefixes=["UNLOGGED"] if is_postgresql else [],
        postgresql_with={"fillfactor": 50},
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("rate_counters")
