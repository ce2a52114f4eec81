"""What alembic runs before the steps: the caller's connection, in the caller's transaction.

Belongs here: alembic's configuration. Does not belong here: opening a connection, any step.
"""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    version_table="schema_version",
    version_table_schema="ledger",
)
context.run_migrations()
