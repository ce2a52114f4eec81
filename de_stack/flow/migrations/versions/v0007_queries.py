"""Continuous queries: their checkpoints and batches.

Belongs here: the seventh step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the two tables."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
