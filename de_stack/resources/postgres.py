"""Postgres: connections with deadlines, and errors as failures.

Belongs here: opening a connection for one purpose (ledger, serving). Does not belong here: the
tables (`flow.ledger`, `flow.publish`), starting a server (`local.postgres`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    import psycopg

    from de_stack.settings import Settings

Database = Literal["ledger", "serving"]

# What a server says that will not take us later either. All else may pass: a server that starts,
# ends, recovers, is full or was killed (`unexpected postmaster exit`).
_REFUSALS = (
    "no password supplied",
    "authentication failed",
    "does not exist",
    "permission denied",
    "pg_hba.conf",
    "not permitted to log in",
)


class Postgres:
    """One of our databases. Every block of work is one transaction."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self.database = settings, database

    @contextmanager
    def transaction(self, tried: str, timeout_s: int = 60) -> Iterator[psycopg.Connection]:
        """A connection whose work is committed at the end of the block, rolled back on any error.

        Raises:
            TransientFailure: the server is away, was shut down in between, or took too long.
            PermanentFailure: it refused us or the statement.
        """
        import psycopg

        dsn, name = self._settings.need(f"{self.database}_dsn"), f"{self.database}_dsn"
        if not _is_readable(dsn):
            raise PermanentFailure(
                tried,
                f"libpq cannot read the address in DE_STACK_{name.upper()}",
                "write postgresql://user:password@host:port/database, in the password %40 for @, "
                "%25 for %",
            )
        options = f"-c statement_timeout={timeout_s * 1000} -c timezone=UTC"
        try:
            with psycopg.connect(
                dsn, connect_timeout=5, options=options, application_name="de_stack"
            ) as connection:
                yield connection
        except (
            psycopg.OperationalError,
            psycopg.errors.SerializationFailure,
            psycopg.errors.DeadlockDetected,
        ) as error:
            got = f"{self.database}: {error}".strip()
            if _refused(str(error)):
                fix = f"correct DE_STACK_{name.upper()}, its password file or the server's rights"
                raise PermanentFailure(tried, got, fix) from error
            mending = self._settings.mending("postgres", name)
            raise TransientFailure(tried, got, mending) from error
        except psycopg.Error as error:
            raise PermanentFailure(tried, f"{self.database}: {error}".strip()) from error


def _is_readable(dsn: str) -> bool:
    """False for an address of which libpq, in its error, would show parts: one is the password."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        host = conninfo_to_dict(dsn).get("host")
    except (ProgrammingError, UnicodeDecodeError):
        return False
    return "@" not in str(host)


def _refused(message: str) -> bool:
    """True where the server, or the lack of a password, said no to us: libpq gives no code here."""
    return any(words in message for words in _REFUSALS)
