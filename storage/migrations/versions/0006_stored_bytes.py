"""Migration 0006: the sizes of registered pictures and results, and the bytes that each organisation stores."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table; the sizes of older pictures are filled in by the sweep."""
    op.add_column("visuals", sa.Column("bytes", sa.Integer, nullable=True))
    op.add_column("visuals", sa.Column("map_bytes", sa.Integer, nullable=True))
    op.add_column("visual_results", sa.Column("bytes", sa.Integer, nullable=True))
    op.create_index("visuals_by_age", "visuals", ["registered"])
    op.create_table(
        "stored_bytes",
        sa.Column("organisation", sa.String(64), primary_key=True),
        sa.Column("expires", sa.DateTime(timezone=True), primary_key=True),
        sa.Column("bytes", sa.BigInteger, nullable=False),
    )
    op.create_index("stored_bytes_by_expiry", "stored_bytes", ["expires"])


def downgrade() -> None:
    """Drop the table and the columns."""
    op.drop_table("stored_bytes")
    op.drop_index("visuals_by_age", "visuals")
    op.drop_column("visual_results", "bytes")
    op.drop_column("visuals", "map_bytes")
    op.drop_column("visuals", "bytes")
