"""All secured systems together, and a user who has nothing but settings that lead to them.

Belongs here: their start and end, the user's environment. Does not belong here: any one of them.
"""

from __future__ import annotations

import json
import os
import secrets as random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from de_stack.local import home_folder, jars, java, postgres, secrets
from de_stack.local.service import Site
from de_stack.settings import Settings
from de_stack_tests.secured import broker, cluster, database, page
from de_stack_tests.secured.authority import Authority
from de_stack_tests.secured.processes import Crew, a_crew, free_ports
from de_stack_tests.services import REPOSITORY

_PREFIX = "de_stack-secured-"
_PORTS = (*broker.PORTS, *database.PORTS, *cluster.PORTS)
USER = "de_stack"
# Somebody whom the broker knows, and who may do nothing.
STRANGER = "stranger"


@dataclass(frozen=True)
class Place:
    """Where the systems are, and what a user's shell has.

    `secrets` are all passwords; `user` is the user's own folder: home, lake, Dagster.
    """

    site: Site
    crew: Crew
    authority: Authority
    stranger: Authority
    env: dict[str, str]
    secrets: dict[str, str]
    user: Path

    @property
    def classic(self) -> dict[str, str]:
        """What the page says of a run that has a driver of its own, on top of `env`."""
        found = page.exported({"/opt/jars/spark/": f"{jars.cache()}/spark/"})
        said = json.loads(found["DE_STACK_SPARK_CONFIG"])
        config = cluster.machine(self.site, cores=1) | said
        return {
            "DE_STACK_SPARK_REMOTE": cluster.master(self.site),
            "DE_STACK_SPARK_CONFIG": json.dumps(config),
            "JAVA_HOME": str(java.find().home),
        }

    def settings(self, **changes: str) -> Settings:
        """The user's settings in this process, some of them otherwise."""
        prefix = "DE_STACK_"
        given = {k.removeprefix(prefix).lower(): v for k, v in self.env.items() if prefix in k}
        return Settings(**(given | changes))


@contextmanager
def a_place() -> Iterator[Place]:
    """The systems, started; at the end no process and no file of them is left."""
    _remove_left()
    home = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    site = Site(home, dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True)))
    try:
        home_folder.make_home(home)
        with a_crew(home / "logs") as crew:
            yield _start(site, crew)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert not home.exists()


def _remove_left() -> None:
    """Folders of runs that were killed: their processes have ended with them."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _start(site: Site, crew: Crew) -> Place:
    authority = Authority(site.home / "config")
    stranger = Authority(site.home / "config", "unknown")
    words = {name: f"s3cret-{random.token_urlsafe(24)}" for name in (USER, STRANGER)}
    # The slowest first; while JVMs start, the databases are made.
    broker.start(site, crew, authority)
    database.start(site, crew, authority)
    cluster.start(site, crew)
    database.prepare(site, crew, authority)
    broker.prepare(site, crew, authority, words)
    cluster.wait(site, crew)
    user = site.home / "user"
    user.mkdir()
    words |= {name: secrets.password(site.home, name) for name in postgres.DATABASES}
    env = _environment(site, authority, words, user)
    return Place(site, crew, authority, stranger, env, words, user)


def _environment(
    site: Site, authority: Authority, words: dict[str, str], user: Path
) -> dict[str, str]:
    """The page's exports with the places of this machine, and Dagster with the page's file."""
    password = site.home / "secrets" / "kafka.password"
    password.touch(0o600)
    password.write_text(words[USER])
    ports = site.ports
    found = page.exported(
        {
            "kafka.example:9093": f"127.0.0.1:{ports['kafka']}",
            "db.example:5432": f"127.0.0.1:{ports['postgres']}",
            "spark.example:15002": f"127.0.0.1:{ports['spark']}",
            "/etc/de_stack/authority.pem": str(authority.file),
            "/etc/de_stack/": f"{site.home}/secrets/",
            "/var/de_stack": str(user / "home"),
            "/srv/lake": str(user / "lake"),
            "/srv/checkpoints": str(user / "checkpoints"),
        }
    )
    # The page's last export belongs to the other way to Spark.
    del found["DE_STACK_SPARK_CONFIG"]
    dagster = user / "dagster"
    dagster.mkdir()
    text = (REPOSITORY / "docker" / "dagster" / "dagster.yaml").read_text(encoding="utf-8")
    (dagster / "dagster.yaml").write_text(text.replace("/data/", f"{dagster}/"))
    address = found["DE_STACK_DAGSTER_DSN"].replace("postgresql:", "postgresql+psycopg2:")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("DE_STACK_")}
    with suppress(KeyError):
        found["DE_STACK_JAR_CACHE"] = os.environ["DE_STACK_JAR_CACHE"]
    return inherited | found | {"DAGSTER_HOME": str(dagster), "DAGSTER_PG_URL": address}
