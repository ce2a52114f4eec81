"""The sample of tweets: the files are what the script makes, and hold what they promise."""

import csv
import io
import os

from de_stack.contracts.load import DEFS
from de_stack.defs.tweets.core import sample

FOLDER = DEFS / "tweets" / "sample"


def rows() -> list[dict[str, str]]:
    return [
        row
        for content in sample.files().values()
        for row in csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    ]


def test_the_files_are_what_the_script_makes() -> None:
    made = sample.files()
    if os.environ.get("DE_STACK_REDRAW"):
        for name, content in made.items():
            (FOLDER / name).write_bytes(content)
    there = {path.name: path.read_bytes() for path in FOLDER.glob("*.csv")}
    assert there == made, "if the script was changed: DE_STACK_REDRAW=1 pytest " + __file__


def test_it_is_small_and_has_what_day_files_have() -> None:
    assert sum(map(len, sample.files().values())) < 100_000
    found = rows()
    assert 200 < len(found) < 500
    text = "".join(r["text"] for r in found)
    assert "\n" in text and "\r\n" in text and '"' in text and "\U0001f386" in text
    assert any(int(r["user_id"] or 0) > 2**53 for r in found)
    by_id = {r["status_id"]: r for r in found}
    answers = [(r, by_id.get(r["reply_to_status_id"])) for r in found if r["reply_to_status_id"]]
    assert any(o is None for _, o in answers)
    assert any(o and o["created_at"][:10] < r["created_at"][:10] for r, o in answers)
    assert any("geo" in r for r in found) and any("place_type" not in r for r in found)
