"""The README against the code. Belongs here: what it lists or quotes; not how it is written."""

from __future__ import annotations

import re

from de_stack.local.registry import SERVICES
from de_stack.settings import Settings
from de_stack_tests.services import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_table_of_settings_names_all_that_there_are_and_what_is_read_elsewhere() -> None:
    table = README[README.index("| Setting (`DE_STACK_...`)") :].partition("\n\n")[0]
    rows = table.splitlines()[2:]
    named = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row.split("|")[1])}
    read_elsewhere = {"COLLECTOR_PORT", "JAR_CACHE"}
    assert named == {name.upper() for name in Settings.model_fields} - {"PROFILE"} | read_elsewhere
    for path in (REPOSITORY / "de_stack").rglob("*.py"):
        # Ours, between our own processes: `make demo` says how long it took, dbt is told places.
        text = re.sub(r"DE_STACK_(SETUP_SECONDS|DBT_\w*|SERVICE)\b", "", path.read_text())
        for variable in re.findall(r"\"DE_STACK_([A-Z_]*[A-Z])\"", text):
            assert variable in named | {"PROFILE"}, f"{path.name} reads DE_STACK_{variable}"


def test_the_message_of_a_slow_spark_is_quoted_as_it_is() -> None:
    spark = SERVICES["spark"]
    quoted = f"still no 127.0.0.1:{spark.ports['spark']} after {spark.start_seconds:.0f} s"
    assert quoted in README


def test_every_decision_is_listed_once_with_its_number_and_its_title() -> None:
    folder = REPOSITORY / "docs" / "decisions"
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (folder / "README.md").read_text(), re.M)
    found = []
    for path in sorted(folder.glob("0*.md")):
        number, title = re.findall(r"^# (\d+)\. (.+)$", path.read_text(), re.M)[0]
        assert path.name.startswith(f"{int(number):04}-")
        found.append((number, title, path.name))
    assert listed == found
