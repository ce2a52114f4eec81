"""What people decide, and views of what the first tables say.

Belongs here: the second step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add decisions and views."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
