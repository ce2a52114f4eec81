"""Postgres 18 from the pip wheel: run storage of Dagster, the ledger, the serving tables.

Belongs here: the server's process, its three databases and their roles. Does not belong here:
tables (`flow/` and Dagster make their own), or where its files can lie (`postgres_files.py`).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from de_stack.failures import PermanentFailure
from de_stack.local import postgres_files as files
from de_stack.local import secrets
from de_stack.local.service import LOOPBACK, Service, Site, listens
from de_stack.local.templates import render

SUPERUSER = "postgres"
# Database -> owner, of the same name.
DATABASES = ("dagster", "ledger", "serving")


def data(site: Site) -> Path:
    """The server's data folder."""
    return files.root(site.home) / "postgres"


def _command(site: Site) -> list[str]:
    return [str(files.binaries(site.home) / "postgres"), "-D", str(data(site))]


def _environment(site: Site) -> dict[str, str]:  # noqa: ARG001
    return {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PGTZ": "UTC"}


def _prepare(site: Site) -> None:
    files.place_binaries(site.home)
    folder = data(site)
    if not (folder / "PG_VERSION").exists():
        if secrets.pass_file(site.home, SUPERUSER).exists():
            # initdb sets the password: an old one would be a lie.
            secrets.pass_file(site.home, SUPERUSER).unlink()
        _initdb(site, folder)
    elif not secrets.pass_file(site.home, SUPERUSER).exists():
        raise PermanentFailure(
            f"start Postgres on {folder}",
            f"its password file {secrets.pass_file(site.home, SUPERUSER)} is gone",
            "put it back, or lose all local data with `de-stack down --purge`",
            page="postgres-files",
        )
    files.remove_stale_lock(folder)
    conf = folder / "de_stack.conf"
    conf.write_text(render("postgres.conf", port=site.ports["postgres"]))
    files.give(conf)


def _initdb(site: Site, folder: Path) -> None:
    """Make the data folder; one that an interrupted call left half made is made again."""
    new = folder.with_name("postgres.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    password_file = new.with_name("postgres.password")
    password_file.touch(0o600)
    password_file.write_text(secrets.password(site.home, SUPERUSER))
    files.give(new)
    files.give(password_file)
    options = [
        "--auth=scram-sha-256",
        f"--pwfile={password_file}",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    try:
        done = subprocess.run(  # noqa: S603
            [files.binaries(site.home) / "initdb", "-D", new, "-U", SUPERUSER, *options],
            env={"PATH": "/usr/bin:/bin", "HOME": str(new), "LC_ALL": "C.UTF-8"},
            cwd=new,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **files.account(),
        )
    finally:
        password_file.unlink()
    if done.returncode:
        raise PermanentFailure(
            f"initdb in {new}", (done.stderr or done.stdout).strip()[-800:], page="service-ended"
        )
    with (new / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude_if_exists 'de_stack.conf'\n")
    new.rename(folder)


def _probe(site: Site) -> str:
    port = site.ports["postgres"]
    if not listens(port):
        return f"{LOOPBACK}:{port}"
    import psycopg

    try:
        with psycopg.connect(_admin(site), connect_timeout=2):
            return ""
    except psycopg.OperationalError as error:
        # It accepts connections before its recovery after a kill has ended.
        return f"a session ({str(error).strip().splitlines()[-1]})"


def _admin(site: Site, database: str = "postgres") -> str:
    return secrets.dsn(site.home, site.ports["postgres"], SUPERUSER, database)


def _make_databases(site: Site) -> None:
    """One database per owner; owners cannot enter each other's."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(_admin(site), autocommit=True, connect_timeout=5) as db:
        roles = {name for (name,) in db.execute("SELECT rolname FROM pg_roles")}
        databases = {name for (name,) in db.execute("SELECT datname FROM pg_database")}
        for name in DATABASES:
            # Hashed here, so that the server never sees (or logs) the password itself.
            word = secrets.password(site.home, name).encode()
            hashed = db.pgconn.encrypt_password(word, name.encode(), b"scram-sha-256").decode()
            verb = "ALTER" if name in roles else "CREATE"
            options = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {}"
            db.execute(
                sql.SQL(f"{verb} ROLE {{}} {options}").format(
                    sql.Identifier(name), sql.Literal(hashed)
                )
            )
            if name not in databases:
                db.execute(sql.SQL("CREATE DATABASE {0} OWNER {0}").format(sql.Identifier(name)))
        for name in (*DATABASES, "postgres", "template1"):
            db.execute(
                sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )


def _after_ready(site: Site) -> list[str]:
    _make_databases(site)
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.settings import Settings

    ensure_schema(Settings())
    return []


def _addresses(site: Site) -> dict[str, str]:
    port = site.ports["postgres"]
    return {f"{name}_dsn": secrets.dsn(site.home, port, name, name) for name in DATABASES}


SERVICE = Service(
    name="postgres",
    command=_command,
    probe=_probe,
    ports={"postgres": 15432},
    environment=_environment,
    addresses=_addresses,
    prepare=_prepare,
    after_ready=_after_ready,
    user=files.user,
    folder=data,
    # INT is Postgres' fast shutdown: TERM would wait for every client to go.
    stop_signal="INT",
)
