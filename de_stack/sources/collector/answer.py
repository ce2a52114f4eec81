"""What became of each item -> the answer's status and body.

Belongs here: the form of answers. Does not belong here: finding out what became of them.

One event: its own status, `{"status", "id"}` and, where refused, `code`, `field`, `reason`, `kept`
(true: it is a dead letter).
A batch: 202 when all were accepted; 503 when something could not be accepted *now* and nothing was
(send the batch again, same ids); else 207. Always with `items`, in the order of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RETRY_AFTER = {"Retry-After": "1"}


@dataclass(frozen=True, slots=True)
class Result:
    """One item's fate as an HTTP status: 202, 400, 413, 422 or 503.

    `kept`: refused, and Kafka has it as a dead letter.
    """

    id: str
    status: int
    code: str | None = None
    field: str | None = None
    reason: str | None = None
    kept: bool = False

    def body(self) -> dict[str, Any]:
        """As it stands in an answer: without what is not known."""
        told = {"id": self.id, "status": self.status}
        if self.status != 202:
            told |= {"code": self.code, "field": self.field, "reason": self.reason}
        if self.status not in (202, 503):
            told["kept"] = self.kept
        return told


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer before it is bytes."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


def refuse(status: int, code: str, reason: str, **more: Any) -> Answer:
    """The whole request is refused."""
    if status == 503:
        return Answer(status, {"status": status, "code": code, "reason": reason}, RETRY_AFTER)
    # Said, so that nobody looks for it among the dead letters.
    body = {"status": status, "code": code, "reason": reason, "kept": False, **more}
    return Answer(status, body, {})


def answer(results: list[Result], is_batch: bool, ids: str | None = None) -> Answer:
    """The answer for these items; `ids` says where theirs come from, if that is to be told."""
    told = {} if ids is None else {"ids": ids}
    if not is_batch:
        (only,) = results
        return Answer(only.status, only.body() | told, RETRY_AFTER if only.status == 503 else {})
    statuses = [r.status for r in results]
    accepted = statuses.count(202)
    if accepted == len(results):
        status = 202
    elif accepted == 0 and 503 in statuses:
        status = 503
    else:
        status = 207
    body = {"status": status, "accepted": accepted, "items": [r.body() for r in results]} | told
    return Answer(status, body, RETRY_AFTER if 503 in statuses else {})
