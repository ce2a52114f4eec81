"""Postgres: connections with deadlines, and errors as failures.

Belongs here: opening a connection for one purpose (ledger, serving), a lock that is held for long.
Does not belong here: the tables (`flow.ledger`, `flow.publish`), starting a server
(`local.postgres`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    # TLS: whom we do not believe, and who has none.
    "certificate verify failed",
    "does not match host name",
    "does not support SSL",
)
# A holder whose machine is gone is given up after a minute, not after most systems' two hours.
_KEPT_ALIVE = (
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3 "
    "-c statement_timeout=20000 -c timezone=UTC"
)
# Servers before 14 have no such limit, and refuse its name.
_UNLIMITED = (
    "select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout'"
)
_HOLDER = """
select replace(a.application_name, 'de_stack: ', ''),
       to_char(a.backend_start, 'YYYY-MM-DD HH24:MI:SS')
from pg_locks l join pg_stat_activity a using (pid)
where l.locktype = 'advisory' and l.granted and a.datname = current_database()
  and l.database = a.datid
  and (l.classid, l.objid, l.objsubid) = (hashtext('de_stack')::oid, hashtext(%s)::oid, 2)
order by a.backend_start limit 1
"""


class Held(TransientFailure):
    """Somebody else holds a lock; `got` says who, and since when."""

    page = "reparse-under-way"


class Postgres:
    """One of our databases. Every block of work is one transaction, except under a `lock`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self.database = settings, database

    @contextmanager
    def transaction(self, tried: str, timeout_s: int = 60) -> Iterator[psycopg.Connection]:
        """A connection whose work is committed at the end of the block, rolled back on any error.

        Raises:
            TransientFailure: the server is away, was shut down in between, or took too long.
            PermanentFailure: it refused us or the statement.
        """
        options = f"-c statement_timeout={timeout_s * 1000} -c timezone=UTC"
        with self._connection(tried, options, "de_stack") as connection:
            yield connection

    @contextmanager
    def lock(
        self, name: str, tried: str, who: str, shared: bool = False
    ) -> Iterator[Callable[[], None]]:
        """A lock that ends with its holder, whatever ends that one; never waited for.

        It belongs to a session that is in no transaction: however long the work takes, no time
        limit ends it, and it keeps no vacuum back. But a server that restarts ends it: what is
        yielded fails if it is lost, and is to be called before each step that relies on it.

        Args:
            name: what is locked.
            tried: what is attempted, for failures.
            who: what the next one is told of the holder.
            shared: beside other shared holders, but no other.

        Raises:
            Held: somebody else has it.
            TransientFailure: it was lost, or the server is away.
            PermanentFailure: the server refused us.
        """
        from psycopg import OperationalError

        how = "pg_try_advisory_lock" + ("_shared" if shared else "")
        with self._connection(tried, _KEPT_ALIVE, f"de_stack: {who}") as connection:
            connection.autocommit = True
            connection.execute(_UNLIMITED)
            taken = f"select {how}(hashtext('de_stack'), hashtext(%s))"
            if connection.execute(taken.encode(), (name,)).fetchone() != (True,):
                holder = connection.execute(_HOLDER, (name,)).fetchone()
                got = f"{holder[0]} is at it since {holder[1]} UTC" if holder else "it was taken"
                raise Held(tried, got, "try again when that has ended")

            def still_held() -> None:
                connection.execute("select 1")

            try:
                yield still_held
            finally:
                # The server notices later that we are gone; who comes next may be quicker.
                with suppress(OperationalError):
                    connection.execute("select pg_advisory_unlock_all()")

    @contextmanager
    def _connection(self, tried: str, options: str, name: str) -> Iterator[psycopg.Connection]:
        """A connection that calls itself by a name, and its errors as failures."""
        import psycopg

        dsn, setting = self._settings.need(f"{self.database}_dsn"), f"{self.database}_dsn"
        if not _is_readable(dsn):
            raise PermanentFailure(
                tried,
                f"libpq cannot read the address in DE_STACK_{setting.upper()}",
                "write postgresql://user:password@host:port/database, in the password %40 for @, "
                "%25 for %",
                page="settings",
            )
        try:
            with psycopg.connect(
                dsn, connect_timeout=5, options=options, application_name=name
            ) as connection:
                yield connection
        except (
            psycopg.OperationalError,
            psycopg.errors.SerializationFailure,
            psycopg.errors.DeadlockDetected,
        ) as error:
            got = f"{self.database}: {error}".strip()
            if _refused(str(error)):
                fix = (
                    f"correct DE_STACK_{setting.upper()}, its password file or the server's rights"
                )
                raise PermanentFailure(tried, got, fix, page="access-refused") from error
            mending = self._settings.mending("postgres", setting)
            raise TransientFailure(tried, got, mending, page="system-away") from error
        except psycopg.Error as error:
            raise PermanentFailure(
                tried, f"{self.database}: {error}".strip(), page="postgres-table"
            ) from error


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
