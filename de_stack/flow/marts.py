"""Warehouse -> Postgres: a mart as a whole, unless Postgres has a newer one.

Belongs here: which table in Postgres a mart becomes, and its copy. Does not belong here: the
transaction (`publish`), building the mart (dbt).

A mart carries the version of its source's Delta table that the whole of it was computed from, so
rows and version are read together and cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure
from de_stack.flow.publish import Published, ServingTable, publish
from de_stack.naming import Names
from de_stack.resources import warehouse

if TYPE_CHECKING:
    from de_stack.resources.dbt_graph import Model
    from de_stack.settings import Settings

_TYPES = {
    "boolean": "boolean",
    "integer": "integer",
    "bigint": "bigint",
    "double": "double precision",
    "varchar": "text",
    "date": "date",
    "timestamp with time zone": "timestamptz",
}


def table_of(model: Model, names: Names) -> ServingTable:
    """The Postgres table of a mart: same name, columns and descriptions.

    Raises:
        PermanentFailure: a column has no type, or one that Postgres has no word for.
    """
    unknown = [f"{name} {kind}" for name, kind, _ in model.columns if kind not in _TYPES]
    if unknown:
        raise PermanentFailure(
            f"publish {model.name}",
            f"no Postgres type for {', '.join(unknown)}",
            f"data_type of each column in the model's YAML file: one of {', '.join(_TYPES)}",
            page="mart",
        )
    columns = tuple((name, _TYPES[kind], text) for name, kind, text in model.columns)
    schema = names.schema(model.domain)
    return ServingTable(schema, model.name, columns, model.publish_key, comment=model.description)


def publish_mart(
    settings: Settings, model: Model, source: str, consumer: str, run_id: str
) -> Published:
    """Copy a mart; `source` is the name of the one table that it is computed from.

    Raises:
        TransientFailure: the warehouse is held or Postgres is away; nothing was changed.
        PermanentFailure: there is no such mart, or Postgres refused its rows.
    """
    table = table_of(model, settings.names)
    columns = [name for name, _, _ in table.columns]
    rows, versions = warehouse.read_table(settings, table.schema, table.name, columns)
    if source not in versions:
        raise PermanentFailure(
            f"publish {table.schema}.{table.name}",
            f"it does not say from which version of {source} it was built",
            "materialize the mart: dbt by hand pins no version",
            page="mart",
        )
    return publish(settings, table, rows, consumer, versions[source], run_id)
