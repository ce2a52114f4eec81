"""dbt's project and its manifest, made here and never committed.

Belongs here: where the project is, when its manifest is old, making it. Does not belong here:
running models (`dbt_process`), what the manifest says (`dbt_graph`), what sources look like
(`contracts.dbt`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure
from de_stack.resources import dbt_process, warehouse
from de_stack.resources.dbt_graph import Graph

if TYPE_CHECKING:
    from de_stack.settings import Settings

_PACKAGE = Path(__file__).resolve().parents[1]
PROJECT = _PACKAGE.parent / "dbt_project"
_LOG = logging.getLogger(__name__)
_NOT_INPUT = {"target", "logs", ".user.yml"}


def prepare(settings: Settings | None = None, project: Path = PROJECT) -> Path:
    """Write dbt's sources and its manifest unless they are there and current. Returns the manifest.

    With settings, DuckDB's extension is put in place too. Needs no service and no network.

    Raises:
        PermanentFailure: dbt refuses the project (its own words are in the message), or its folder
            cannot be written.
    """
    if settings is not None:
        warehouse.extension_directory(settings)
    target = project / "target" / "manifest.json"
    stamp = target.with_suffix(".sha256")
    made_from = stamp.read_text(encoding="utf-8") if stamp.exists() else None
    if target.exists() and made_from == _fingerprint(project):
        return target
    # A warning, for a code location that waits here should say why.
    _LOG.warning("dbt's manifest is missing or older than the project: making it (about 5 s)")
    try:
        _make(project, target, stamp)
    except OSError as error:
        raise PermanentFailure(
            f"make {target}",
            str(error),
            "run `de-stack setup` as a user who may write there",
            page="dbt-refuses",
        ) from error
    return target


@cache
def graph(project: Path = PROJECT) -> Graph:
    """The project's tables and tests; its manifest is made first where it is missing or old."""
    return Graph(json.loads(prepare(project=project).read_bytes()))


def _make(project: Path, target: Path, stamp: Path) -> None:
    from de_stack.contracts import load_all
    from de_stack.contracts.dbt import write_sources

    write_sources(project, load_all().values())
    # Taken before dbt reads: whatever changes while it does makes the manifest old, not wrong.
    fingerprint = _fingerprint(project)
    with tempfile.TemporaryDirectory(prefix="de-stack-dbt-") as folder:
        arguments = ["--no-partial-parse", "parse"]
        said = dbt_process.run(arguments, {}, Path(folder), project, echo=False)
        if said.exit_code != 0:
            raise PermanentFailure(
                f"parse {project}", said.tail, "mend what dbt names", page="dbt-refuses"
            )
        target.parent.mkdir(exist_ok=True)
        # A reader sees the old file or the new one, never half of one.
        part = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copy(Path(folder) / target.name, part)
        part.replace(target)
    stamp.write_text(fingerprint, encoding="utf-8")


def _fingerprint(project: Path) -> str:
    """Changes with anything that the manifest is made from, the derived sources included."""
    digest = hashlib.sha256()
    for package in ("dbt-core", "dbt-duckdb"):
        digest.update(f"{package}=={version(package)}\n".encode())
    own = [p for p in project.rglob("*") if not _NOT_INPUT & set(p.relative_to(project).parts)]
    contracts = [*_PACKAGE.glob("defs/*/contract.odcs.yaml"), _PACKAGE / "contracts" / "dbt.py"]
    for path in [*sorted(own), *sorted(contracts)]:
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{path.parent.name}/{path.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
