"""Consumers that read back: a touch makes the hours pending that windows reach from it.

Belongs here: the eighth step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Remember how far each consumer reads back, and ask for the hours after a touch."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
