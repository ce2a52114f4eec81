"""A draft -> the three folders of a stream: definition, dbt models, tests.

Belongs here: rendering templates, all of them or none. Does not belong here: what stands in a
contract (`contract.py`), what the templates say (`templates/`).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from de_stack.contracts import load_file
from de_stack.failures import PermanentFailure
from de_stack.scaffold.contract import contract_text
from de_stack.scaffold.draft import Draft, DraftField
from de_stack.scaffold.places import mart_of, places
from de_stack.scaffold.profile import Profile, excerpt

_TEMPLATES = Path(__file__).parent / "templates"
_SAMPLE_ROWS = 200
_MOST_SHOWN = 60
_SAMPLE_HEAD = """\
# Arguments of `de-stack` that bring the sample in, typed at the top of the checkout. The
# test beside it and `de-stack changed --run` read them: which column fills which field, how
# times are spelled.
"""
_SPARK = {"string": "string", "integer": "bigint", "number": "double", "boolean": "boolean"}
_POSTGRES = {"string": "text", "integer": "bigint", "number": "double precision"}
_DBT = {"string": "varchar", "integer": "bigint", "number": "double", "boolean": "boolean"}
_DBT |= {"timestamp": "timestamp with time zone", "date": "date"}


@dataclass(frozen=True)
class Written:
    """Folders and files that were written, and the arguments with which `replay` sends the file."""

    folders: tuple[Path, ...]
    files: tuple[Path, ...]
    replay: tuple[str, ...]


def write(root: Path, draft: Draft, found: Profile, owner: str) -> Written:
    """Write everything; no file that is there is touched.

    All of it is made and read back in a folder beside, and only then put in its place: what cannot
    be read must not stop the code location of the domains that are there.

    Raises:
        PermanentFailure: the domain is there already, the root is no checkout, a name does not fit,
            or a folder cannot be written; then nothing is left behind.
    """
    tried = f"make stream {draft.domain}.{draft.entity}"
    definition, models, tests = made = places(root, draft, tried)
    mart = mart_of(root, draft, tried)
    replay = replay_arguments(draft, found.path)
    placed: list[Path] = []
    beside: Path | None = None
    try:
        beside = Path(tempfile.mkdtemp(prefix=".new_stream-", dir=root))
        for folder, name, text in _contents(draft, found.path, owner, replay, mart):
            path = beside / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        excerpt(found, beside / "t" / "sample.csv", _SAMPLE_ROWS)
        load_file(beside / "d" / "contract.odcs.yaml")
        # The definition last: before it is there, nothing reads the others.
        for part, place in (("t", tests), ("m", models), ("d", definition)):
            place.parent.mkdir(exist_ok=True)
            (beside / part).rename(place)
            placed.append(place)
    except BaseException as error:
        take_away(placed)
        if isinstance(error, OSError):
            raise PermanentFailure(
                tried, str(error), "see that it can be written", page="new-stream"
            ) from error
        raise
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)
    files = sorted(path for folder in made for path in folder.rglob("*") if path.is_file())
    return Written((definition, models, tests), tuple(files), tuple(replay))


def take_away(made: Sequence[Path]) -> None:
    """Remove folders that `write` has made; the definition first, which reads the others."""
    for folder in reversed(made):
        shutil.rmtree(folder, ignore_errors=True)


def replay_arguments(draft: Draft, file: Path) -> list[str]:
    """How `de-stack replay` is told which column fills which field."""
    found = []
    for field in draft.fields:
        if field.column is not None:
            found += ["--map", f"{field.name}={field.column}"]
        else:
            found += ["--set", f"{field.name}={file.stem}"]
    if draft.time_format:
        found += ["--time-format", draft.time_format]
    return found


def _contents(
    draft: Draft, file: Path, owner: str, replay: list[str], mart: str
) -> list[tuple[str, str, str]]:
    """(folder: d, m or t; name; text) of every file."""
    by_name = {f.name: f for f in draft.fields}
    numbers = tuple(f.name for f in draft.numbers)
    words = {
        "domain": draft.domain,
        "entity": draft.entity,
        "title": f"{draft.domain.replace('_', ' ').capitalize()}, {draft.entity.replace('_', ' ')}",
        "file": _short(file.name.replace("\\", "").replace('"', "")),
        "mart": mart,
        "key": draft.key,
        "key_spark": _SPARK[by_name[draft.key].type],
        "key_postgres": _POSTGRES[by_name[draft.key].type],
        "time": draft.time,
        "grain": draft.grain,
        "numbers": _tuple(numbers),
        "numbers_inside": _tuple(numbers, "    "),
        "optional": _tuple(f.name for f in draft.numbers if not f.required),
        "columns": ",\n".join(f"    {f.name}" for f in draft.fields),
        "numbers_sql": "".join(
            f"    min({name}) as {name}_min,\n    max({name}) as {name}_max,\n"
            f"    favg({name}) as {name}_mean,\n"
            for name in numbers
        ),
    }
    found = [("d", "contract.odcs.yaml", contract_text(draft, file.name, owner))]
    for path in sorted((_TEMPLATES / "defs").rglob("*.tmpl")):
        name = str(path.relative_to(_TEMPLATES / "defs").with_suffix(""))
        found.append(("d", name, _rendered(path, words)))
    staging = f"stg_{draft.domain}__{draft.entity}"
    dbt = _TEMPLATES / "dbt"
    found += [
        ("m", f"staging/{staging}.sql", _rendered(dbt / "staging/staging.sql.tmpl", words)),
        ("m", "staging/_staging.yml", _models(_staging(draft, staging))),
        ("m", f"marts/{mart}.sql", _rendered(dbt / "marts/mart.sql.tmpl", words)),
        ("m", "marts/_marts.yml", _models(_mart(draft, mart))),
        (
            "t",
            f"test_{draft.entity}.py",
            _rendered(_TEMPLATES / "tests/test.py.tmpl", words),
        ),
        ("t", "sample.yaml", _sample(draft, replay)),
    ]
    return found


def _rendered(path: Path, words: dict[str, str]) -> str:
    return Template(path.read_text(encoding="utf-8")).substitute(words)


def _short(name: str) -> str:
    return name if len(name) <= _MOST_SHOWN else f"{name[: _MOST_SHOWN - 3]}..."


def _tuple(names: Any, indent: str = "") -> str:
    """A tuple of texts as the formatter writes it: on one line where it fits."""
    quoted = [json.dumps(name, ensure_ascii=False) for name in names]
    line = f"({', '.join(quoted)}{',' if len(quoted) == 1 else ''})"
    if len(line) <= 70:
        return line
    return "(\n" + "".join(f"{indent}    {name},\n" for name in quoted) + f"{indent})"


def _sample(draft: Draft, replay: list[str]) -> str:
    file = f"de_stack_tests/domains/{draft.domain}/sample.csv"
    command = ["replay", f"{draft.domain}.{draft.entity}", file, *replay]
    return _SAMPLE_HEAD + yaml.safe_dump([command], width=110, allow_unicode=True)


def _models(model: dict[str, Any]) -> str:
    return yaml.safe_dump(
        {"version": 2, "models": [model]}, sort_keys=False, width=110, allow_unicode=True
    )


def _staging(draft: Draft, name: str) -> dict[str, Any]:
    columns = [
        ("event_id", "Identity of the event.", "varchar"),
        ("event_hour", "Start of the period of the event time.", _DBT["timestamp"]),
        *((f.name, _told(f), _DBT[f.type]) for f in draft.fields),
        ("day", f"UTC date of {draft.time}.", "date"),
    ]
    return {
        "name": name,
        "description": "One row per event, as silver has it, with the UTC day that it belongs to.",
        "columns": [_column(*column) for column in columns],
    }


def _mart(draft: Draft, name: str) -> dict[str, Any]:
    by_name = {f.name: f for f in draft.fields}
    columns = [
        ("day", "UTC date of the events.", "date"),
        (draft.key, "What the events are of.", _DBT[by_name[draft.key].type]),
        ("count", "Number of events.", "bigint"),
    ]
    for field in draft.numbers:
        columns += [
            (f"{field.name}_min", f"Smallest {field.name}.", _DBT[field.type]),
            (f"{field.name}_max", f"Largest {field.name}.", _DBT[field.type]),
            (f"{field.name}_mean", f"Arithmetic mean of {field.name}.", "double"),
        ]
    columns += [
        (f"first_{draft.time}", "Time of the day's first event.", _DBT["timestamp"]),
        (f"last_{draft.time}", "Time of the day's last event.", _DBT["timestamp"]),
    ]
    key = ["day", draft.key]
    tested = [_column(*column) for column in columns]
    for column in tested[:2]:
        column["data_tests"] = ["not_null"]
    return {
        "name": name,
        "description": f"One row per UTC day and {draft.key}, over all events in silver. A late "
        "event changes the row of the day that it belongs to.",
        "config": {
            "contract": {"enforced": True},
            "meta": {"publish": {"key": key}},
        },
        "data_tests": [{"unique_together": {"arguments": {"columns": key}}}],
        "columns": tested,
    }


def _told(field: DraftField) -> str:
    return f"Column {field.column!r} of the file." if field.column else "What the event is of."


def _column(name: str, description: str, kind: str) -> dict[str, Any]:
    return {"name": name, "description": description, "data_type": kind}
