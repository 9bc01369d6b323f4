"""Migration 0001: the tables of visuals and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "visuals",
        sa.Column("organisation", sa.String(64), primary_key=True),
        sa.Column("visual_id", sa.String(16), primary_key=True),
        sa.Column("source_key", sa.String(512), nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("is_private", sa.Boolean, nullable=False),
        sa.Column("registered", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("sid", sa.String(64), primary_key=True),
        sa.Column("organisation", sa.String(64), nullable=False),
        sa.Column("visual_id", sa.String(16), nullable=False),
        sa.Column("result_key", sa.String(512), nullable=False),
        sa.Column("changed", sa.String(8192), nullable=False),
        sa.Column("made", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organisation", "visual_id"],
            ["visuals.organisation", "visuals.visual_id"],
            ondelete="CASCADE",
        ),
    )
    op.create_index("sessions_by_age", "sessions", ["made"])


def downgrade() -> None:
    """Drop both tables."""
    op.drop_table("sessions")
    op.drop_table("visuals")
