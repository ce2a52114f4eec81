"""The log against the ledger. Belongs here: real small tables, a ledger in memory; no server."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from de_stack.failures import PermanentFailure
from de_stack.flow.commits import envelope, reconcile, slice_condition, utc
from de_stack.flow.ledger import Touched
from de_stack.flow.tables import EVENT_STATS, Table
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import Commit
from de_stack.settings import Settings

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATE_AFTER_S = 4200


class FakeLedger:
    """What `flow.ledger.Ledger` keeps of commits, in a dict."""

    def __init__(self) -> None:
        self.commits: dict[int, tuple[Commit, str, int | None, list[Touched]]] = {}

    def last_commit(self, table_id: str) -> tuple[int, str | None]:
        if not self.commits:
            return -1, None
        newest = max(self.commits)
        return newest, (self.commits[newest][0].metadata or {}).get("token")

    def adopt(
        self, table_id: str, commit: Commit, kind: str, rows: int | None, touched: list[Touched]
    ) -> None:
        assert commit.version not in self.commits
        self.commits[commit.version] = (commit, kind, rows, touched)

    @property
    def kinds(self) -> list[str]:
        return [kind for _, kind, _, _ in self.commits.values()]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=tmp_path, lake_uri=str(tmp_path)))


@pytest.fixture
def table(lake: Lake) -> Table:
    uri = lake.uri("lab", "bronze", "things")
    return Table("lab.bronze_things", uri, "", "ingest_date", EVENT_STATS, "hour")


@pytest.fixture
def ledger() -> Any:
    return FakeLedger()


SCHEMA = pa.schema(
    [
        ("topic_id", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("broker_time", pa.timestamp("us", "UTC")),
        ("ingest_hour", pa.timestamp("us", "UTC")),
        ("event_hour", pa.timestamp("us", "UTC")),
        ("ingest_date", pa.date32()),
    ]
)


def row(offset: int, event: datetime | None, broker: datetime = TEN) -> dict[str, Any]:
    """A bronze row of partition 0, without what nobody asks here."""
    floor = broker.replace(minute=0, second=0, microsecond=0)
    hour = event and event.replace(minute=0)
    values = ("t", 0, offset, broker, floor, hour, date(2026, 5, 1))
    return dict(zip(SCHEMA.names, values, strict=True))


def write(
    table: Table, rows: list[dict[str, Any]], metadata: str | None, mode: Any = "append"
) -> None:
    properties = CommitProperties(custom_metadata={"userMetadata": metadata} if metadata else None)
    data = pa.Table.from_pylist(rows, SCHEMA)
    write_deltalake(table.uri, data, mode=mode, commit_properties=properties)


def land(table: Table, rows: list[dict[str, Any]], number: int = 0) -> str:
    """One slice; returns its token."""
    start, end = rows[0]["offset"], rows[-1]["offset"] + 1
    token, metadata = envelope(
        "land",
        "run",
        slice=number,
        start={0: start},
        end={0: end},
        landed={0: end},
        topic_id="t",
        late_after_s=LATE_AFTER_S,
    )
    write(table, rows, metadata)
    return token


def derive(table: Table, first: datetime, last: datetime) -> str:
    token, metadata = envelope(
        "derive",
        "run",
        source="s",
        source_version=7,
        first=first.isoformat(),
        last=last.isoformat(),
    )
    write(table, [row(0, first)], metadata)
    return token


class SlowLake(Lake):
    """A lake whose reader is overtaken: somebody commits between its looks at the log."""

    meanwhile: Any = None

    def version(self, uri: str) -> int | None:
        found = super().version(uri)
        if self.meanwhile:
            self.meanwhile()
            self.meanwhile = None
        return found


def test_a_commit_that_comes_while_the_log_is_read_is_entered_with_its_rows(
    lake, table, ledger, tmp_path
) -> None:
    land(table, [row(0, TEN)])
    slow = SlowLake(Settings(home=tmp_path, lake_uri=str(tmp_path)))
    slow.meanwhile = lambda: land(table, [row(1, TEN), row(2, TEN)], 1)
    assert reconcile(slow, ledger, table) == 1
    assert [commit[2] for commit in ledger.commits.values()] == [1, 2]
    assert [t.rows for t in ledger.commits[1][3]] == [2]


def test_a_slice_whose_rows_are_not_all_found_is_not_entered(lake, table, ledger) -> None:
    land(table, [row(0, TEN)])
    log = Path(table.uri) / "_delta_log" / f"{0:020d}.json"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    for line in lines:
        if "commitInfo" in line:
            line["commitInfo"]["operationMetrics"]["numOutputRows"] = "2"
    log.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(PermanentFailure, match="wrote 2 rows, version 0 has 1 of them"):
        reconcile(lake, ledger, table)
    assert not ledger.commits


def test_an_envelope_carries_what_it_was_given_and_a_token_of_its_own() -> None:
    token, text = envelope("land", "run", slice=3, start={0: 1})
    assert json.loads(text) == {
        "de_stack": 1,
        "kind": "land",
        "token": token,
        "run_id": "run",
        "slice": 3,
        "start": {"0": 1},
    }
    assert envelope("land", "run")[0] != token


def test_before_the_first_commit_there_is_no_version(lake: Lake, ledger: Any, table: Table) -> None:
    assert reconcile(lake, ledger, table) == -1


def test_a_crash_between_commit_and_ledger_is_made_good(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN), row(1, TEN)])
    assert reconcile(lake, ledger, table) == 0
    land(table, [row(2, TEN)], 1)
    land(table, [row(3, TEN - HOUR)], 2)
    assert reconcile(lake, ledger, table) == 2
    assert ledger.kinds == ["land", "land", "land"]
    assert [rows for _, _, rows, _ in ledger.commits.values()] == [2, 1, 1]
    assert reconcile(lake, ledger, table) == 2


def test_a_landing_is_entered_with_what_its_own_rows_say(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN)])
    late = TEN + timedelta(seconds=LATE_AFTER_S, microseconds=1)
    rows = [
        row(1, TEN, TEN + timedelta(seconds=LATE_AFTER_S)),
        row(2, TEN, late),
        row(3, TEN + HOUR, TEN + HOUR),
        # A dead letter has no event time: it counts as a row and touches nothing.
        row(4, None),
    ]
    land(table, rows, 1)
    reconcile(lake, ledger, table)
    _, _, count, touched = ledger.commits[1]
    assert count == 4
    assert touched == [
        Touched(TEN, 2, 1, TEN + HOUR, TEN + HOUR, LATE_AFTER_S - 3600),
        Touched(TEN + HOUR, 1, 0, TEN + HOUR, TEN + HOUR),
    ]


def test_a_derived_commit_touches_every_hour_of_its_range_rows_or_not(
    lake: Lake, ledger: Any, table: Table
) -> None:
    derive(table, TEN, TEN + 2 * HOUR)
    reconcile(lake, ledger, table)
    _, kind, rows, touched = ledger.commits[0]
    assert (kind, rows) == ("derive", None)
    assert touched == [Touched(TEN + i * HOUR) for i in range(3)]


def test_a_reparse_touches_the_event_hours_that_it_names_for_its_ingest_hours(
    lake: Lake, ledger: Any, table: Table
) -> None:
    _, metadata = envelope(
        "reparse",
        "run",
        source_version=0,
        first=TEN.isoformat(),
        last=(TEN + HOUR).isoformat(),
        hours={TEN.isoformat(): (-1, 0), (TEN + 2 * HOUR).isoformat(): (1, 1)},
    )
    write(table, [row(0, TEN)], metadata)
    reconcile(lake, ledger, table)
    _, kind, rows, touched = ledger.commits[0]
    assert (kind, rows) == ("reparse", None)
    assert touched == [
        Touched(TEN, -1, 0, TEN, TEN + HOUR),
        Touched(TEN + 2 * HOUR, 1, 1, TEN, TEN + HOUR),
    ]


def test_maintenance_is_entered_and_touches_nothing(lake: Lake, ledger: Any, table: Table) -> None:
    DeltaTable.create(table.uri, SCHEMA)
    for i in range(3):
        land(table, [row(i, TEN)], i)
    DeltaTable(table.uri).optimize.compact()
    # A vacuum takes the files of old versions: what is not adopted by then cannot be read again.
    reconcile(lake, ledger, table)
    DeltaTable(table.uri).vacuum(0, dry_run=False, enforce_retention_duration=False)
    land(table, [row(3, TEN)], 3)
    newest = reconcile(lake, ledger, table)
    assert newest == max(ledger.commits)
    assert ledger.kinds.count("land") == 4
    assert set(ledger.kinds) == {"land", "maintenance"}
    for _, kind, rows, touched in ledger.commits.values():
        assert kind == "land" or (rows, touched) == (None, [])


def test_compaction_after_a_landing_does_not_change_what_is_known_of_it(
    lake: Lake, ledger: Any, table: Table
) -> None:
    for i in range(3):
        land(table, [row(i, TEN)], i)
    DeltaTable(table.uri).optimize.compact()
    reconcile(lake, ledger, table)
    assert [rows for _, kind, rows, _ in ledger.commits.values() if kind == "land"] == [1, 1, 1]


def test_a_truncated_log_is_refused(lake: Lake, ledger: Any, table: Table) -> None:
    for i in range(3):
        land(table, [row(i, TEN)], i)
    reconcile(lake, ledger, table)
    Path(table.uri, "_delta_log", f"{2:020}.json").unlink()
    with pytest.raises(PermanentFailure, match=r"knows version 2, the log .* ends at 1"):
        reconcile(lake, ledger, table)
    assert sorted(ledger.commits) == [0, 1, 2]


def test_a_table_that_is_gone_is_refused(lake: Lake, ledger: Any, table: Table) -> None:
    land(table, [row(0, TEN)])
    reconcile(lake, ledger, table)
    rmtree(table.uri)
    with pytest.raises(PermanentFailure, match="ends at None"):
        reconcile(lake, ledger, table)


@pytest.mark.parametrize("commits", [1, 2, 5])
def test_a_table_that_was_replaced_is_refused(
    lake: Lake, ledger: Any, table: Table, commits: int
) -> None:
    """As long as the old one, or longer: only the token tells."""
    land(table, [row(0, TEN)])
    reconcile(lake, ledger, table)
    rmtree(table.uri)
    for i in range(commits):
        land(table, [row(i, TEN)], i)
    with pytest.raises(PermanentFailure, match="the table was replaced"):
        reconcile(lake, ledger, table)
    assert sorted(ledger.commits) == [0]


def test_a_table_restored_to_an_older_version_is_refused(
    lake: Lake, ledger: Any, table: Table
) -> None:
    for i in range(3):
        land(table, [row(i, TEN)], i)
    reconcile(lake, ledger, table)
    DeltaTable(table.uri).restore(0)
    with pytest.raises(PermanentFailure, match=r"version 3 \(RESTORE.*not written by de_stack"):
        reconcile(lake, ledger, table)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("metadata", [None, "by hand", '{"by": "hand"}'])
def test_a_commit_of_somebody_else_is_refused(
    lake: Lake, ledger: Any, table: Table, metadata: str | None, mode: Any
) -> None:
    land(table, [row(0, TEN)])
    reconcile(lake, ledger, table)
    write(table, [row(1, TEN)], metadata, mode)
    for _ in range(2):
        with pytest.raises(
            PermanentFailure, match=r"version 1 \(WRITE, .* not written by de_stack"
        ):
            reconcile(lake, ledger, table)
    assert sorted(ledger.commits) == [0]


def test_rows_deleted_by_somebody_else_are_refused(lake: Lake, ledger: Any, table: Table) -> None:
    land(table, [row(0, TEN), row(1, TEN)])
    reconcile(lake, ledger, table)
    DeltaTable(table.uri).delete('"offset" = 0')
    with pytest.raises(PermanentFailure, match=r"version 1 \(DELETE"):
        reconcile(lake, ledger, table)


def test_files_that_somebody_has_given_up_are_refused(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN)])
    reconcile(lake, ledger, table)
    # What `FSCK REPAIR TABLE` leaves when it finds a data file missing.
    (data,) = Path(table.uri).glob("*.parquet")
    info = {"timestamp": 1, "operation": "FSCK REPAIR", "operationParameters": {}}
    lines = [{"commitInfo": info}, {"remove": {"path": data.name, "dataChange": True}}]
    log = Path(table.uri) / "_delta_log" / f"{1:020d}.json"
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    with pytest.raises(PermanentFailure, match=r"version 1 \(FSCK REPAIR"):
        reconcile(lake, ledger, table)


@pytest.mark.parametrize(
    "metadata",
    [
        {"de_stack": 1},
        {"de_stack": 1, "kind": "land", "token": "x"},
        {"de_stack": 1, "kind": "derive", "token": "x", "first": "yesterday", "last": "today"},
        {"de_stack": 1, "kind": "sweep", "token": "x"},
        {"de_stack": 2, "kind": "land", "token": "x"},
    ],
)
def test_a_commit_of_ours_that_we_do_not_understand_is_refused(
    lake: Lake, ledger: Any, table: Table, metadata: dict[str, Any]
) -> None:
    write(table, [row(0, TEN)], json.dumps(metadata))
    with pytest.raises(PermanentFailure, match="version 0 .*not understood"):
        reconcile(lake, ledger, table)
    assert not ledger.commits


def test_what_was_adopted_before_a_foreign_commit_stays_adopted(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN)])
    write(table, [row(1, TEN)], None)
    with pytest.raises(PermanentFailure):
        reconcile(lake, ledger, table)
    assert ledger.kinds == ["land"]


def test_a_slice_is_found_by_topic_partition_and_offset() -> None:
    assert slice_condition("it's", {"0": 1, "1": 5}, {"0": 3, "1": 6}) == (
        "topic_id = 'it''s' and "
        '((partition = 0 and "offset" >= 1 and "offset" < 3)'
        ' or (partition = 1 and "offset" >= 5 and "offset" < 6))'
    )


def test_a_time_without_a_zone_is_utc_whatever_the_machine_says() -> None:
    assert utc(TEN.replace(tzinfo=None)) == TEN
    assert utc(TEN.astimezone()) == TEN
    assert utc(TEN.astimezone()).tzinfo is UTC


def test_a_maintenance_commit_of_ours_is_known_by_its_token(
    lake: Lake, ledger: Any, table: Table
) -> None:
    for i in range(3):
        land(table, [row(i, TEN)], i)
    assert lake.compact(table.uri, envelope("maintain", "run")[1]) == (1, 3)
    assert reconcile(lake, ledger, table) == 3
    assert ledger.kinds[-1] == "maintenance"
    assert ledger.last_commit(table.table_id)[1] is not None
    assert reconcile(lake, ledger, table) == 3


def checkpointed(table: Table) -> Path:
    """The log of a table whose newest version is a checkpoint."""
    DeltaTable(table.uri).create_checkpoint()
    return Path(table.uri, "_delta_log")


def test_a_log_that_delta_has_cleaned_up_to_the_last_known_commit_is_still_ours(
    lake: Lake, ledger: Any, table: Table
) -> None:
    for i in range(2):
        land(table, [row(i, TEN)], i)
    assert reconcile(lake, ledger, table) == 1
    # A month later: the next commit's checkpoint lets Delta delete what is older.
    land(table, [row(2, TEN)], 2)
    log = checkpointed(table)
    for version in (0, 1):
        (log / f"{version:020d}.json").unlink()
    assert reconcile(lake, ledger, table) == 2
    assert ledger.kinds == ["land", "land", "land"]


def test_a_commit_that_nobody_knows_and_clean_up_has_taken_is_refused(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN)])
    reconcile(lake, ledger, table)
    for i in (1, 2):
        land(table, [row(i, TEN)], i)
    log = checkpointed(table)
    for version in (0, 1):
        (log / f"{version:020d}.json").unlink()
    with pytest.raises(PermanentFailure, match="clean-up of the log has taken commit 1"):
        reconcile(lake, ledger, table)


def test_a_missing_commit_file_without_a_checkpoint_past_it_is_refused(
    lake: Lake, ledger: Any, table: Table
) -> None:
    land(table, [row(0, TEN)])
    land(table, [row(1, TEN)], 1)
    log = checkpointed(table)
    reconcile(lake, ledger, table)
    (log / f"{1:020d}.json").unlink()
    with pytest.raises(PermanentFailure, match="the log has no _delta_log/0{19}1.json"):
        reconcile(lake, ledger, table)
