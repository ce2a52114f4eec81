"""The container files. Belongs here: what can be seen without containers."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from de_stack_tests.services import REPOSITORY

SCRIPT = REPOSITORY / "docker" / "postgres" / "databases.sh"


def test_the_database_script_gives_each_psql_its_password_and_no_argument_holds_it(
    tmp_path: Path,
) -> None:
    psql = tmp_path / "psql"
    psql.write_text('#!/bin/sh\necho "$NAME $WORD | $*"; cat >> "$SEEN"\n')
    psql.chmod(0o755)
    words = {name: f"s3cret-of-{name}" for name in ("dagster", "ledger", "serving")}
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={f"{name.upper()}_PASSWORD": word for name, word in words.items()}
        | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "POSTGRES_USER": "postgres"}
        | {"SEEN": str(tmp_path / "sql")},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    calls = [line.partition(" | ") for line in done.stdout.splitlines()]
    assert [given for given, _, _ in calls] == [f"{name} {word}" for name, word in words.items()]
    assert not any("s3cret" in arguments for _, _, arguments in calls)
    sql = (tmp_path / "sql").read_text()
    assert sql.count("\\getenv word WORD\ncreate role") == 3
