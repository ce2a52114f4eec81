"""The two ways a step may fail, and what each must say.

Belongs here: the exception types that every room raises, and where the page of a refusal is. Does
not belong here: retry loops, logging, or the decision what to do about a failure (that is the
caller's).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

# What Linux says, in the words of whatever program met it.
NO_ROOM = "No space left on device|Disk quota exceeded"
# One page per cause and cure, for whoever meets a refusal at night (`de-stack explain`).
PAGES = Path("docs") / "refusals"
_SAID = re.compile(
    r"(?:de_stack\.[\w.]+: )?(?P<tried>.*?): (?P<got>.*) "
    r"\(a retry (?P<can>can|cannot) help\)(?:; fix: (?P<fix>.*?))?"
    rf"(?:; see {PAGES}/(?P<page>[a-z-]+)\.md)?",
    re.DOTALL,
)


class Failure(Exception):
    """A step that did not do its work.

    Args:
        tried: what was attempted, in a few words ("read end offsets of topic telemetry.measures").
        got: what came back ("no broker answered at 127.0.0.1:9092 within 2 s").
        fix: what a person can type or change, if anything.
        page: name of the page that says more; the class's own without it.
    """

    can_retry_help: bool = False
    page: str | None = None

    def __init__(
        self, tried: str, got: str, fix: str | None = None, page: str | None = None
    ) -> None:
        self.tried, self.got, self.fix, self.page = tried, got, fix, page or self.page
        retry = "a retry can help" if self.can_retry_help else "a retry cannot help"
        parts = [f"{tried}: {got} ({retry})"]
        if fix:
            parts.append(f"fix: {fix}")
        if self.page:
            parts.append(f"see {PAGES}/{self.page}.md")
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Between processes: as it is, without calling a class whose arguments differ by kind."""
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[Failure], args: tuple[object, ...]) -> Failure:
    failure = kind.__new__(kind)
    failure.args = args
    return failure


class PermanentFailure(Failure):
    """Nothing changes until somebody acts: a retry would fail in the same way."""


class TransientFailure(Failure):
    """The outside world was away or busy: the same call may pass later."""

    can_retry_help = True


@dataclass(frozen=True)
class Said:
    """What a failure has said, where only its text is left: another process has raised it."""

    tried: str
    got: str
    fix: str | None
    can_retry_help: bool
    page: str | None = None


def read_back(text: str) -> Said | None:
    """The parts of a failure's text, with or without its class before it; None for other texts."""
    found = _SAID.fullmatch(text.strip())
    if found is None:
        return None
    return Said(found["tried"], found["got"], found["fix"], found["can"] == "can", found["page"])
