"""What a contract promises, as SQL conditions that find rows which break it.

Belongs here: field -> condition. Does not belong here: running them (`flow.checks`).
"""

from __future__ import annotations

from de_stack.contracts.model import Field, Stream


def violations(stream: Stream) -> dict[str, str]:
    """Name of a promise -> SQL condition that is true for rows which break it.

    Names and limits come from the contract, which the loader has checked; texts are quoted.
    """
    return {
        f"{field.name} {promise}": condition
        for field in stream.fields
        for promise, condition in _of(field)
    }


def _of(field: Field) -> list[tuple[str, str]]:
    column = f'"{field.name}"'
    found: list[tuple[str, str]] = []
    if field.required:
        found.append(("is required", f"{column} is null"))
    if field.minimum is not None:
        found.append((f">= {field.minimum:.15g}", f"{column} < {field.minimum!r}"))
    if field.maximum is not None:
        found.append((f"<= {field.maximum:.15g}", f"{column} > {field.maximum!r}"))
    if field.min_length is not None:
        found.append((f"length >= {field.min_length}", f"length({column}) < {field.min_length}"))
    if field.max_length is not None:
        found.append((f"length <= {field.max_length}", f"length({column}) > {field.max_length}"))
    if field.allowed:
        listed = ", ".join(_quoted(value) for value in field.allowed)
        found.append(("is an allowed value", f"{column} not in ({listed})"))
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
