"""Which dead letters were sent again.

Belongs here: the third step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the replays."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
