"""The ledger's schema on a real Postgres: made, adopted, never taken back."""

import threading
from collections.abc import Iterator

import pytest

from de_stack.failures import PermanentFailure
from de_stack.flow import ledger_schema
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A ledger in the serving database, where nobody else has one."""
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    settings = Settings(ledger_dsn=stack.serving_dsn)
    # These tests may run in two processes at once.
    with Postgres(settings, "ledger").transaction("one at a time", timeout_s=300) as alone:
        alone.execute("select pg_advisory_xact_lock(hashtext('test_ledger_schema'))")
        with Postgres(settings, "ledger").transaction("clear") as db:
            db.execute("drop schema if exists ledger cascade")
        yield settings


def version(settings: Settings) -> list[tuple]:
    with Postgres(settings, "ledger").transaction("look") as db:
        return db.execute("select version_num from ledger.schema_version").fetchall()


def test_many_at_once_make_one_ledger(settings: Settings) -> None:
    failures: list[BaseException] = []

    def make() -> None:
        try:
            ledger_schema.ensure_schema(settings)
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert version(settings) == [(ledger_schema.NEWEST,)]


def test_a_ledger_from_before_there_were_steps_keeps_its_rows(settings: Settings) -> None:
    first = ledger_schema.MIGRATIONS / "versions" / "v0001_commits.sql"
    with Postgres(settings, "ledger").transaction("as it was") as db:
        db.execute(first.read_bytes())
        db.execute("insert into ledger.applied values ('c', now(), 7, 'r')")
    ledger_schema.ensure_schema(settings)
    with Postgres(settings, "ledger").transaction("look") as db:
        assert db.execute("select source_version from ledger.applied").fetchall() == [(7,)]
        # The step that added the column could only say when it ran itself.
        (row,) = db.execute("select applied_at, first_applied_at from ledger.applied").fetchall()
        assert row[0] == row[1]


def test_a_ledger_of_a_newer_release_is_refused(settings: Settings) -> None:
    ledger_schema.ensure_schema(settings)
    with Postgres(settings, "ledger").transaction("as a newer release") as db:
        db.execute("update ledger.schema_version set version_num = '9999'")
    with pytest.raises(PermanentFailure, match="step 9999, this release knows"):
        ledger_schema.ensure_schema(settings)
