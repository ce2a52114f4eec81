"""Where a new stream goes in a checkout, and under which names.

Belongs here: what is taken already, which names are too long. Does not belong here: writing
(`write.py`).
"""

from __future__ import annotations

from pathlib import Path

from de_stack import naming
from de_stack.failures import PermanentFailure
from de_stack.scaffold.draft import Draft

_PLACES = ("de_stack/defs", "dbt_project/models", "de_stack_tests")


def folders(root: Path, domain: str) -> tuple[Path, Path, Path]:
    """Where a domain's definition, dbt models and tests live in a checkout."""
    return (
        root / "de_stack" / "defs" / domain,
        root / "dbt_project" / "models" / domain,
        root / "de_stack_tests" / "domains" / domain,
    )


def places(root: Path, draft: Draft, tried: str) -> tuple[Path, Path, Path]:
    """The three folders, none of which is there.

    Raises:
        PermanentFailure: one is there, or a module is called as the domain, or it is no checkout.
    """
    for needed in _PLACES:
        if not (root / needed).is_dir():
            got = f"{root} has no {needed}: it is no checkout of the project"
            raise PermanentFailure(
                tried, got, "run it in a clone, or give --into", page="new-stream"
            )
    made = folders(root, draft.domain)
    if (module := made[0].with_suffix(".py")).exists():
        got = f"{module.relative_to(root)} is there: the domain would hide it"
        raise PermanentFailure(tried, got, "take another domain", page="new-stream")
    if there := [folder for folder in made if folder.exists()]:
        got = f"{there[0].relative_to(root)} is there already"
        fix = "take another domain; a second stream of one is written by hand"
        raise PermanentFailure(tried, got, fix, page="new-stream")
    return made


def mart_of(root: Path, draft: Draft, tried: str) -> str:
    """The daily report's name: dbt has one model of a name, whatever its domain.

    Raises:
        PermanentFailure: a name is taken or too long.
    """
    there = {path.stem.lower() for path in (root / "dbt_project" / "models").rglob("*.sql")}
    names = (f"mart_daily_{draft.entity}", f"mart_daily_{draft.domain}_{draft.entity}")
    mart = next((name for name in names if name not in there), None)
    if mart is None or f"stg_{draft.domain}__{draft.entity}" in there:
        got = f"dbt has models for {draft.domain} and {draft.entity} already"
        raise PermanentFailure(tried, got, "take another entity", page="new-stream")
    try:
        for layer in ("topic", "bronze", "silver", "stats", "dead"):
            naming.asset_name(layer, draft.entity)
        for layer in ("bronze", "silver", "stats"):
            naming.asset_name("maintained", f"{layer}_{draft.entity}")
        naming.asset_name("published", f"stats_{draft.entity}")
        naming.asset_name("published", mart)
    except ValueError as error:
        raise PermanentFailure(
            tried, str(error), "take a shorter entity (or domain)", page="new-stream"
        ) from error
    return mart
