"""One dbt command as a child process: what it is told, what it answered, how it is stopped.

Belongs here: environment, arguments, results. Does not belong here: the choice of models.

A child and not dbt's own runner: importing dbt costs a run as much as a child does, the runner
keeps DuckDB's file open after its work, and a child can be stopped.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import NO_ROOM, Failure, PermanentFailure, TransientFailure
from de_stack.resources import warehouse

if TYPE_CHECKING:
    from de_stack.settings import Settings

_START = "from dbt.cli.main import cli; cli()"
_STOP_S = 5.0
# What the system and DuckDB say when there is no room.
_SHORT = re.compile(rf"{NO_ROOM}|Out of Memory Error|MemoryError")
# Longer than any run of ours: whoever made a folder that old was killed.
_LEFT_OVER_S = 2 * 3600


@dataclass(frozen=True)
class Said:
    """How a command ended, and the last lines that it wrote."""

    exit_code: int
    tail: str


@dataclass(frozen=True)
class NodeResult:
    """What became of a model or test. `status`: success, error, skipped, pass, fail, warn."""

    unique_id: str
    status: str
    message: str
    failures: int
    seconds: float
    relation: str | None

    @property
    def ok(self) -> bool:
        """True where the model was built or the test let it pass (a warning does)."""
        return self.status in ("success", "pass", "warn")


def environment(settings: Settings, sources: Mapping[str, tuple[str, str, int]]) -> dict[str, str]:
    """Variables that profiles.yml, the sources and the macros read.

    `sources` gives (variable, place, version) of each source by name. The versions also end up in
    the comment of every table that is built (`warehouse.read_table`).

    Raises:
        PermanentFailure: the lake is not a folder.
    """
    values = {
        "DE_STACK_DBT_WAREHOUSE": settings.need("warehouse_path"),
        "DE_STACK_DBT_EXTENSIONS": str(warehouse.extension_directory(settings)),
        "DE_STACK_DBT_NAMESPACE": settings.namespace,
        "DE_STACK_DBT_VERSIONS": json.dumps(
            {name: pinned for name, (_, _, pinned) in sources.items()}
        ),
    }
    for variable, uri, version in sources.values():
        place = uri.removeprefix("file://")
        if "://" in place:
            raise PermanentFailure(
                f"give dbt the table {uri}",
                "dbt reads a lake in a folder only",
                "mount the lake",
                page="object-store",
            )
        # Quoted for SQL, then for the formatter that dbt-duckdb sends locations through.
        quoted = place.replace("'", "''").replace("{", "{{").replace("}", "}}")
        values |= {variable: quoted, f"{variable}_VERSION": str(version)}
    return values


def execute(
    settings: Settings, arguments: Sequence[str], values: Mapping[str, str], project: Path
) -> list[NodeResult]:
    """Run `build` or `test` and return what became of each node; a failed node does not raise.

    What dbt parsed is kept under the home for the next run, which is 1-2 s faster by it.

    Raises:
        TransientFailure: another process holds the warehouse; dbt was killed, or had no room.
        PermanentFailure: dbt did not get as far as running nodes.
    """
    path = warehouse.wait_until_free(settings)
    kept = settings.home / "dbt" / "partial_parse.msgpack"
    kept.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(kept.parent)
    with tempfile.TemporaryDirectory(prefix="run-", dir=kept.parent) as name:
        target = Path(name)
        if kept.exists():
            shutil.copy(kept, target)
        said = run(arguments, values, target, project, logs=kept.parent)
        results = target / "run_results.json"
        if not results.exists():
            if warehouse.is_held(said.tail):
                raise warehouse.held(path, said.tail)
            raise failure(
                f"run dbt {' '.join(arguments)}",
                f"exit code {said.exit_code}\n{said.tail}",
                is_killed=said.exit_code < 0,
            )
        if (target / kept.name).exists():
            (target / kept.name).replace(kept)
        return [_result(r) for r in json.loads(results.read_bytes())["results"]]


def failure(tried: str, said: str, *, is_killed: bool = False) -> Failure:
    """What dbt said, as a failure: without memory or room the same may go well another time."""
    is_short = _SHORT.search(said)
    kind = TransientFailure if is_killed or is_short else PermanentFailure
    return kind(
        tried, said, "free memory, or space on the disk" if is_short else "", page="dbt-refuses"
    )


def _remove_left_over(folder: Path) -> None:
    """Remove the folders of runs that were killed; one that goes on is younger."""
    for path in folder.glob("run-*"):
        # Another run may be removing it as well.
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _LEFT_OVER_S:
                shutil.rmtree(path, ignore_errors=True)


def run(
    arguments: Sequence[str],
    values: Mapping[str, str],
    target: Path,
    project: Path,
    logs: Path | None = None,
    *,
    echo: bool = True,
) -> Said:
    """Run any dbt command; with `echo` its output also goes to our standard output.

    Only `values` decide: dbt's variables of the calling shell do not reach it.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("DBT_", "DE_STACK_DBT_"))}
    places = {
        "DBT_PROJECT_DIR": str(project),
        "DBT_PROFILES_DIR": str(project),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(logs or target),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_USE_COLORS": "false",
    }
    last: list[str] = []
    command = [sys.executable, "-c", _START, *arguments]
    with _child(command, {**clean, **places, **values}) as process:
        for line in process.stdout or ():
            if echo:
                sys.stdout.write(line)
            last = [*last[-29:], line]
        return Said(process.wait(), "".join(last).strip())


@contextmanager
def _child(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A child that does not outlive the block, whatever ends it (also Ctrl-C and a stopped run)."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


def _result(raw: dict[str, Any]) -> NodeResult:
    return NodeResult(
        raw["unique_id"],
        raw["status"],
        raw.get("message") or "",
        raw.get("failures") or 0,
        raw.get("execution_time") or 0.0,
        raw.get("relation_name"),
    )
