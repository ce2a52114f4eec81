"""Commits, what they touched, what was applied.

Belongs here: the first step. Does not belong here: later changes. A ledger that was made before
there were steps has these tables already.
"""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the three tables where they are missing."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
