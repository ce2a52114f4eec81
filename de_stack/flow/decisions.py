"""What a person has decided: a loss, a new topic or a late change is right, a failure is known.

Belongs here: entering decisions and asking for them. Does not belong here: what follows from them
(`land.py`), the question to the person (`cli`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from de_stack.flow.slices import Missing, uncovered
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.settings import Settings

# The subject of an acknowledged failure is a stream, that of all others a table.
Kind = Literal["gap", "topic", "release", "acknowledge", "remake"]


@dataclass(frozen=True)
class Decision:
    """One decision: what it is about, why, who decided and when."""

    kind: Kind
    details: dict[str, Any]
    reason: str
    decided_by: str
    decided_at: datetime


class Decisions:
    """The decisions about one subject, read when they are first asked for."""

    def __init__(self, settings: Settings, subject: str) -> None:
        self._postgres, self._subject = Postgres(settings, "ledger"), subject

    @cached_property
    def all(self) -> list[Decision]:
        """Every decision, oldest first."""
        with self._postgres.transaction("read what was decided", timeout_s=20) as connection:
            rows = connection.execute(
                "select kind, details, reason, decided_by, decided_at from ledger.decisions "
                "where subject = %s order by id",
                (self._subject,),
            ).fetchall()
        return [Decision(*row) for row in rows]

    def enter(
        self, kind: Kind, details: Iterable[dict[str, Any]], reason: str, decided_by: str
    ) -> None:
        """Enter decisions of one kind, all or none."""
        with self._postgres.transaction("enter a decision") as connection:
            connection.cursor().executemany(
                "insert into ledger.decisions (kind, subject, details, reason, decided_by) "
                "values (%s, %s, %s, %s, %s)",
                [(kind, self._subject, json.dumps(d), reason, decided_by) for d in details],
            )
        self.__dict__.pop("all", None)

    def is_accepted(self, old_topic_id: str, new_topic_id: str) -> bool:
        """True where landing may go on from a topic to the one that was made in its place."""
        pair = {"from": old_topic_id, "to": new_topic_id}
        return any(d.kind == "topic" and d.details == pair for d in self.all)

    def is_acknowledged(self, step: str, run_id: str) -> bool:
        """True where a person has said that a step may go on after this run's failure."""
        failure = {"step": step, "run_id": run_id}
        return any(d.kind == "acknowledge" and d.details == failure for d in self.all)

    def open_gaps(self, topic_id: str, missing: Iterable[Missing]) -> list[Missing]:
        """What is missing and was not accepted as lost."""
        missing = list(missing)
        if not missing:
            return []
        lost, _ = self.of_landing()
        return [left for gap in missing for left in uncovered(gap, lost.get(topic_id, ()))]

    def of_landing(self) -> tuple[dict[str, list[Missing]], set[tuple[str, str]]]:
        """(topic id -> ranges accepted as lost, (old, new) ids of topics accepted as made anew)."""
        lost: dict[str, list[Missing]] = {}
        for d in (d.details for d in self.all if d.kind == "gap"):
            gap = Missing(d["partition"], d["first"], d["last"])
            lost.setdefault(d["topic_id"], []).append(gap)
        topics = {(d.details["from"], d.details["to"]) for d in self.all if d.kind == "topic"}
        return lost, topics
