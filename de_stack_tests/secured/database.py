"""A Postgres that takes nobody who comes without TLS.

Belongs here: its configuration, its databases and roles. Does not belong here: the process
(`de_stack.local.postgres` says how one is started), certificates (`authority.py`).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from urllib.parse import quote

import psycopg

from de_stack.local import postgres, secrets
from de_stack.local import postgres_files as files
from de_stack.local.service import Site, listens
from de_stack_tests.secured import page
from de_stack_tests.secured.authority import Authority
from de_stack_tests.secured.processes import Crew

PORTS = ("postgres",)
_SSL = """
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.pem'
"""


def start(site: Site, crew: Crew, authority: Authority) -> None:
    """Start it; it is not ready yet."""
    postgres.SERVICE.prepare(site)
    data = postgres.data(site)
    shutil.copy(authority.issue("database"), data / "server.pem")
    # Postgres refuses a key that others can read.
    (data / "server.pem").chmod(0o600)
    files.give(data / "server.pem")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(_SSL)
    network = "127.0.0.1/32"
    ours = f"hostssl postgres {postgres.SUPERUSER} {network} scram-sha-256"
    (data / "pg_hba.conf").write_text(f"{ours}\n{page.hba(network)}\n")
    env = postgres.SERVICE.environment(site)
    crew.start("postgres", postgres.SERVICE.command(site), env, data, files.account())


def prepare(site: Site, crew: Crew, authority: Authority) -> None:
    """Wait until it is ready; run the page's SQL."""
    crew.wait("postgres", lambda: listens(site.ports["postgres"]))
    passwords: Mapping[str, str] = {
        name: secrets.password(site.home, name) for name in postgres.DATABASES
    }
    tls = f"&sslmode=verify-full&sslrootcert={quote(str(authority.file))}"
    admin = secrets.dsn(site.home, site.ports["postgres"], postgres.SUPERUSER, "postgres") + tls
    with psycopg.connect(admin, autocommit=True, connect_timeout=10) as db:
        for statement in page.statements(passwords):
            db.execute(statement.encode())


def remove(site: Site) -> None:
    """What lies outside of the home, where the account that it runs as cannot enter that."""
    shutil.rmtree(files.outside(site.home), ignore_errors=True)
