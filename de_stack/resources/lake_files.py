"""The data files of a Delta table: how many, how big, which times; compaction and clean-up.

Belongs here: what the log's statistics say of files, OPTIMIZE and VACUUM by delta-rs. Does not
belong here: rows (`lake.py`), commits (`lake_log.py`), when it is done (`flow.maintenance`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.lake_log import LakeLog

# Compaction aims at 100 MB; a folder is a day.
_SMALL_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Size:
    """Files of one version, those among them that a compaction would like bigger, bytes, rows."""

    version: int
    files: int
    small_files: int
    bytes: int
    rows: int


class LakeFiles(LakeLog):
    """Files of tables by URI, beside their logs."""

    def size(self, uri: str, version: int | None = None) -> Size:
        """Files, bytes and rows of a version, from the log's statistics.

        Raises:
            PermanentFailure: no table is there, or its log cannot be read.
        """
        import pyarrow as pa

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"measure {uri}", "no Delta table is there", page="no-table-yet")
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
            raise PermanentFailure(tried, "no Delta table is there", page="no-table-yet")
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
            raise PermanentFailure(tried, "no Delta table is there", page="no-table-yet")
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
            raise PermanentFailure(f"measure {uri}", "no Delta table is there", page="no-table-yet")
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
            raise PermanentFailure(f"read {uri}", "no Delta table is there", page="no-table-yet")
        actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        days = [a[f"partition.{column}"] for a in actions if a["num_records"] != 0]
        return max((day for day in days if day is not None), default=None)


def _by(metadata: str) -> dict[str, Any]:
    """Arguments of a commit: who made it; the log is left to Spark's clean-up."""
    from deltalake import CommitProperties, PostCommitHookProperties

    return {
        "commit_properties": CommitProperties(custom_metadata={"userMetadata": metadata}),
        "post_commithook_properties": PostCommitHookProperties(cleanup_expired_logs=False),
    }


@contextmanager
def _conflicts(tried: str) -> Iterator[None]:
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise TransientFailure(
            tried, f"another writer was first: {error}", page="another-writer"
        ) from error
    except DeltaError as error:
        raise PermanentFailure(tried, str(error), page="lake-unreadable") from error
    except OSError as error:
        raise TransientFailure(tried, str(error), page="lake-unreadable") from error
