"""Dagster's Postgres storage with connections that are kept.

Belongs here: the class that `dagster.yaml` of the embedded stack names. Does not belong here: what
is stored, the rest of the instance's configuration (`dagster_home.py`).

Dagster's own opens one for each statement, which took 11 ms of some 12: half of the time that the
daemon needs to plan a run, and a run worker to begin one. (It keeps one in the webserver.)
"""

from __future__ import annotations

from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import pg_url_from_config
from sqlalchemy import create_engine

_KEPT, _MOST = 2, 20
_RENEWED_SECONDS = 600


class PooledPostgresStorage(DagsterPostgresStorage):
    """As its parent, but a process keeps two connections for all three parts.

    Before it uses one it asks whether Postgres is still there.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(postgres_url, inst_data=inst_data)
        engine = create_engine(
            postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT,
            max_overflow=_MOST,
            pool_recycle=_RENEWED_SECONDS,
            pool_pre_ping=True,
        )
        for part in (self._run_storage, self._event_log_storage, self._schedule_storage):
            part._engine = engine  # noqa: SLF001 - there is no other way to give it one

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Any
    ) -> PooledPostgresStorage:
        """How Dagster makes it from `dagster.yaml`."""
        return cls(pg_url_from_config(config_value), inst_data)
