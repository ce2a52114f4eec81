"""All local services, in the order in which a person would list them.

Belongs here: the list, and what it says about order. Does not belong here: any service's own
facts.
"""

from __future__ import annotations

from collections.abc import Iterable

from de_stack.failures import PermanentFailure
from de_stack.local import (
    code_server,
    collector,
    daemon,
    generator,
    kafka,
    postgres,
    spark,
    streams,
    webserver,
)
from de_stack.local.service import Service

SERVICES: dict[str, Service] = {
    module.SERVICE.name: module.SERVICE
    for module in (
        postgres,
        kafka,
        spark,
        collector,
        generator,
        streams,
        code_server,
        webserver,
        daemon,
    )
}


def check(names: Iterable[str]) -> list[str]:
    """The names, if there are such services.

    Raises:
        PermanentFailure: there is no service of one of the names.
    """
    names = list(names)
    if unknown := [name for name in names if name not in SERVICES]:
        raise PermanentFailure(
            "find the service", f"{unknown[0]!r} is none", f"use one of: {', '.join(SERVICES)}"
        )
    return names


def with_dependencies(names: Iterable[str]) -> list[Service]:
    """The services and all that they depend on, dependencies first; all services for no names."""
    found: dict[str, Service] = {}

    def add(name: str) -> None:
        if name not in found:
            for needed in (*SERVICES[name].depends_on, *SERVICES[name].alongside):
                add(needed)
            found[name] = SERVICES[name]

    for name in check(names) or SERVICES:
        add(name)
    return list(found.values())


def stopping_waves(names: Iterable[str]) -> list[list[str]]:
    """Names that can be stopped together, group by group: dependents come first."""
    left = set(names)
    waves = []
    while left:
        needed = {
            n for name in left for n in (*SERVICES[name].depends_on, *SERVICES[name].alongside)
        }
        waves.append(sorted(left - needed))
        left &= needed
    return waves
