"""A small world of tweets around New Year 2022: the files in `sample/`, byte by byte.

Belongs here: who tweets what, from one seed. Does not belong here: writing the files (a test does,
with DE_STACK_REDRAW=1, and holds them against this).

All of it is invented. On 2022-01-01 Alice, Charlie and David change their names, David twice.
"""

from __future__ import annotations

import csv
import io
import random
from datetime import UTC, datetime, timedelta

SEED = 20220101
FIRST = datetime(2021, 12, 30, tzinfo=UTC)
DAYS = 6
COLUMNS = (
    *("status_id", "user_id", "created_at", "screen_name", "text", "source"),
    *("reply_to_status_id", "reply_to_user_id", "reply_to_screen_name", "is_quote", "is_retweet"),
    *("favourites_count", "retweet_count", "country_code", "place_full_name", "place_type"),
    *("followers_count", "friends_count", "account_lang", "account_created_at", "verified", "lang"),
)
_EPOCH = datetime(2010, 11, 4, 1, 42, 54, 657000, tzinfo=UTC)  # ids count milliseconds from here
_SOURCES = ("Twitter for iPhone", "Twitter Web App", "Twitter for Android", "Buffer", "")
_TEXTS = (
    "Happy new year! #NewYear2022",
    "Fireworks over the harbour \U0001f386\U0001f386 #newyear2022 #Sydney",
    'She said "see you next year", and that was yesterday',
    "Three things for 2022:\n1. sleep\n2. run\n3. sleep #goals",
    "Numbers, please: 12,5 % more than last week #statistik",
    "Gute Vors\u00e4tze? #M\u00fcnchen #neujahr",
    "\u65b0\u5e74\u304a\u3081\u3067\u3068\u3046 #\u65b0\u5e74",
    "Rock &#39;n&#39; roll is not a tag, C#minor neither, #1 is none, #2022goals is one",
    "Coffee \u2615\ufe0f first.\r\n\r\nThen #coffee and #Coffee again",
    "=SUM(A1:A3) is what the sheet says; back\\slash too",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 #family_time",
    "no tags, no links, no hope",
)
# user -> (id, name at first, [(day, name from the middle of it on)])
_USERS: dict[str, tuple[int, str, list[tuple[int, str]]]] = {
    "alice": (1001, "Alice", [(2, "Alice2")]),
    "bob": (9007199254740993, "bob_builds", []),
    "charlie": (1003, "Charlie", [(2, "Charlie2")]),
    "david": (1004, "David", [(2, "David2"), (2, "David3")]),
    "erika": (1005, "\u00c9rika", [(1, "Erika"), (4, "\u00c9rika")]),
    "frank": (1006, "Frank", [(3, "frank")]),
    "grace": (1007, "Grace", [(5, "AmazingGrace")]),
    "heidi": (1008, "Heidi", []),
    "ivan": (1477000000000000123, "Ivan", []),
    "judy": (1010, "Judy", []),
}
# Days on which somebody is silent: names are then compared over a gap.
_SILENT = {("charlie", 1), ("grace", 3), ("grace", 4), ("heidi", 2), ("frank", 2)}


def files() -> dict[str, bytes]:
    """File name -> content. Each file has a form of its own: a mark, line ends, columns."""
    rows = _rows(random.Random(SEED))  # noqa: S311 - invented data
    days = [FIRST + timedelta(days=day) for day in range(DAYS)]
    found = {}
    for number, day in enumerate(days):
        own = [row for row in rows if row["created_at"].startswith(f"{day:%Y-%m-%d}")]
        if number == 2:
            own = _with_bad_rows(own)
        if number == 4:
            # What the day before had collected a moment too late, and a tweet that both files have.
            own = [*(r for r in rows if r["created_at"].startswith("2022-01-02T23:5")), *own]
        columns = [c for c in COLUMNS if number != 1 or not c.startswith("place_")]
        ends = "\r\n" if number % 2 else "\n"
        text = _csv([*columns, "geo"] if number == 3 else columns, own, ends)
        found[f"tweets_{day:%Y-%m-%d}.csv"] = (b"\xef\xbb\xbf" if number == 0 else b"") + text
    return found


def _rows(rng: random.Random) -> list[dict[str, str]]:
    moments = []
    for day in range(DAYS):
        for user in _USERS:
            if (user, day) not in _SILENT:
                for _ in range(3 + int(rng.random() * 5)):
                    moments.append((day, int(rng.random() * 86_400), user))
        # First and last second of a day; and each name's own tweets in the middle of it.
        moments += [(day, 0, "bob"), (day, 86_399, "judy")]
    rows: list[dict[str, str]] = []
    for number, (day, second, user) in enumerate(sorted(moments)):
        at = FIRST + timedelta(days=day, seconds=second)
        rows.append(_row(rng, number, user, at, _name(user, day, second), rows))
    for user, (_, _, changes) in _USERS.items():
        for count, (day, name) in enumerate(changes):
            nth = sum(d == day for d, _ in changes[:count])
            at = FIRST + timedelta(days=day, seconds=43_200 + 3_600 * nth)
            rows.append(_row(rng, len(rows), user, at, name, rows))
    return sorted(rows, key=lambda r: (r["created_at"], int(r["status_id"])))


def _name(user: str, day: int, second: int) -> str:
    """The name at a time. A change takes place at noon, a second one of the day at one."""
    _, name, changes = _USERS[user]
    for count, (since, new) in enumerate(changes):
        nth = sum(d == since for d, _ in changes[:count])
        if (day, second) >= (since, 43_200 + 3_600 * nth):
            name = new
    return name


def _row(
    rng: random.Random,
    number: int,
    user: str,
    at: datetime,
    name: str,
    before: list[dict[str, str]],
) -> dict[str, str]:
    millis = (at - _EPOCH) // timedelta(milliseconds=1)
    row = dict.fromkeys(COLUMNS, "") | {
        "status_id": str((millis << 22) + number),
        "user_id": str(_USERS[user][0]),
        "created_at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "screen_name": name,
        "text": _pick(rng, _TEXTS),
        "source": _pick(rng, _SOURCES),
        "is_quote": "FALSE",
        "is_retweet": "FALSE",
        "favourites_count": str(int(rng.random() * 900)),
        "retweet_count": str(int(rng.random() * 90)),
        "country_code": _pick(rng, ("AU", "DE", "JP", "")),
        "followers_count": str(int(rng.random() * 5000)),
        "friends_count": str(int(rng.random() * 500)),
        "account_created_at": "2012-05-01T08:00:00Z",
        "verified": _pick(rng, ("TRUE", "FALSE")),
        "lang": _pick(rng, ("en", "de", "ja")),
    }
    chance = rng.random()
    if before and chance < 0.4:
        # Mostly to one of the last tweets, sometimes to one of days ago.
        back = 1 + int(rng.random() * (10 if chance < 0.3 else len(before)))
        other = before[-min(back, len(before))]
        if other["created_at"] <= row["created_at"]:
            row["reply_to_status_id"] = other["status_id"]
            row["reply_to_user_id"] = other["user_id"]
            row["reply_to_screen_name"] = other["screen_name"]
            row["text"] = f"@{other['screen_name']} {row['text']}"
    elif chance > 0.97:
        # To somebody whose tweets nobody has collected.
        row["reply_to_status_id"] = str(1476000000000000000 + number)
        row["reply_to_user_id"] = "424242"
        row["reply_to_screen_name"] = "elsewhere"
    return row


def _with_bad_rows(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """What spreadsheets and broken collectors leave: each against the contract in another way."""
    changes = [
        {"user_id": ""},
        {"status_id": "1.47724E+18"},
        {"created_at": "01/01/2022 10:00"},
        {"created_at": "2022-01-01T10:00:00"},
        {"reply_to_user_id": "unknown"},
    ]
    bad = [{**rows[5 * i + 3], **change} for i, change in enumerate(changes)]
    return [*rows[:10], *bad, *rows[10:]]


def _csv(columns: list[str], rows: list[dict[str, str]], ends: str) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", restval="", lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def _pick(rng: random.Random, options: tuple[str, ...]) -> str:
    return options[int(rng.random() * len(options))]
