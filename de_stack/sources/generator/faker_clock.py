"""Faker's clock: its providers see the time of the event, not that of the machine.

Belongs here: what stands in for the clock in Faker's own modules. Does not belong here: which
provider makes a field (`functions.py`).

Faker has no way to give it a clock, and one that stops time for the whole process (freezegun) would
stop the generator's pace as well. So the names `datetime` and `date` of Faker's modules, and of no
others, are bound to classes that ask here. Without an event they tell the real time.
"""

from __future__ import annotations

import datetime as real
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PROVIDERS = "faker.providers."
_event = threading.local()


@contextmanager
def seen_at(now: real.datetime) -> Iterator[None]:
    """For Faker, it is `now` in this thread meanwhile."""
    _event.now = now
    try:
        yield
    finally:
        _event.now = None


def bind() -> None:
    """Let the providers that are loaded ask here; each asks once it is bound, for good."""
    for name, module in list(sys.modules.items()):
        if name.startswith(_PROVIDERS):
            for word, value in list(vars(module).items()):
                if isinstance(value, type | types.ModuleType) and value in _INSTEAD:
                    setattr(module, word, _INSTEAD[value])


def _now() -> real.datetime:
    return getattr(_event, "now", None) or real.datetime.now(real.UTC)


class _Kind(type):
    """Makes true times instances of what stands in for their class."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.__mro__[1])


class _DateTime(real.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: real.tzinfo | None = None) -> real.datetime:  # type: ignore[override]
        return _now().astimezone(tz) if tz else _now().astimezone(real.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> real.datetime:  # type: ignore[override]
        return cls.now()


class _Date(real.date, metaclass=_Kind):
    @classmethod
    def today(cls) -> real.date:  # type: ignore[override]
        return _DateTime.now().date()


_module = types.ModuleType("datetime")
vars(_module).update(vars(real) | {"datetime": _DateTime, "date": _Date})
_INSTEAD: dict[Any, Any] = {real.datetime: _DateTime, real.date: _Date, real: _module}
