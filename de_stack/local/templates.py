"""Fills the templates in `config/`.

Belongs here: reading a template of this package and putting values in. Does not belong here: the
values.
"""

from __future__ import annotations

from importlib import resources
from string import Template


def render(template: str, **values: object) -> str:
    """Text of `config/<template>` with every `${name}` replaced; a missing value is a KeyError."""
    text = (resources.files("de_stack.local") / "config" / template).read_text(encoding="utf-8")
    return Template(text).substitute({name: str(value) for name, value in values.items()})
