"""What a file gives, whatever its format.

Belongs here: the interface of a reader. Does not belong here: the formats, what rows mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

# Cells in the order of the columns that were asked for, None where there is nothing; or the raw
# bytes of something that is no row.
Row = Sequence[Any] | bytes


class Source(Protocol):
    """A file of rows. It can be read more than once, and always gives the same rows."""

    columns: tuple[str, ...]
    note: str | None
    """What the reader has decided by itself and a person should know."""

    def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
        """All rows in the file's order, each with the cells of the wanted columns.

        Raises:
            PermanentFailure: the file cannot be read any further.
        """
        ...

    def fraction(self) -> float:
        """How much of the file the reading under way has behind it, 0..1."""
        ...
