"""Which files were sent as a stream, and how: the same file must become the same events again.

Belongs here: SQL on the ledger about sent files, what an earlier time demands of the next one. Does
not belong here: reading files, sending (`sources.replay`), where the rows are (`arrivals.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.settings import Settings

_COLUMNS = "id, name, file, mapping_digest, shift_days, good, began_at, sent_by, mapping"
# What decides when a row's event happened, beside the column or constant and the shift.
_TIMELY = ("time_format", "time_zone", "no_header", "delimiter")


@dataclass(frozen=True)
class SentFile:
    """One earlier time. `good` is None where nobody knows how far it came."""

    id: int
    name: str
    file: str
    mapping_digest: str
    shift_days: int | None
    good: int | None
    began_at: datetime
    sent_by: str
    mapping: dict[str, Any] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """False where nothing of it can be in silver."""
        return self.good != 0


class SentFiles:
    """Questions and entries about one bronze table. Each call is one transaction."""

    def __init__(self, settings: Settings, table_id: str) -> None:
        self._postgres, self._table_id = Postgres(settings, "ledger"), table_id

    def earlier(self, sha256: str) -> list[SentFile]:
        """Every time that a file with this content was sent, oldest first."""
        with self._postgres.transaction("read the ledger", timeout_s=20) as connection:
            return self._earlier(connection, sha256)

    def enter(
        self,
        known: Sequence[SentFile],
        sha256: str,
        topic_id: str,
        name: str,
        file: str,
        mapping_digest: str,
        mapping: dict[str, Any],
        shift_days: int | None,
        by: str,
    ) -> int:
        """Enter, before the sending, how a file is sent; the entry's id.

        Args:
            known: the earlier times that this one was held against.
            sha256: of the file's bytes.
            topic_id: where it goes.
            name: of this use of the file.
            file: how it is called.
            mapping_digest: of what decides what a row becomes, but for the shift.
            mapping: the same, for people.
            shift_days: what all times are moved by; None for not at all.
            by: who asks.

        Raises:
            TransientFailure: somebody has begun to send the same file meanwhile.
        """
        tried = f"enter that {file} is sent"
        with self._postgres.transaction(tried) as connection:
            connection.execute("lock table ledger.sent_files in share row exclusive mode")
            if {f.id for f in self._earlier(connection, sha256)} != {f.id for f in known}:
                got = "somebody has begun to send the same file meanwhile"
                raise TransientFailure(tried, got, "type it again", page="another-writer")
            row = connection.execute(
                "insert into ledger.sent_files (table_id, topic_id, sha256, name, file, "
                "mapping_digest, mapping, shift_days, sent_by) "
                "values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning id",
                (
                    *(self._table_id, topic_id, sha256, name, file),
                    *(mapping_digest, json.dumps(mapping), shift_days, by),
                ),
            ).fetchone()
        return row[0] if row else 0

    def end(self, entry: int, rows: int, good: int) -> None:
        """Enter how many rows were acknowledged, and how many of them the contract allows."""
        with self._postgres.transaction("enter that a file was sent") as connection:
            connection.execute(
                "update ledger.sent_files set rows = %s, good = %s, ended_at = now() where id = %s",
                (rows, good, entry),
            )

    def _earlier(self, connection: Any, sha256: str) -> list[SentFile]:
        rows = connection.execute(
            f"select {_COLUMNS} from ledger.sent_files "
            "where table_id = %s and sha256 = %s order by id",
            (self._table_id, sha256),
        ).fetchall()
        return [SentFile(*row) for row in rows]


def remembered_shift(earlier: Sequence[SentFile]) -> SentFile | None:
    """The first time that a file's times were moved: its constant is used again.

    Under another name, too: two columns of one file belong to the same times.
    """
    return next((f for f in earlier if f.shift_days is not None and f.counts), None)


def refuse_other(
    earlier: Sequence[SentFile], name: str, mapping_digest: str, shift_days: int | None
) -> None:
    """Refuse what would give a file's rows, under the same ids, another content or another time.

    Raises:
        PermanentFailure: such a file was sent under this name before, with something good in it.
    """
    other = _before(earlier, name)
    if other is None:
        return
    said = []
    if other.mapping_digest != mapping_digest:
        said.append("with another mapping")
    if moved := _moved(other, shift_days):
        said.append(moved)
    if said:
        raise PermanentFailure(
            f"send the file {'again' if not name else f'as {name!r} again'}",
            f"{_who(other)} {' and '.join(said)}",
            "--as NAME sends its rows as other events; --mend sends them in the place of the old "
            "ones, where their times are the same",
            page="sent-otherwise",
        )


def refuse_other_times(
    earlier: Sequence[SentFile],
    name: str,
    mapping: dict[str, Any],
    event_time: str,
    shift_days: int | None,
) -> None:
    """Refuse a mended mapping that moves events: an event of another hour does not replace its old.

    Raises:
        PermanentFailure: times came from elsewhere, or were read or moved otherwise.
    """
    other = _before(earlier, name)
    if other is None:
        return
    said = [moved] if (moved := _moved(other, shift_days)) else []
    if _timely(other.mapping, event_time) != _timely(mapping, event_time):
        said.append(f"with {event_time} from another column, or read otherwise")
    if said:
        raise PermanentFailure(
            "send the file in the place of what it was sent as",
            f"{_who(other)} {' and '.join(said)}: an event whose time is another does not take the "
            "place of the old one, it would be there twice",
            "--as NAME sends its rows as other events",
            page="sent-otherwise",
        )


def _before(earlier: Sequence[SentFile], name: str) -> SentFile | None:
    return next((f for f in reversed(earlier) if f.name == name and f.counts), None)


def _moved(other: SentFile, shift_days: int | None) -> str:
    was, now = other.shift_days or 0, shift_days or 0
    if was == now:
        return ""
    return (
        f"with times moved by {was} days, now it is {now}: each event would be there at both times"
    )


def _timely(mapping: dict[str, Any], event_time: str) -> list[Any]:
    sources = [mapping.get(kind, {}).get(event_time) for kind in ("columns", "constants")]
    return [*sources, *(mapping.get(word) for word in _TIMELY)]


def _who(other: SentFile) -> str:
    return f"{other.sent_by} has sent it on {other.began_at:%Y-%m-%d %H:%M} UTC"
