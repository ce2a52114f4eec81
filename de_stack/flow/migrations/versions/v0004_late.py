"""How late rows were, and which event hours are held.

Belongs here: the fourth step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the largest lateness, the question for lagging hours and views on it."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
