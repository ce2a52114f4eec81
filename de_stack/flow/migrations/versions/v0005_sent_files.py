"""Which files were sent as streams, and how.

Belongs here: the fifth step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table of sent files."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
