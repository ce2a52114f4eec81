"""Brings the ledger's tables to what this release needs.

Belongs here: running the steps of `migrations/`. Does not belong here: the steps, questions to the
ledger (`ledger.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    import psycopg

    from de_stack.settings import Settings

# Newest step; a test holds it against the files, so that a look at one row is enough at each start.
NEWEST = "0008"
MIGRATIONS = Path(__file__).with_name("migrations")


def ensure_schema(settings: Settings) -> None:
    """Make or change the ledger's tables, all steps in one transaction; known steps cost a look.

    Raises:
        PermanentFailure: a newer release has changed the ledger, or Postgres refused a step.
        TransientFailure: Postgres was away.
    """
    tried = "bring the ledger's tables up to date"
    with Postgres(settings, "ledger").transaction(tried) as db:
        found = _version(db)
        if found is not None and found > NEWEST:
            raise PermanentFailure(
                tried,
                f"they are at step {found}, this release knows steps up to {NEWEST}",
                "use the release that made them, or a newer one",
                page="newer-release",
            )
        if found != NEWEST:
            _upgrade(settings.need("ledger_dsn"))


def _version(db: psycopg.Connection) -> str | None:
    if db.execute("select to_regclass('ledger.schema_version')").fetchone() == (None,):
        return None
    row = db.execute("select version_num from ledger.schema_version").fetchone()
    return row[0] if row else None


def _upgrade(dsn: str) -> None:
    import psycopg
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    # SQLAlchemy does not know all forms of a libpq address; libpq does.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(dsn, connect_timeout=5)
    )
    try:
        with engine.begin() as connection:
            # Two processes that start at once must not make the same table.
            connection.execute(text("select pg_advisory_xact_lock(hashtext('de_stack.ledger'))"))
            connection.execute(text("create schema if not exists ledger"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise (error.orig or error) from error
    finally:
        engine.dispose()
