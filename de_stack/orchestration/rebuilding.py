"""Derived assets computed again for event hours that nobody has asked for.

Belongs here: the choice of assets, the runs that a daemon would make as well. Does not belong here:
hours and sizes (`flow.rebuilding`), what a run of an asset does, printing (`cli`).

A rebuild is a run of the assets themselves: the same fenced writes, checks and records. Its tags
keep the stream's sensor from asking for the same hours meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from de_stack import partitions
from de_stack.contracts import Dataset, load_all
from de_stack.contracts.day_files import load_all_day_files
from de_stack.failures import PermanentFailure
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG, subject_of
from de_stack.orchestration.waiting import MAX_SECONDS
from de_stack.settings import Settings

# What comes from outside, or is no table of rows: nothing in the lake says how to compute it.
_NOT_DERIVED = {"topic", "bronze", "dead", "maintained"}
# Dagster takes a bare key only where it is the whole selection.
_BARE = re.compile(r'(?<![\w/:"*])([a-z]\w*/[a-z]\w*)(?![\w/"*])')


@dataclass(frozen=True)
class Chosen:
    """Assets of one stream, or of the day files of one domain, in the order of their run.

    `whole` ones are replaced as a whole.

    `added` were not asked for: Postgres takes hours only from a newer version of their source.
    `left_out` were, and are not derived.
    """

    stream: Dataset
    hourly: list[dg.AssetKey]
    whole: list[dg.AssetKey]
    added: list[dg.AssetKey]
    left_out: list[dg.AssetKey]
    source: dict[dg.AssetKey, dg.AssetKey]


def choose(defs: dg.Definitions, text: str) -> Chosen:
    """The derived assets that a stream's name, or a selection as Dagster writes it, names.

    Raises:
        PermanentFailure: it names none, or those of several streams; the message lists names.
    """
    graph, tried = defs.resolve_asset_graph(), f"select {text!r}"
    streams = {d.name: (d, key) for d, key in _sources()}
    sources = {key: name for name, (_, key) in streams.items()}
    derived = [k for k in graph.toposorted_asset_keys if _is_derived(graph, k)]
    known = ", ".join([*streams, *(k.to_user_string() for k in derived)])
    fix = f"a stream or a selection of: {known}"
    if text in streams:
        found = {k for k in derived if text in _streams(graph, k, sources)}
    else:
        try:
            spelled = _BARE.sub(r'key:"\1"', text)
            found = set(dg.AssetSelection.from_string(spelled).resolve(graph))
        except dg.DagsterError as error:
            raise PermanentFailure(tried, str(error).splitlines()[0], fix) from error
    keys = [k for k in derived if k in found]
    if not keys:
        named = ", ".join(sorted(k.to_user_string() for k in found))
        got = f"{named}: not derived from a table" if named else "no asset has such a name"
        raise PermanentFailure(tried, got, fix)
    of = {name for k in keys for name in _streams(graph, k, sources)}
    if len(of) != 1:
        raise PermanentFailure(tried, f"of several streams: {', '.join(sorted(of))}", "one of them")
    source = {k: next(iter(sorted(graph.get(k).parent_keys))) for k in derived}
    added = {source[k] for k in keys if _layer(k) == "published" and _is_hourly(graph, k)}
    keys = [k for k in derived if k in {*keys, *added}]
    return Chosen(
        streams[of.pop()][0],
        [k for k in keys if _is_hourly(graph, k)],
        [k for k in keys if not _is_hourly(graph, k)],
        sorted(added - found),
        sorted(found - set(derived)),
        source,
    )


def run(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    settings: Settings,
    stream: Dataset,
    keys: Collection[dg.AssetKey],
    span: tuple[datetime, datetime] | None,
) -> dict[str, dict[str, Any]]:
    """Materialize assets, for a range of event hours or as a whole; metadata of each, by its key.

    Raises:
        Failure: as the asset that failed has said it.
    """
    tags = {STREAM_TAG: subject_of(settings, stream.name), "de_stack/rebuild": "true"}
    tags[STEP_TAG] = "derive" if span else "mart"
    tags["dagster/max_runtime"] = MAX_SECONDS
    if span:
        first, last = (partitions.key(moment, stream.grain) for moment in span)
        tags |= {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        asset_selection=list(keys),
        tags=tags,
        instance=instance,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    found: dict[str, dict[str, Any]] = {}
    for event in result.get_asset_materialization_events():
        done = event.materialization
        # An asset also reports hours that earlier runs have left unsaid; those have other metadata.
        if "reported_by" not in done.metadata:
            name = done.asset_key.to_user_string()
            found[name] = {n: v.value for n, v in done.metadata.items()}
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            said = found.setdefault(check.asset_key.to_user_string(), {})
            said.setdefault("failed_checks", []).append(check.check_name)
    return found


def _layer(key: dg.AssetKey) -> str:
    return key.path[-1].partition("_")[0]


def _is_derived(graph: Any, key: dg.AssetKey) -> bool:
    return key in graph.materializable_asset_keys and _layer(key) not in _NOT_DERIVED


def _is_hourly(graph: Any, key: dg.AssetKey) -> bool:
    return graph.get(key).partitions_def is not None


def _sources() -> Iterator[tuple[Dataset, dg.AssetKey]]:
    """What everything else is computed from: a stream's silver table, the bronze one of day files.

    A silver table is computed itself, from bronze rows of other hours than its own.
    """
    for stream in load_all().values():
        yield stream, dg.AssetKey([stream.domain, f"silver_{stream.entity}"])
    for files in load_all_day_files().values():
        yield files, dg.AssetKey([files.domain, f"bronze_{files.entity}"])


def _streams(graph: Any, key: dg.AssetKey, sources: dict[dg.AssetKey, str]) -> set[str]:
    """Names of those whose source an asset is or reads, over whatever lies between."""
    # Asked of the graph, not of a selection: one leaves out what no run of ours makes.
    found, above = set[str](), [key]
    while above:
        one = above.pop()
        if one in sources:
            found.add(sources[one])
        else:
            above += graph.get(one).parent_keys
    return found
