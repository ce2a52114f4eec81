"""What changes between two versions of a contract, and whom it breaks.

Belongs here: pure comparison of streams, the version number that follows (https://semver.org).
Does not belong here: finding the versions (`cli`), doing what follows.

A change breaks if a message that was good may be refused, or if a reader finds other columns, types
or meanings than before. All else is compatible: readers that ask for what they know go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from de_stack.contracts.model import Field, Stream

Level = Literal["major", "minor", "patch"]
_LEVELS: tuple[Level, ...] = ("patch", "minor", "major")
_SEMVER = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_ANEW = "DE_STACK_NAMESPACE=... de-stack up: tables of this form have to be made anew"
_NOTHING = ""


@dataclass(frozen=True)
class Change:
    """One difference: where, what, how much of a version number it takes, what to do about it."""

    stream: str
    where: str
    what: str
    level: Level
    follow: str = _NOTHING

    @property
    def is_breaking(self) -> bool:
        """True where somebody has to act before the contract may change."""
        return self.level == "major"


def changes(old: Mapping[str, Stream], new: Mapping[str, Stream]) -> list[Change]:
    """Differences of all streams, by name; breaking ones first."""
    found: list[Change] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            found.append(Change(name, "stream", "removed", "major", "its tables stay: move them"))
        elif name not in old:
            found.append(Change(name, "stream", "added", "minor", "de-stack init"))
        else:
            found += _stream(old[name], new[name])
    return sorted(found, key=lambda change: -_LEVELS.index(change.level))


def needed(found: list[Change]) -> Level | None:
    """The part of the version number that must be raised; None where nothing has changed."""
    levels = {change.level for change in found}
    return next((level for level in reversed(_LEVELS) if level in levels), None)


def is_raised_enough(old: str, new: str, level: Level | None) -> bool:
    """True if `new` follows `old` as the level wants. Before 1.0.0 a break takes a minor number."""
    parts = [_SEMVER.fullmatch(text) for text in (old, new)]
    if level is None:
        return True
    if None in parts:
        return False
    before, after = ([int(n) for n in part.groups()] for part in parts if part)
    place = 2 - _LEVELS.index(level)
    if before[0] == 0 and after[0] == 0:
        place = max(place, 1)
    return after[: place + 1] > before[: place + 1]


def _stream(old: Stream, new: Stream) -> Iterator[Change]:
    name = new.name
    reparse, rebuild = f"de-stack reparse {name}", f"de-stack rebuild {name}"
    was, now = ({f.name: f for f in s.fields} for s in (old, new))
    for field in sorted(was.keys() | now.keys()):
        where = f"field {field}"
        if field not in now:
            yield Change(name, where, "removed", "major", f"{reparse}; {rebuild}")
        elif field not in was:
            level: Level = "major" if now[field].required else "minor"
            what = "required field added" if now[field].required else "optional field added"
            yield Change(name, where, what, level, reparse)
        else:
            for what, level, follow in _field(was[field], now[field], reparse):
                yield Change(name, where, what, level, follow)
    for word, attribute, follow in (
        ("wireFormat", "wire_format", "a new stream: one topic has one form"),
        ("topicVersion", "topic_version", "a new topic: let all land first, then accept-topic"),
        ("grain", "grain", _ANEW),
        ("eventId", "event_id", f"{reparse}; {rebuild}"),
        ("eventTime", "event_time", f"{reparse}; {rebuild}"),
        ("primaryKey", "key", "none: old messages stay in the partition of their old key"),
    ):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            yield Change(name, word, f"{_text(before)} -> {_text(after)}", "major", follow)
    for word, attribute, breaks, follow in _ordered(reparse, rebuild):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            weight: Level = "major" if breaks(before, after) else "minor"
            yield Change(name, word, f"{_text(before)} -> {_text(after)}", weight, follow(weight))
    rest: tuple[tuple[str, str, Level, str], ...] = (
        ("allowedLateness", "allowed_lateness", "minor", rebuild),
        ("lookBack", "look_back", "minor", _NOTHING),
        ("freshness", "freshness", "minor", _NOTHING),
        ("errorRate", "error_rate", "minor", _NOTHING),
        ("errorRateWindow", "error_rate_window", "minor", _NOTHING),
        ("accountedIn", "accounted_in", "minor", _NOTHING),
        ("dbtReads", "dbt_reads", "minor", _NOTHING),
        ("generatorRatePerSecond", "generator_rate", "patch", _NOTHING),
        ("description", "description", "patch", _NOTHING),
        ("team", "team", "patch", _NOTHING),
        ("owner", "owner", "patch", _NOTHING),
    )
    for word, attribute, weight, follow in rest:
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            yield Change(name, word, f"{_text(before)} -> {_text(after)}", weight, follow)


_Breaks = Callable[[Any, Any], bool]


def _ordered(
    reparse: str, rebuild: str
) -> tuple[tuple[str, str, _Breaks, Callable[[Level], str]], ...]:
    """Words of which less, or more, breaks."""

    def lower(before: Any, after: Any) -> bool:
        return after < before

    def later(before: Any, after: Any) -> bool:
        return after > before

    def fewer(before: Any, after: Any) -> bool:
        # Who sends in a form, or reads windows, that are gone or otherwise now has to change.
        return any(one not in after for one in before)

    def of_topic(level: Level) -> str:
        anew = "make the topic anew, then de-stack offsets accept-topic"
        return anew if level == "major" else "de-stack init; new keys go to other partitions"

    return (
        ("topicPartitions", "partitions", lower, of_topic),
        ("retention", "retention", lower, lambda _: "de-stack init, when all has landed"),
        ("historyStart", "history_start", later, lambda _: reparse),
        ("maxFutureSkew", "max_future", lower, lambda _: reparse),
        ("envelopes", "envelopes", fewer, lambda _: _NOTHING),
        ("csvLine", "csv_line", lambda before, _: bool(before), lambda _: reparse),
        ("windows", "windows", fewer, lambda _: rebuild),
        ("watermark", "watermark", lower, lambda _: _NOTHING),
    )


def _field(old: Field, new: Field, reparse: str) -> Iterator[tuple[str, Level, str]]:
    if old.type != new.type:
        yield f"type {old.type} -> {new.type}", "major", _ANEW
    if old.path != new.path:
        yield f"place {'.'.join(old.path)} -> {'.'.join(new.path)}", "major", reparse
    if old.required != new.required:
        yield (
            ("required now", "major", reparse)
            if new.required
            else ("optional now", "minor", reparse)
        )
    if old.unit != new.unit:
        yield f"unit {old.unit} -> {new.unit}", "major", "none: landed numbers keep the old unit"
    for word, attribute, sign in (
        ("minimum", "minimum", 1),
        ("maximum", "maximum", -1),
        ("minLength", "min_length", 1),
        ("maxLength", "max_length", -1),
    ):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            narrowed = after is not None and (before is None or sign * (after - before) > 0)
            yield (
                f"{word} {before} -> {after}: {'narrowed' if narrowed else 'widened'}",
                "major" if narrowed else "minor",
                reparse,
            )
    if old.pattern != new.pattern:
        # Whether one pattern allows all that another does, nobody can tell in general.
        level: Level = "minor" if new.pattern is None else "major"
        yield f"pattern {old.pattern} -> {new.pattern}", level, reparse
    if set(old.allowed) != set(new.allowed):
        gone = sorted(set(old.allowed) - set(new.allowed))
        narrowed = bool(new.allowed) and (not old.allowed or bool(gone))
        what = f"allowed values {list(old.allowed)} -> {list(new.allowed)}"
        yield what, "major" if narrowed else "minor", reparse
    for word in ("description", "classification", "generator"):
        if getattr(old, word) != getattr(new, word):
            yield f"{word} changed", "patch", _NOTHING


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
