"""What the ledger knows of dead letters: commits that may hold some, replays and how far they are.

Belongs here: SQL on the `ledger` database about them, who may settle them now. Does not belong
here: the letters themselves (`dead_letters.py`), sending (`replay.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.flow.letters import Position
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.settings import Settings


# Commits that may bring or settle letters.
_OF_MESSAGES = "kind in ('land', 'reparse', 'repair')"


@dataclass(frozen=True)
class Entry:
    """A replay that somebody asked for; `sent_at` is None while nobody knows whether it was sent.

    `landed_at` is None while it is under way.
    """

    position: Position
    entered_at: datetime
    sent_at: datetime | None
    landed_at: datetime | None


class LetterLedger:
    """Questions and entries about one bronze table. Each call is one transaction."""

    def __init__(self, settings: Settings, table_id: str) -> None:
        self._postgres, self._table_id = Postgres(settings, "ledger"), table_id

    def settling(
        self, who: str, beside: bool = False
    ) -> AbstractContextManager[Callable[[], None]]:
        """Settle letters, alone or `beside` others: a letter is mended or sent again, not both.

        Landing takes no notice. What is given fails if the lock was lost (`Postgres.lock`).

        Raises:
            TransientFailure: somebody else is at it; he is named.
        """
        name = f"letters of {self._table_id}"
        return self._postgres.lock(name, f"settle {name}", who, shared=beside)

    def commits(self, after: int, until: int) -> list[tuple[str, dict[str, Any]]]:
        """(kind, details) of the commits after a version, up to another, that changed messages."""
        return self._all(
            "select kind, details from ledger.commits where table_id = %s "
            f"and version > %s and version <= %s and {_OF_MESSAGES} order by version",
            (self._table_id, after, until),
        )

    def has_news(self, after: int) -> bool:
        """True if a commit after a version may have brought letters or settled some.

        A good row touches its event hour, a bad one none: what a landing did not touch is dead.
        """
        found = self._all(
            "select c.kind in ('reparse', 'repair') or c.rows > coalesce((select sum(t.rows) from "
            "ledger.touched t where (t.table_id, t.version) = (c.table_id, c.version)), 0) "
            "or exists (select from ledger.replays r where r.table_id = c.table_id "
            "and r.landed_at is null) "
            "from ledger.commits c where c.table_id = %s and c.version > %s "
            f"and {_OF_MESSAGES}",
            (self._table_id, after),
        )
        return any(row[0] for row in found)

    def replays(self) -> dict[Position, Entry]:
        """Every replay that was asked for."""
        rows = self._all(
            'select topic_id, partition, "offset", entered_at, sent_at, landed_at '
            "from ledger.replays where table_id = %s",
            (self._table_id,),
        )
        entries = [Entry(Position(*row[:3]), *row[3:]) for row in rows]
        return {entry.position: entry for entry in entries}

    def enter(self, positions: Iterable[Position], by: str) -> None:
        """Enter, before the sending, that letters are to be sent again."""
        with self._postgres.transaction("enter replays") as connection:
            connection.cursor().executemany(
                'insert into ledger.replays (table_id, topic_id, partition, "offset", entered_by) '
                "values (%s, %s, %s, %s, %s) on conflict do nothing",
                [(self._table_id, p.topic_id, p.partition, p.offset, by) for p in positions],
            )

    def confirm(self, sent: dict[Position, tuple[int, int]]) -> None:
        """Enter where the topic has them now, as (partition, offset)."""
        with self._postgres.transaction("confirm replays") as connection:
            connection.cursor().executemany(
                "update ledger.replays set sent_at = now(), sent_partition = %s, sent_offset = %s "
                'where table_id = %s and topic_id = %s and partition = %s and "offset" = %s '
                "and sent_at is null",
                [
                    (*place, self._table_id, p.topic_id, p.partition, p.offset)
                    for p, place in sent.items()
                ],
            )

    def landed(self, positions: Iterable[Position]) -> None:
        """Enter that replays have landed, well or not: nothing of them is under way."""
        with self._postgres.transaction("enter that replays have landed") as connection:
            connection.cursor().executemany(
                "update ledger.replays set landed_at = now(), sent_at = coalesce(sent_at, now()) "
                'where table_id = %s and topic_id = %s and partition = %s and "offset" = %s '
                "and landed_at is null",
                [(self._table_id, p.topic_id, p.partition, p.offset) for p in positions],
            )

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._postgres.transaction("read the ledger", timeout_s=20) as connection:
            return connection.execute(sql.encode(), values).fetchall()
