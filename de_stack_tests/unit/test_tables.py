"""Making a Delta table while somebody else makes it, too; Spark says what it is told to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.errors import AnalysisException

from de_stack.failures import PermanentFailure
from de_stack.flow import tables

TABLE = tables.Table("d.t", "/lake/t", "x INT", "x", ("x",), "hour")
# Seen of one of two landings that met at a table's first slice.
TOO_LATE = "[DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION] Cannot create table: it is not empty"


def make(answer: str, versions: list[int | None]) -> int:
    """Make the table where Spark fails with `answer`; how often Spark was asked."""
    asked = []

    def sql(statement: str) -> None:
        asked.append(statement)
        raise AnalysisException(answer)

    left = iter(versions)
    lake: Any = SimpleNamespace(version=lambda _: next(left, None))
    spark: Any = SimpleNamespace(sql=sql)
    tables.create(spark, lake, TABLE)
    return len(asked)


def test_who_comes_a_moment_too_late_goes_on_with_the_table_of_the_other() -> None:
    assert make(TOO_LATE, [0]) == 1
    assert make(TOO_LATE, [None, None, 0]) == 3


def test_what_never_becomes_a_table_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_OTHER_MAKER_S", 0.3)
    with pytest.raises(PermanentFailure, match="d.t: /lake/t is not empty and no Delta table"):
        make(TOO_LATE, [])


def test_another_complaint_of_spark_is_passed_on() -> None:
    with pytest.raises(AnalysisException, match="no such type"):
        make("no such type", [0])
