"""Copies in Postgres of the marts that ask for one (`meta.publish.key` in the model's YAML).

Belongs here: the list. Does not belong here: building marts (`dbt_models`), how a copy is made
(`flow.marts`).
"""

from de_stack.orchestration.dbt import published
from de_stack.resources import dbt

COPIES = [published(dbt.graph(), m) for m in dbt.graph().models.values() if m.publish_key]
