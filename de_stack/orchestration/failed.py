"""Why a run failed, read from its events.

Belongs here: from an error chain to what was tried, what came back, whether a retry helps. Does not
belong here: what follows from it (`blocks.py`, `alerts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dagster as dg

from de_stack.failures import read_back
from de_stack.masking import secrets_in, without_secrets
from de_stack.settings import Settings

if TYPE_CHECKING:
    from dagster import SerializableErrorInfo

_TYPES = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}


@dataclass(frozen=True)
class Why:
    """Why a run failed. `can_retry_help` is None where nobody said: a bug, a kill."""

    asset: str | None
    kind: str
    message: str
    tried: str | None = None
    got: str | None = None
    fix: str | None = None
    can_retry_help: bool | None = None
    page: str | None = None


def why(instance: dg.DagsterInstance, run_id: str, settings: Settings) -> Why:
    """The failure that matters most: a permanent one, another of ours, then whatever was first."""
    found = list(_reasons(instance, run_id))
    if not found:
        return Why(None, "unknown", "the run's events do not say why it failed")
    order = {False: 0, True: 1, None: 2}
    return _masked(min(found, key=lambda w: order[w.can_retry_help]), known_secrets(settings))


def _reasons(instance: dg.DagsterInstance, run_id: str) -> Iterator[Why]:
    for record in instance.get_records_for_run(run_id, of_type=_TYPES).records:
        event = record.event_log_entry.dagster_event
        if event is None:
            continue
        error = getattr(event.event_specific_data, "error", None)
        step = event.step_key.replace("__", "/", 1) if event.step_key else None
        if error is None:
            # Killed, or ended by run monitoring: the event itself is all that there is.
            yield Why(step, event.event_type_value, event.message or "no message")
        else:
            yield _from_chain(step, error)


def _from_chain(step: str | None, error: SerializableErrorInfo) -> Why:
    chain = []
    link: SerializableErrorInfo | None = error
    while link is not None:
        chain.append(link)
        link = link.cause
    for each in chain:
        if said := read_back(each.message):
            text = each.message.strip()
            parts = (said.tried, said.got, said.fix, said.can_retry_help, said.page)
            return Why(step, each.cls_name or "Failure", text, *parts)
    # Dagster wraps what an asset raised; what it wraps says more.
    inner = chain[1] if len(chain) > 1 else chain[0]
    return Why(step, inner.cls_name or "Exception", inner.message.strip())


def known_secrets(settings: Settings) -> set[str]:
    """Every secret that the settings hold, as it would appear in a text."""
    found: set[str] = set()
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        values = value.values() if isinstance(value, dict) else [value]
        for each in values:
            if hasattr(each, "get_secret_value"):
                text = each.get_secret_value()
                # An address is no secret, what it holds is.
                found |= secrets_in(text) if name.endswith("_dsn") else {text}
    return found


def _masked(reason: Why, known: set[str]) -> Why:
    def clean(text: str | None) -> str | None:
        return None if text is None else without_secrets(text, known)

    return Why(
        reason.asset,
        reason.kind,
        without_secrets(reason.message, known),
        clean(reason.tried),
        clean(reason.got),
        clean(reason.fix),
        reason.can_retry_help,
        reason.page,
    )
