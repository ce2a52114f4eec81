"""Rows into a Delta table by delta-rs, where no Spark is needed: fenced, in one commit.

Belongs here: making a table, replacing what a condition names, a query over a table and rows that
are to come. Does not belong here: what the rows are, what the commit says (`flow`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from de_stack.failures import NO_ROOM, PermanentFailure, TransientFailure
from de_stack.resources.lake import Lake, reading

if TYPE_CHECKING:
    import pyarrow as pa

_FULL = re.compile(NO_ROOM)


class LostRace(TransientFailure):
    """Another writer was first, and nothing was written: the next try sees what he wrote."""

    page = "another-writer"


class LakeWriter(Lake):
    """Writes beside what `Lake` reads. Readers of version 1, writers of version 2 understand it."""

    def create(self, uri: str, schema: pa.Schema, folders: str, stats: Sequence[str]) -> None:
        """Make a table if it is not there.

        Args:
            uri: where.
            schema: its columns.
            folders: the column that it is partitioned by.
            stats: columns that files keep minimum and maximum of.

        Raises:
            PermanentFailure: something else lies there.
        """
        from deltalake import DeltaTable

        with _writing(f"make {uri}", uri):
            DeltaTable.create(
                uri,
                schema=schema,
                mode="ignore",
                partition_by=[folders],
                configuration={
                    "delta.dataSkippingStatsColumns": ",".join(stats),
                    "delta.enableDeletionVectors": "false",
                },
                storage_options=self._settings.storage_options(),
            )

    def replace(
        self,
        uri: str,
        version: int,
        rows: pa.RecordBatchReader,
        predicate: str | None,
        metadata: str,
        app: tuple[str, int],
    ) -> None:
        """Put rows in the place of those that a condition names, in one commit.

        Args:
            uri: the table.
            version: what the writer has seen of it.
            rows: the new ones; all of them meet the condition.
            predicate: SQL condition; without one nothing is replaced.
            metadata: goes into the commit.
            app: (application, number): another commit of this application since is a lost race.

        Raises:
            LostRace: another writer was first; nothing was written.
            PermanentFailure: the table does not take the rows.
            TransientFailure: the store was away or full.
        """
        from deltalake import (
            CommitProperties,
            PostCommitHookProperties,
            Transaction,
            write_deltalake,
        )

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(
                f"write to {uri}", "no Delta table is there", page="no-table-yet"
            )
        options: dict[str, Any] = {"mode": "append"}
        if predicate is not None:
            options = {"mode": "overwrite", "predicate": predicate}
        with _writing(f"write to {uri}", uri):
            write_deltalake(
                table,
                rows,
                commit_properties=CommitProperties(
                    custom_metadata={"userMetadata": metadata},
                    app_transactions=[Transaction(*app)],
                ),
                # The log is left to Spark's clean-up.
                post_commithook_properties=PostCommitHookProperties(cleanup_expired_logs=False),
                **options,
            )

    def with_new(self, uri: str, version: int, new: str, sql: str) -> list[dict[str, Any]]:
        """Rows of an answer in which the table is called `old` and the one at `new` is `new`.

        Raises:
            PermanentFailure: one is not there, or the statement is wrong.
            TransientFailure: the store did not answer.
        """
        import pyarrow as pa
        from deltalake import DeltaTable, QueryBuilder

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"read {uri}", "no Delta table is there", page="no-table-yet")
        with reading(uri):
            tables = QueryBuilder().register("old", table).register("new", DeltaTable(new))
            return pa.table(tables.execute(sql).read_all()).to_pylist()


@contextmanager
def _writing(tried: str, uri: str) -> Iterator[None]:
    from deltalake.exceptions import CommitFailedError, DeltaError

    try:
        yield
    except CommitFailedError as error:
        raise LostRace(tried, f"another writer was first: {error}") from error
    except (DeltaError, OSError) as error:
        if _FULL.search(str(error)):
            fix = f"free space on the file system of {uri}"
            raise TransientFailure(
                tried, f"the disk is full: {error}", fix, page="disk-full"
            ) from error
        kind = TransientFailure if isinstance(error, OSError) else PermanentFailure
        raise kind(tried, str(error), page="lake-unreadable") from error
