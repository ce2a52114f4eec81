"""Reads what Spark says when a query has failed: pages of stacks, and one sentence in them.

Belongs here: finding the sentence, and whether a retry can help. Does not belong here: retrying
(`hosted.py`).
"""

from __future__ import annotations

import re

# What Spark and we say of what no retry mends.
_FOR_GOOD = ("(a retry cannot help)", "KAFKA_DATA_LOSS", "STATE_STORE_KEY_SCHEMA", "[STATE_STORE_")

_OURS = re.compile(r"[^\n]*Failure: .*?\(a retry can(?:not)? help\)[^\n]*", re.DOTALL)


def is_for_good(text: str) -> bool:
    """What of ours was raised last has the word; else Spark's, wherever its account has it."""
    ours = _OURS.findall(text)
    return any(word in (ours[-1] if ours else text) for word in _FOR_GOOD)


def why(text: str) -> str:
    """The sentence in Spark's account of an exception.

    Ours, where one of ours was raised: it may go over several lines, as what Postgres says does.
    Otherwise the last line that says what no retry mends, the last cause, or the first line.
    """
    if ours := _OURS.findall(text):
        return " ".join(ours[-1].split())[:1000]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for mark in (*_FOR_GOOD, "Caused by: "):
        if found := [line for line in lines if mark in line]:
            return found[-1][:1000]
    return (lines[0] if lines else text)[:1000]
