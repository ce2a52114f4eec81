"""ODCS v3 files -> the ODCS project's own model, or a refusal.

Belongs here: YAML, and the JSON Schema that the ODCS project ships (unknown words, wrong types).
Does not belong here: our own rules for what a stream needs (`load.py`, `fields.py`).
"""

from __future__ import annotations

import json
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from de_stack.contracts.words import ContractError

if TYPE_CHECKING:
    from open_data_contract_standard.model import OpenDataContractStandard


class _Loader(yaml.SafeLoader):
    """YAML as it is meant: PyYAML alone lets the second of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            fault = "is not a text" if not isinstance(key, str) else "stands twice"
            if not isinstance(key, str) or key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} {fault}", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read(path: Path) -> OpenDataContractStandard:
    """The contract in a file.

    Raises:
        ContractError: it cannot be read, or is not what ODCS allows; with field and reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ContractError(path, "file", f"not readable YAML: {error}") from error
    return _contract(path, text)


# Streams and day files are looked for in every file: the same text twice.
@lru_cache(maxsize=32)
def _contract(path: Path, text: str) -> OpenDataContractStandard:
    try:
        # The loader is a SafeLoader: it makes plain data only.
        raw = yaml.load(text, _Loader)  # noqa: S506
    except (yaml.YAMLError, RecursionError) as error:
        raise ContractError(path, "file", f"not readable YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ContractError(path, "file", "not a mapping")
    _check(path, raw)

    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    try:
        return OpenDataContractStandard.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        raise ContractError(path, ".".join(map(str, first["loc"])), first["msg"]) from error


def _check(path: Path, raw: dict[str, Any]) -> None:
    from jsonschema.validators import validator_for

    validator = validator_for(_schema())(_schema())
    # YAML reads dates as dates; JSON Schema knows strings only.
    plain = json.loads(json.dumps(raw, default=str))
    # The deepest fault is the one that a person can find.
    errors = sorted(validator.iter_errors(plain), key=lambda e: -len(e.absolute_path))
    if errors:
        place = list(errors[0].absolute_path)
        where, node = _find(plain, place)
        reason = errors[0].message[:300]
        if place[-2:-1] == ["properties"] and "logicalType" not in node:
            # ODCS would ask for what each of the types needs.
            reason = "logicalType is missing"
        raise ContractError(path, where, reason)


def _find(node: Any, parts: list[Any]) -> tuple[str, Any]:
    """A place as a person would call it (members of lists by their name), and what is there."""
    names = []
    for part in parts:
        node = node[part]
        called = node.get("name") or node.get("property") if isinstance(node, dict) else None
        names.append(str(called if isinstance(part, int) and called else part))
    return ".".join(names) or "file", node


@cache
def _schema() -> dict[str, Any]:
    text = resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8")
    return json.loads(text)
