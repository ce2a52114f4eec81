"""Day files -> bronze, each in one Delta commit: exactly once, whatever is killed.

Belongs here: what a file replaces, which days that touches and reaches, the commit and its proof.
Does not belong here: reading files (`stage_file.py`), which days depend on which (a domain's
`core/reach.py`), SQL of the ledger.

A file is known by its name and its content. The same content adds nothing, under any name; another
content under a known name takes the place of the old rows. So does the same content of which
another version of the contract has refused rows: they are judged anew. Loads of one table are
numbered, and the number is in the commit: two at once fence each other, and the days that a load
reaches were computed from the very state that it followed.

A commit says in `hours` by how many rows each event day changed; 0 for days that were only reached:
their rows stay, and what is derived from them changes. Both are pending then.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from de_stack import partitions
from de_stack.failures import TransientFailure
from de_stack.flow import commits
from de_stack.flow.csv_rows import checksum
from de_stack.flow.day_files import bronze, bronze_schema
from de_stack.flow.entered import LoadedFile, loaded_files
from de_stack.flow.file_days import day_of
from de_stack.flow.ledger import Ledger
from de_stack.flow.stage_file import Progress, Staged, stage
from de_stack.logs import line
from de_stack.resources.lake_write import LakeWriter, LostRace

if TYPE_CHECKING:
    from de_stack.contracts.day_files import DayFiles
    from de_stack.settings import Settings

log = logging.getLogger(__name__)
_MAX_LOST_RACES = 20


@dataclass(frozen=True)
class Loaded:
    """What became of one file. `bad` counts rows by `code:field`, `days` are event days.

    `replaced` are rows of the file that went; `reached` are later days that must be derived again;
    `same_as` is the file that has brought the same content before.
    """

    file: str
    day: str
    outcome: Literal["loaded", "replaced", "unchanged"]
    rows: int
    bad: dict[str, int]
    days: dict[str, int]
    replaced: int = 0
    reached: list[str] = field(default_factory=list)
    ignored_columns: list[str] = field(default_factory=list)
    same_as: str | None = None
    version: int | None = None


def load(
    settings: Settings,
    files: DayFiles,
    path: Path,
    reached: str | None,
    run_id: str,
    now: datetime,
    progress: Progress = lambda _bytes, _rows: None,
) -> Loaded:
    """Bring one file to bronze.

    Args:
        settings: where everything is.
        files: the contract.
        path: the file; its name tells its day.
        reached: SQL for the later days that the load reaches, from `old` (bronze), `new` (the
            file's rows) and `:file`; none without it.
        run_id: goes into the commit.
        now: event times may not lie far after it.
        progress: told (bytes read, rows read).

    Raises:
        PermanentFailure: the file cannot be read, or log and ledger disagree. Nothing was written.
        TransientFailure: a system was away, or somebody wrote to the file. Nothing was written.
    """
    day, digest = day_of(path), checksum(path)
    loads = _Loads(settings, files, reached, run_id)
    loads.look()
    if same := loads.same(path.name, digest):
        return same
    with tempfile.TemporaryDirectory(prefix="de_stack_load_") as folder:
        staged = stage(files, path, digest, day, Path(folder) / "rows", now, progress)
        for _ in range(_MAX_LOST_RACES):
            loads.look(make=True)
            if same := loads.same(path.name, digest):
                return same
            try:
                return loads.commit(staged)
            except LostRace as race:
                said = {"run_id": run_id, "file": path.name, "why": race.got}
                log.info(line("another load was first", **said))
    raise TransientFailure(f"load {path}", f"lost {_MAX_LOST_RACES} races", page="another-writer")


class _Loads:
    """The loads of one table, as they are at `version`."""

    def __init__(
        self, settings: Settings, files: DayFiles, reached: str | None, run_id: str
    ) -> None:
        self._settings, self._files, self._reached = settings, files, reached
        self._run_id, self._table = run_id, bronze(settings, files)
        self._lake, self._ledger = LakeWriter(settings), Ledger(settings)
        self.version, self.known = -1, dict[str, LoadedFile]()

    def look(self, make: bool = False) -> None:
        """See what there is now; make the table if it is not there."""
        table = self._table
        self.version = commits.reconcile(self._lake, self._ledger, table)
        if self.version < 0 and make:
            schema = bronze_schema(self._files)
            self._lake.create(table.uri, schema, table.partitioned_by, table.stats)
            self.version = commits.reconcile(self._lake, self._ledger, table)
        self.known = loaded_files(self._settings, table.table_id)

    def same(self, name: str, digest: str) -> Loaded | None:
        """What to say of content that is there already, under this name or (new) another."""
        if name in self.known:
            found = [name] if self.known[name].digest == digest else []
        else:
            found = sorted(n for n, f in self.known.items() if f.digest == digest)
        if not found:
            return None
        there = self.known[found[0]]
        if found[0] == name and there.bad and there.contract_version != self._files.version:
            return None
        return Loaded(
            *(name, there.day, "unchanged", there.rows, there.bad, {}),
            same_as=None if found[0] == name else found[0],
            version=there.version,
        )

    def commit(self, staged: Staged) -> Loaded:
        """Put the rows in the place of those that the file has.

        Raises:
            LostRace: another load was first.
        """
        quoted = "'" + staged.name.replace("'", "''") + "'"
        before = self._before(quoted) if staged.name in self.known else Counter[datetime | None]()
        touched = {d: staged.days[d] - before[d] for d in staged.days.keys() | before.keys() if d}
        later = self._later(staged, touched, quoted)
        hours = {
            day.isoformat(): n for day, n in sorted((dict.fromkeys(later, 0) | touched).items())
        }
        number = max((f.number for f in self.known.values()), default=0) + 1
        token, metadata = commits.envelope(
            "load",
            self._run_id,
            load=number,
            file=staged.name,
            sha256=staged.digest,
            day=staged.day.isoformat(),
            rows=staged.rows,
            bad=dict(staged.bad),
            replaced=before.total(),
            contract_version=self._files.version,
            hours=hours,
        )
        condition = f"file = {quoted}" if before else None
        app = f"load:{self._table.table_id}", number
        self._lake.replace(self._table.uri, self.version, staged.reader(), condition, metadata, app)
        commits.reconcile(self._lake, self._ledger, self._table)
        version = self._ledger.token_version(self._table.table_id, token)
        if version is None:
            tried = f"load {staged.name}"
            raise TransientFailure(
                tried, "the log does not show the commit that was reported", page="another-writer"
            )
        said = {"run_id": self._run_id, "table": self._table.table_id, "file": staged.name}
        counted = {"rows": staged.rows, "bad": staged.bad.total(), "replaced": before.total()}
        log.info(line("loaded a file", **said, **counted, version=version, reached=len(later)))
        grain = self._files.grain
        return Loaded(
            staged.name,
            staged.day.isoformat(),
            "replaced" if staged.name in self.known else "loaded",
            staged.rows,
            dict(staged.bad),
            {partitions.key(day, grain): n for day, n in sorted(staged.days.items())},
            before.total(),
            [partitions.key(day, grain) for day in later],
            list(staged.ignored),
            version=version,
        )

    def _before(self, quoted: str) -> Counter[datetime | None]:
        """Rows that the file has, by event day; bad ones have none."""
        sql = f"select event_hour, count(*) as n from t where file = {quoted} group by event_hour"
        rows = self._lake.query(self._table.uri, sql, self.version).to_pylist()
        return Counter({r["event_hour"] and commits.utc(r["event_hour"]): r["n"] for r in rows})

    def _later(self, staged: Staged, touched: dict[datetime, int], quoted: str) -> list[datetime]:
        """Days that it reaches beside those that it touches; nothing is asked where none can be."""
        last = self._ledger.last_hour(self._table.table_id, self.version)
        if self._reached is None or last is None or not touched or last <= min(touched):
            return []
        sql = self._reached.replace(":file", quoted)
        rows = self._lake.with_new(self._table.uri, self.version, staged.uri, sql)
        return sorted(commits.utc(row["event_hour"]) for row in rows)
