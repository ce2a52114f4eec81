"""The log of a Delta table, read with delta-rs and, commit by commit, from its files (no JVM).

Belongs here: versions, commits with their user metadata, files that were cut off. Does not belong
here: rows (`lake.py`), data files (`lake_files.py`), what a commit means (`flow.commits`).
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyarrow.fs import PyFileSystem

    from de_stack.settings import Settings

_LOG = "_delta_log"
_HINT = "_last_checkpoint"
_COMMIT = re.compile(r"(\d{20})\.json")
# How many lines of an action a commit says that it has: each operation of Spark and of delta-rs
# has words of its own.
_SAID = {
    "add": (
        *("numFiles", "numAddedFiles", "numFilesAdded", "numTargetFilesAdded"),
        *("num_added_files", "num_target_files_added"),
    ),
    "remove": (
        *("numRemovedFiles", "numFilesRemoved", "numTargetFilesRemoved"),
        *("num_removed_files", "num_target_files_removed"),
    ),
}


def _commit_name(version: int) -> str:
    return f"{_LOG}/{version:020d}.json"


def commit_info(operation: str, metadata: str) -> str:
    """The line of a commit file that says who wrote it, for commits that no engine writes."""
    info = {
        "timestamp": int(time.time() * 1000),
        "operation": operation,
        "operationParameters": {},
        "engineInfo": "de_stack",
        "userMetadata": metadata,
    }
    return json.dumps({"commitInfo": info})


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


class LogCleaned(PermanentFailure):
    """A commit file is gone, and a checkpoint past it says that Delta's own clean-up may take it.

    Delta deletes commit files after `delta.logRetentionDuration` (30 days), when it writes a
    checkpoint. The newest commit is never among them.
    """

    page = "log-cleaned"

    def __init__(self, tried: str, version: int) -> None:
        self.version = version
        super().__init__(tried, f"Delta's clean-up of the log has taken commit {version}")


class LakeLog:
    """Logs by URI, with the storage keys of the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

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
            # Without the frames that it prints behind its words.
            got = str(error).partition("\n   0: ")[0]
            raise PermanentFailure(tried, got, page="cut-commit") from error
        except OSError as error:
            raise TransientFailure(tried, str(error), page="lake-unreadable") from error

    def version(self, uri: str) -> int | None:
        """Newest version in the log; None if no table is there."""
        table = self.open(uri)
        return None if table is None else table.version()

    def transaction(self, uri: str, app: str) -> int | None:
        """Number of the last commit of a writer that counts its own; None before its first."""
        table = self.open(uri)
        return None if table is None else table.transaction_version(app)

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
        return max(self._numbers(uri), default=None)

    def _numbers(self, uri: str) -> list[int]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(_LOG, allow_not_found=True)
        found = self._files(uri).get_file_info(selector)
        names = [_COMMIT.fullmatch(info.base_name) for info in found]
        return [int(name.group(1)) for name in names if name]

    def commit(self, uri: str, version: int) -> Commit:
        """One commit. Errors: see `commits_after`."""
        return self._commit(self._files(uri), uri, version)

    def broken(self, uri: str, known: int) -> dict[int, str]:
        """Commits that cannot be used, and why: a file that was cut off, or is not there.

        From `known`, or from the newest checkpoint if that is older: what lies before both nobody
        reads any more, and Delta may have cleaned it away.
        """
        files, found = self._files(uri), {}
        since = min(known, _checkpoint(files))
        numbers = [version for version in self._numbers(uri) if version >= since]
        for version in range(min(numbers, default=0), max(numbers, default=-1) + 1):
            try:
                self._commit(files, uri, version)
            except PermanentFailure as failure:
                found[version] = failure.got
        return found

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
                f"replace commit {version} of {uri}",
                "it is in an object store",
                "mend it there",
                page="object-store",
            )
        log, number = Path(uri.removeprefix("file://")) / _LOG, f"{version:020d}"
        for name in (f"{number}.crc", f".{number}.crc.crc", f".{number}.json.crc"):
            (log / name).unlink(missing_ok=True)
        (log / f"{number}.checkpoint.parquet").unlink(missing_ok=True)
        if _checkpoint_in(log / _HINT) >= version:
            (log / _HINT).unlink(missing_ok=True)  # A hint: without it the log is listed.
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
                tried,
                f"the log has no {name}: it was cut or cleaned",
                page="cut-commit",
            ) from error
        except OSError as error:
            raise TransientFailure(tried, str(error), page="lake-unreadable") from error
        try:
            actions = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise PermanentFailure(
                tried, f"{name} is cut off or not JSON: {error}", page="cut-commit"
            ) from error
        info = next((a["commitInfo"] for a in actions if "commitInfo" in a), None)
        if info is None:
            raise PermanentFailure(
                tried, f"{name} ({len(text)} bytes) does not say who wrote it", page="cut-commit"
            )
        # A file that ends between two lines is whole JSON: what it says of itself must be there.
        metrics = info.get("operationMetrics", {})
        for action, words in _SAID.items():
            there = sum(action in a for a in actions)
            for metric in words:
                if there < (said := int(metrics.get(metric, 0))):
                    got = f"{name} is cut off: it says {metric} {said} and has {there}"
                    raise PermanentFailure(tried, got, page="cut-commit")
        return Commit(
            version,
            str(info.get("operation", "")),
            datetime.fromtimestamp(info["timestamp"] / 1000, UTC),
            _ours(info.get("userMetadata")),
            int(metrics["numOutputRows"]) if "numOutputRows" in metrics else None,
        )


def _checkpoint(files: PyFileSystem) -> int:
    """Version of the newest checkpoint; -1 before the first, or where its file was cut off."""
    try:
        text = files.open_input_file(f"{_LOG}/{_HINT}").read()
    except FileNotFoundError:
        return -1
    return _version_in(text)


def _checkpoint_in(hint: Path) -> int:
    return _version_in(hint.read_bytes()) if hint.exists() else -1


def _version_in(text: bytes) -> int:
    try:
        return int(json.loads(text)["version"])
    except (ValueError, KeyError):
        return -1


def _ours(text: str | None) -> dict[str, Any] | None:
    """What one of our writers attached to a commit; None for what others did."""
    try:
        parsed = json.loads(text or "null")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and "de_stack" in parsed else None
