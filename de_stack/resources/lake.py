"""The lake's Delta tables, read through their log with delta-rs (no JVM).

Belongs here: versions, commits with their user metadata, small SQL reads at a pinned version, the
clean-up of files. Does not belong here: writing rows (Spark does, in `flow`), what a commit means
(`flow.commits`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable
    from pyarrow.fs import PyFileSystem

    from de_stack.settings import Settings

# Compaction aims at 100 MB; a folder is a day.
_SMALL_BYTES = 32 * 2**20


_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")


def _commit_name(version: int) -> str:
    return f"{_LOG}/{version:020d}.json"


@dataclass(frozen=True)
class Commit:
    """One entry of a table's log. `metadata` is what our writers attached, None for others'.

    `rows` is how many its writer says that it wrote, None where it does not say.
    """

    version: int
    operation: str
    committed_at: datetime
    metadata: dict[str, Any] | None
    rows: int | None = None


@dataclass(frozen=True)
class Size:
    """Files of one version, those among them that a compaction would like bigger, bytes, rows."""

    version: int
    files: int
    small_files: int
    bytes: int
    rows: int


class LogCleaned(PermanentFailure):
    """A commit file is gone, and a checkpoint past it says that Delta's own clean-up may take it.

    Delta deletes commit files after `delta.logRetentionDuration` (30 days), when it writes a
    checkpoint. The newest commit is never among them.
    """

    def __init__(self, tried: str, version: int) -> None:
        self.version = version
        super().__init__(tried, f"Delta's clean-up of the log has taken commit {version}")


class Lake:
    """Reads tables by URI with the storage keys of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def uri(self, domain: str, layer: str, entity: str) -> str:
        """Where a table is."""
        names = self._settings.names
        return names.lake_uri(self._settings.need("lake_uri"), domain, layer, entity)

    def open(self, uri: str, version: int | None = None) -> DeltaTable | None:
        """The table at a version (newest without one); None if no table is there.

        Raises:
            PermanentFailure: the log is there and cannot be read.
            TransientFailure: the store did not answer.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        tried = f"read the log of {uri}" + (f" at version {version}" if version is not None else "")
        try:
            return DeltaTable(
                uri, version=version, storage_options=self._settings.storage_options()
            )
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise PermanentFailure(tried, str(error)) from error
        except OSError as error:
            raise TransientFailure(tried, str(error)) from error

    def version(self, uri: str) -> int | None:
        """Newest version in the log; None if no table is there."""
        table = self.open(uri)
        return None if table is None else table.version()

    def commits_after(self, uri: str, version: int) -> list[Commit]:
        """Commits newer than `version`, oldest first.

        Read file by file: `DeltaTable.history` counts down from the version that the table was
        opened at, over the files that are there by then, so that a commit in between would give
        every other one a wrong number.

        Raises:
            LogCleaned: the log no longer reaches back that far.
            PermanentFailure: a commit is missing or was cut off.
            TransientFailure: the store did not answer.
        """
        table = self.open(uri)
        if table is None or table.version() <= version:
            return []
        files = self._files(uri)
        return [self._commit(files, uri, v) for v in range(version + 1, table.version() + 1)]

    def newest_file(self, uri: str) -> int | None:
        """Number of the newest commit file, whatever is in it; None if there is none."""
        from pyarrow.fs import FileSelector

        selector = FileSelector(_LOG, allow_not_found=True)
        found = self._files(uri).get_file_info(selector)
        names = [_COMMIT.fullmatch(info.base_name) for info in found]
        return max((int(name.group(1)) for name in names if name), default=None)

    def broken(self, uri: str, version: int) -> str:
        """Why a commit file cannot be used; empty where it can."""
        try:
            self._commit(self._files(uri), uri, version)
        except PermanentFailure as failure:
            return failure.got
        return ""

    @staticmethod
    def replace_commit(uri: str, version: int, line: str) -> None:
        """Put a commit of one action in the place of a file that cannot be read.

        What was derived from the old one (checksums, a checkpoint) goes first: readers would
        believe it.

        Raises:
            PermanentFailure: the table is not in a folder; object stores write all or nothing.
        """
        if "://" in uri.removeprefix("file://"):
            raise PermanentFailure(
                f"replace commit {version} of {uri}", "it is in an object store", "mend it there"
            )
        log, number = Path(uri.removeprefix("file://")) / _LOG, f"{version:020d}"
        for name in (f"{number}.crc", f".{number}.crc.crc", f".{number}.json.crc"):
            (log / name).unlink(missing_ok=True)
        (log / f"{number}.checkpoint.parquet").unlink(missing_ok=True)
        new = log / f".{number}.json.repaired"
        with new.open("w", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(log / f"{number}.json")

    def _files(self, uri: str) -> PyFileSystem:
        from deltalake.fs import DeltaStorageHandler
        from pyarrow.fs import PyFileSystem

        return PyFileSystem(DeltaStorageHandler(uri, self._settings.storage_options()))

    @staticmethod
    def _commit(files: PyFileSystem, uri: str, version: int) -> Commit:
        name = _commit_name(version)
        tried = f"read commit {version} of {uri}"
        try:
            text = files.open_input_file(name).read()
        except FileNotFoundError as error:
            if _checkpoint(files) > version:
                raise LogCleaned(tried, version) from error
            raise PermanentFailure(
                tried, f"the log has no {name}: it was cut or cleaned"
            ) from error
        except OSError as error:
            raise TransientFailure(tried, str(error)) from error
        try:
            actions = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise PermanentFailure(tried, f"{name} is cut off or not JSON: {error}") from error
        info = next((a["commitInfo"] for a in actions if "commitInfo" in a), None)
        if info is None:
            raise PermanentFailure(tried, f"{name} ({len(text)} bytes) does not say who wrote it")
        # A file that ends between two lines is whole JSON: what it says of itself must be there.
        metrics = info.get("operationMetrics", {})
        for action, metric in (("add", "numFiles"), ("remove", "numRemovedFiles")):
            said = int(metrics.get(metric, 0))
            there = sum(action in a for a in actions)
            if there < said:
                got = f"{name} is cut off: it says {metric} {said} and has {there}"
                raise PermanentFailure(tried, got)
        return Commit(
            version,
            str(info.get("operation", "")),
            datetime.fromtimestamp(info["timestamp"] / 1000, UTC),
            _ours(info.get("userMetadata")),
            int(metrics["numOutputRows"]) if "numOutputRows" in metrics else None,
        )

    def size(self, uri: str, version: int | None = None) -> Size:
        """Files, bytes and rows of a version, from the log's statistics.

        Raises:
            PermanentFailure: no table is there, or its log cannot be read.
        """
        import pyarrow as pa

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"measure {uri}", "no Delta table is there")
        actions = pa.table(table.get_add_actions(flatten=True))
        sizes, rows = (actions[name].to_pylist() for name in ("size_bytes", "num_records"))
        small = sum(size < _SMALL_BYTES for size in sizes)
        return Size(table.version(), len(sizes), small, sum(sizes), sum(rows))

    def compact(self, uri: str, metadata: str) -> tuple[int, int]:
        """Make big files of small ones, by folder; (files written, files replaced).

        Raises:
            PermanentFailure: no table is there.
            TransientFailure: another writer replaced the same files first; nothing was changed.
        """
        table, tried = self.open(uri), f"compact {uri}"
        if table is None:
            raise PermanentFailure(tried, "no Delta table is there")
        with _conflicts(tried):
            done = table.optimize.compact(
                # One task: it stays small beside a Spark server.
                max_concurrent_tasks=1,
                **_by(metadata),
            )
        return done["numFilesAdded"], done["numFilesRemoved"]

    def vacuum(self, uri: str, retention_hours: int, metadata: str) -> int:
        """Delete files that no version younger than this needs, leftovers of killed writers too.

        Returns:
            How many were deleted; no commit is made when there is nothing to delete.

        Raises:
            PermanentFailure: no table is there.
            TransientFailure: the store did not answer.
        """
        table, tried = self.open(uri), f"vacuum {uri}"
        if table is None:
            raise PermanentFailure(tried, "no Delta table is there")
        options: dict[str, Any] = {"full": True, "enforce_retention_duration": False}
        with _conflicts(tried):
            if not table.vacuum(retention_hours, dry_run=True, **options):
                return 0
            return len(table.vacuum(retention_hours, dry_run=False, **options, **_by(metadata)))

    def row_count(self, uri: str) -> int | None:
        """Rows of the newest version, from the log's statistics; None if no table is there."""
        import pyarrow as pa

        table = self.open(uri)
        if table is None:
            return None
        return sum(pa.table(table.get_add_actions(flatten=True))["num_records"].to_pylist())

    def files_between(
        self, uri: str, version: int, column: str, first: datetime, last: datetime
    ) -> tuple[int, int]:
        """(files, bytes) that may hold times from first to last, by the log's statistics.

        Raises:
            PermanentFailure: no table is there, or its log cannot be read.
        """
        import pyarrow as pa

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"measure {uri}", "no Delta table is there")
        sizes = []
        for action in pa.table(table.get_add_actions(flatten=True)).to_pylist():
            low, high = action.get(f"min.{column}"), action.get(f"max.{column}")
            if low is None and action.get(f"null_count.{column}") == action["num_records"]:
                continue  # It holds no time at all.
            low, high = (m.replace(tzinfo=UTC) if m and not m.tzinfo else m for m in (low, high))
            if (low is None or low <= last) and (high is None or high >= first):
                sizes.append(action["size_bytes"])
        return len(sizes), sum(sizes)

    def newest_partition(self, uri: str, column: str, version: int) -> date | None:
        """The newest date among a table's folders, from its log; None while it has no row.

        Raises:
            PermanentFailure: no table is there, or its log cannot be read.
        """
        import pyarrow as pa

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"read {uri}", "no Delta table is there")
        actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        days = [a[f"partition.{column}"] for a in actions if a["num_records"] != 0]
        return max((day for day in days if day is not None), default=None)

    def query(self, uri: str, sql: str, version: int | None = None) -> pa.Table:
        """Result of a read-only SQL statement in which the table is called `t`.

        Raises:
            PermanentFailure: no table there, its log or a file cannot be read, a wrong statement.
            TransientFailure: the store did not answer.
        """
        import pyarrow as pa

        with _reading(uri):
            found = pa.table(self._answer(uri, sql, version).read_all())
        # The engine answers in view types, which pyarrow cannot filter or take from.
        plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
        schema = pa.schema([f.with_type(plain.get(f.type, f.type)) for f in found.schema])
        return found.cast(schema)

    def stream(self, uri: str, sql: str, version: int) -> Iterator[dict[str, Any]]:
        """Rows of an answer that may be larger than memory; raises as `query`.

        Only what has no need of all rows at once goes by: no order, no groups.
        """
        import pyarrow as pa

        with _reading(uri):
            for batch in self._answer(uri, sql, version):
                yield from pa.record_batch(batch).to_pylist()

    def _answer(self, uri: str, sql: str, version: int | None) -> Any:
        from deltalake import QueryBuilder

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"read {uri}", "no Delta table is there")
        return QueryBuilder().register("t", table).execute(sql)


def _by(metadata: str) -> dict[str, Any]:
    """Arguments of a commit: who made it; the log is left to Spark's clean-up."""
    from deltalake import CommitProperties, PostCommitHookProperties

    return {
        "commit_properties": CommitProperties(custom_metadata={"userMetadata": metadata}),
        "post_commithook_properties": PostCommitHookProperties(cleanup_expired_logs=False),
    }


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    from deltalake.exceptions import DeltaError

    try:
        yield
    except DeltaError as error:
        raise PermanentFailure(f"query {uri}", str(error)) from error
    except Exception as error:  # the reader raises nothing narrower
        if type(error) is not Exception:
            raise
        kind = PermanentFailure if "not found" in str(error) else TransientFailure
        raise kind(f"query {uri}", str(error)) from error


@contextmanager
def _conflicts(tried: str) -> Iterator[None]:
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise TransientFailure(tried, f"another writer was first: {error}") from error
    except DeltaError as error:
        raise PermanentFailure(tried, str(error)) from error
    except OSError as error:
        raise TransientFailure(tried, str(error)) from error


def _checkpoint(files: PyFileSystem) -> int:
    """Version of the newest checkpoint; -1 before the first."""
    try:
        text = files.open_input_file("_delta_log/_last_checkpoint").read()
    except FileNotFoundError:
        return -1
    return int(json.loads(text)["version"])


def _ours(text: str | None) -> dict[str, Any] | None:
    """What one of our writers attached to a commit; None for what others did."""
    try:
        parsed = json.loads(text or "null")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "de_stack" in parsed else None
