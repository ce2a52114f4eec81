"""The functions that make a field's values.

Belongs here: one class per function: its arguments, checked, and `make`. Does not belong here:
which field uses which, YAML.

Each field has a `random.Random` of its own: adding a field does not change the values of others.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# (values of the record made so far, time of the event) -> value
Make = Callable[[dict[str, Any], datetime], Any]
Scalar = str | int | float | bool
WALKS_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Use:
    """Where a function is used: type and seed of the field, the fields that a walk belongs to."""

    kind: str
    seed: str
    per: tuple[str, ...] = ()


class Function(BaseModel):
    """Arguments of a function; a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def maker(self, use: Use) -> Make:
        """What makes the values of one field."""
        raise NotImplementedError


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
    `choice`), so a machine's temperature does not jump to another's.
    """

    start: float
    step: Annotated[float, Field(ge=0)]
    minimum: float = -1e308
    maximum: float = 1e308
    digits: Annotated[int, Field(ge=0, le=15)] = 3
    per: list[str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Walk:
        if not self.minimum <= self.start <= self.maximum:
            raise ValueError(f"start {self.start} is not from {self.minimum} to {self.maximum}")
        return self

    def maker(self, use: Use) -> Make:
        """Takes the next step."""
        draw, at = random.Random(use.seed), {}  # noqa: S311 - repeatable, not secret
        names = tuple(self.per) if self.per is not None else use.per

        def make(record: dict[str, Any], _now: datetime) -> float:
            who = tuple(record.get(name) for name in names)
            last = at.pop(who, None)
            value = self.start if last is None else last + draw.uniform(-self.step, self.step)
            at[who] = value = min(max(value, self.minimum), self.maximum)
            if len(at) > WALKS_KEPT:
                del at[next(iter(at))]  # the one not used for longest
            return round(value) if use.kind == "integer" else round(value, self.digits)

        return make


class Now(Function):
    """`now: {}`: the time of the event."""

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
        faker.seed_instance(seed)
        method = None if self.provider.startswith("_") else getattr(faker, self.provider)
        if not callable(method):
            raise TypeError("is not a provider")
        return lambda: method(**self.args)

    def maker(self, use: Use) -> Make:
        """Asks the provider."""
        bound = self._bound(use.seed)
        return lambda _record, _now: _CONVERT[use.kind](bound())


def rfc3339(moment: date) -> str:
    """`2026-01-02T03:04:05.678Z`; a time without a zone is taken as UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "timestamp": rfc3339,
    "date": str,
}


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
