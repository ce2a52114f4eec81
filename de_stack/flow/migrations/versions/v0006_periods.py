"""Periods of any length: a month has no fixed number of seconds.

Belongs here: the sixth step. Does not belong here: later changes.
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Read a commit's period as an interval, from commits of before as well."""
    op.execute(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))
