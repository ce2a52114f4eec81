"""One field's words -> the function that makes its values.

Belongs here: `{walk: {start: 1, step: 2}}` -> a checked function that fits the field's type; what
is taken where a field names none. Does not belong here: files (`config.py`), what functions do
(`functions.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from de_stack.sources.generator.files import ConfigError, first_error
from de_stack.sources.generator.function import Function, Use
from de_stack.sources.generator.functions import FUNCTIONS, SHORT, Choice, Constant, Fake

if TYPE_CHECKING:
    from de_stack.contracts import Field as ContractField

_NUMBERS = {"integer", "number"}
_FITS = {"walk": _NUMBERS, "range": _NUMBERS, "uniform": _NUMBERS, "now": {"timestamp", "date"}}
_PYTHON: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "any": (str, int, float, bool),
}
_LONG = 2**63


def default_for(field: ContractField) -> dict[str, Any]:
    """A function for a field that names none, within its bounds as far as they are simple."""
    if field.allowed:
        return {"choice": list(field.allowed)}
    if field.type in _NUMBERS:
        low = 0.0 if field.minimum is None else field.minimum
        high = low + 100.0 if field.maximum is None else field.maximum
        return {"range": {"minimum": min(low, high), "maximum": high}}
    if field.type == "boolean":
        return {"choice": [True, False]}
    return {"now": {}} if field.type in ("timestamp", "date") else {"faker": "word"}


def free_kind(spec: dict[str, Any]) -> str:
    """The type of a field that no contract knows: that of what its function makes."""
    name = next(iter(spec), "")
    if name == "now":
        return "timestamp"
    return "number" if name in ("walk", "range", "uniform") else "any"


def function_of(where: str, at: str, kind: str, spec: Any) -> Function:
    """The function of a field of a type.

    Raises:
        ConfigError: an unknown function, arguments that it does not take, values of another type.
    """
    if not isinstance(spec, dict) or len(spec) != 1:
        raise ConfigError(where, at, "write one function, as {name: arguments}")
    ((name, arguments),) = spec.items()
    if name not in FUNCTIONS:
        names = ", ".join(sorted(FUNCTIONS))
        raise ConfigError(where, at, f"unknown function {name!r}; there are {names}")
    if kind not in _FITS.get(name, {kind}):
        raise ConfigError(where, at, f"{name} makes no {kind}")
    if name in SHORT and isinstance(arguments, SHORT[name][1]):
        arguments = {SHORT[name][0]: arguments}
    try:
        function = FUNCTIONS[name].model_validate(arguments)
    except ValidationError as error:
        inner, reason = first_error(error)
        raise ConfigError(where, ".".join(filter(None, [at, name, inner])), reason) from error
    _check_values(function, kind, where, f"{at}.{name}")
    return function


def _check_values(function: Function, kind: str, where: str, at: str) -> None:
    values = function.values if isinstance(function, Choice) else []
    for value in [function.value] if isinstance(function, Constant) else values:
        wanted = _PYTHON.get(kind, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ConfigError(where, at, f"{value!r} is no {kind}")
        if isinstance(value, int) and not -_LONG <= value < _LONG:
            raise ConfigError(where, at, f"{value} is no 64-bit number")
    if isinstance(function, Fake):
        from datetime import UTC, datetime

        try:
            function.maker(Use(kind, "0"))({}, datetime(2026, 1, 1, tzinfo=UTC))
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(where, at, f"{function.provider} makes no {kind}: {error}") from error
