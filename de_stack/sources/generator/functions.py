"""The functions that make a field's values.

Belongs here: one class per function: its arguments, checked, and `make`. Does not belong here:
which field uses which, YAML.

Each field has a `random.Random` of its own: adding a field does not change the values of others.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from de_stack.sources.generator import faker_clock
from de_stack.sources.generator.function import CONVERT, Function, Make, Use, rfc3339

Scalar = str | int | float | bool
WALKS_KEPT = 10_000


class Constant(Function):
    """`constant: 5`."""

    value: Scalar

    def maker(self, use: Use) -> Make:  # noqa: ARG002
        """Always the value."""
        return lambda _record, _now: self.value


class Choice(Function):
    """`choice: [a, b]` or `choice: {values: [a, b], weights: [9, 1]}`."""

    values: Annotated[list[Scalar], Field(min_length=1)]
    weights: list[Annotated[float, Field(ge=0, strict=False)]] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Choice:
        if self.weights is not None and len(self.weights) != len(self.values):
            raise ValueError("weights: one for each value")
        if self.weights is not None and not sum(self.weights):
            raise ValueError("weights: all are 0")
        return self

    def maker(self, use: Use) -> Make:
        """Draws one of the values."""
        draw = random.Random(use.seed)  # noqa: S311 - repeatable, not secret
        return lambda _record, _now: draw.choices(self.values, self.weights)[0]


class Range(Function):
    """`range: {minimum: 0, maximum: 9}`, both included; whole numbers for a whole-number field."""

    minimum: float
    maximum: float
    digits: Annotated[int, Field(ge=0, le=15)] = 3

    @model_validator(mode="after")
    def _fits(self) -> Range:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self

    def maker(self, use: Use) -> Make:
        """Draws a number."""
        draw = random.Random(use.seed)  # noqa: S311 - repeatable, not secret
        if use.kind == "integer":
            return lambda _record, _now: draw.randint(round(self.minimum), round(self.maximum))
        return lambda _record, _now: round(draw.uniform(self.minimum, self.maximum), self.digits)


class Walk(Function):
    """`walk: {start: 60, step: 1.5, minimum: 0, maximum: 120}`: at most a step from the last value.

    There is one walk for each combination of the fields in `per` (default: all that are drawn by
    `choice`), so a machine's temperature does not jump to another's. `start` may be
    a mapping from the values of the one field in `per`: each begins elsewhere then.
    """

    start: float | dict[str, float]
    step: Annotated[float, Field(ge=0)]
    minimum: float = -1e308
    maximum: float = 1e308
    digits: Annotated[int, Field(ge=0, le=15)] = 3
    per: list[str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Walk:
        if isinstance(self.start, dict) and len(self.per or ()) != 1:
            raise ValueError("start by value: name the one field that has the values in `per`")
        for start in self.start.values() if isinstance(self.start, dict) else [self.start]:
            if not self.minimum <= start <= self.maximum:
                raise ValueError(f"start {start} is not from {self.minimum} to {self.maximum}")
        return self

    def maker(self, use: Use) -> Make:
        """Takes the next step."""
        draw, at = random.Random(use.seed), {}  # noqa: S311 - repeatable, not secret
        names = tuple(self.per) if self.per is not None else use.per
        starts = self.start

        def begin(who: tuple[Any, ...]) -> float:
            return starts[str(who[0])] if isinstance(starts, dict) else starts

        def make(record: dict[str, Any], _now: datetime) -> float:
            who = tuple(record.get(name) for name in names)
            last = at.pop(who, None)
            value = begin(who) if last is None else last + draw.uniform(-self.step, self.step)
            at[who] = value = min(max(value, self.minimum), self.maximum)
            if len(at) > WALKS_KEPT:
                del at[next(iter(at))]  # the one not used for longest
            return round(value) if use.kind == "integer" else round(value, self.digits)

        return make


class Now(Function):
    """`now: {}`: the time of the event."""

    def follows_clock(self, kind: str) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def maker(self, use: Use) -> Make:
        """The time, in the form of the field's type."""
        if use.kind == "date":
            return lambda _record, now: now.date().isoformat()
        return lambda _record, now: rfc3339(now)


class Fake(Function):
    """`faker: city` or `faker: {provider: bothify, args: {text: "##-??"}, locale: de_DE}`."""

    provider: str
    args: dict[str, Any] = {}
    locale: str = "en_US"

    @model_validator(mode="after")
    def _known(self) -> Fake:
        try:
            self._bound("0")()
        except (AttributeError, TypeError, ValueError, ImportError) as error:
            raise ValueError(
                f"provider {self.provider!r} of locale {self.locale}: {error}"
            ) from error
        return self

    def _bound(self, seed: str) -> Callable[[], Any]:
        from faker import Faker

        # A new generator, not Faker's shared one: another field must not draw from it.
        faker = Faker(self.locale, use_weighting=True)
        faker_clock.bind()
        faker.seed_instance(seed)
        method = None if self.provider.startswith("_") else getattr(faker, self.provider)
        if not callable(method):
            raise TypeError("is not a provider")
        return lambda: method(**self.args)

    def maker(self, use: Use) -> Make:
        """Asks the provider."""
        bound = self._bound(use.seed)

        def make(_record: dict[str, Any], now: datetime) -> Any:
            with faker_clock.seen_at(now):
                return CONVERT[use.kind](bound())

        return make


FUNCTIONS: dict[str, type[Function]] = {
    "choice": Choice,
    "constant": Constant,
    "faker": Fake,
    "now": Now,
    "range": Range,
    "uniform": Range,
    "walk": Walk,
}
# How the short forms are spelled out: `choice: [a, b]` is `choice: {values: [a, b]}`.
SHORT: dict[str, tuple[Literal["values", "value", "provider"], type | tuple[type, ...]]] = {
    "choice": ("values", list),
    "constant": ("value", (str, int, float, bool)),
    "faker": ("provider", str),
}
