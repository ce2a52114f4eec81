"""Shares of faults as a file or a command line gives them -> `Faults`.

Belongs here: `late: 0.1`, `late: {share: 0.1, seconds: 7200}`, `0.1:7200`. Does not belong here:
what is done with them (`faults.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from de_stack.sources.generator.counts import KINDS
from de_stack.sources.generator.faults import Faults
from de_stack.sources.generator.files import ConfigError, seconds_of

_TIMED = ("late", "future")


def faults_of(raw: Any, where: str) -> Faults:
    """The `faults:` of a file.

    Raises:
        ConfigError: an unknown fault, a share that is none, shares that add up to more than 1.
    """
    if raw is None:
        return Faults()
    if not isinstance(raw, dict):
        raise ConfigError(where, "faults", "not a mapping of fault to share")
    found: dict[str, float] = {}
    for word, value in raw.items():
        kind = str(word).replace("-", "_")
        if kind not in KINDS or kind in found:
            reason = "stands twice" if kind in found else "unknown"
            raise ConfigError(where, f"faults.{word}", f"{reason}; there are {', '.join(KINDS)}")
        found |= _one(kind, value, where, f"faults.{word}")
    return checked(Faults(**found), where)


def given(over: Faults, texts: Mapping[str, str | None]) -> Faults:
    """The faults of a command line (`SHARE` or `SHARE:SECONDS`), before those of a file.

    Raises:
        ConfigError: as `faults_of`.
    """
    known = {field.name: getattr(over, field.name) for field in fields(Faults)}
    for kind, text in texts.items():
        if text is None:
            continue
        where, option = "of the command line", f"--{kind.replace('_', '-')}"
        share, colon, seconds = text.partition(":")
        try:
            value: Any = float(share)
        except ValueError as error:
            raise ConfigError(where, option, f"{text!r} is no share from 0 to 1") from error
        known.pop(f"{kind}_seconds", None)
        known |= _one(kind, {"share": value, "seconds": seconds} if colon else value, where, option)
    return checked(Faults(**known), "of the command line")


def checked(faults: Faults, where: str) -> Faults:
    """The faults, if one event can have only one of them.

    Raises:
        ConfigError: late, future, malformed and out of order add up to more than 1.
    """
    if faults.exclusive > 1 + 1e-9:
        reason = (
            f"late, future, malformed and out_of_order add up to {faults.exclusive:g}: an event "
            "has one of them, so at most 1"
        )
        raise ConfigError(where, "faults", reason)
    return faults


def _one(kind: str, value: Any, where: str, at: str) -> dict[str, float]:
    seconds = None
    if isinstance(value, dict):
        words = ("share", "seconds") if kind in _TIMED else ("share",)
        if unknown := value.keys() - set(words):
            named = ", ".join(sorted(map(str, unknown)))
            raise ConfigError(where, at, f"unknown: {named}; there are {', '.join(words)}")
        seconds, value = value.get("seconds"), value.get("share")
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ConfigError(where, at, f"{value!r} is no share from 0 to 1")
    if seconds is None:
        return {kind: float(value)}
    length = seconds_of(seconds)
    if length is None or not math.isfinite(length) or not 0 < length <= 3.2e9:
        raise ConfigError(where, at, f"{seconds!r} is no number of seconds above 0")
    return {kind: float(value), f"{kind}_seconds": length}
