"""The day that a file's name tells.

Belongs here: dates in names. Does not belong here: what is in the file.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from de_stack.failures import PermanentFailure

_DATE = re.compile(r"(?<!\d)(\d{4})([-_.]?)(\d{2})\2(\d{2})(?!\d)", re.ASCII)


def day_of(path: Path) -> date:
    """`2020-03-29 Some Rows.CSV`, `rows_2022-01-01.csv`, `20220101.csv`: the one date of the name.

    Raises:
        PermanentFailure: there is none, or there are several.
    """
    found: set[date] = set()
    for year, _, month, day in _DATE.findall(path.name):
        try:
            found.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue  # Digits that are no date.
    if len(found) != 1:
        named = ", ".join(day.isoformat() for day in sorted(found)) or "no date"
        raise PermanentFailure(
            f"find the day of {path.name}",
            f"its name has {named}",
            "name it after its day, e.g. rows_2022-01-01.csv",
            page="day-file",
        )
    return found.pop()
