"""Migration 0003: the table of every result of a visual, so that its removal finds them all."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "visual_results",
        sa.Column("result_key", sa.String(512), primary_key=True),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("visual_id", sa.String(16), nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation", "visual_id"],
            ["visuals.organisation", "visuals.visual_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("visual_results_by_visual", "visual_results", ["organisation", "visual_id"])
    op.create_index("visual_results_by_age", "visual_results", ["made"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("visual_results")
