"""Log lines in programs and in runs. Belongs here: their form, that Dagster shows them."""

import logging

import dagster as dg
import yaml

from de_stack.local.templates import render
from de_stack.logs import line
from de_stack.sources.logs import KeyValue


def test_a_line_says_what_happened_and_then_its_fields() -> None:
    assert line("landed", slice=3, table="a.b", note="two words", none=None) == (
        'landed slice=3 table=a.b note="two words"'
    )
    assert line("landed") == "landed"


def test_programs_write_extra_fields_in_the_same_form() -> None:
    record = logging.makeLogRecord({"name": "x", "msg": "sent", "levelname": "INFO", "rate": 50.0})
    assert KeyValue().format(record).endswith("INFO x sent rate=50.0")
    record = logging.makeLogRecord({"name": "x", "msg": "sent", "levelname": "INFO"})
    assert KeyValue().format(record).endswith("INFO x sent")


def test_what_our_code_logs_in_a_run_is_in_the_runs_event_log(tmp_path) -> None:  # noqa: ANN001
    text = render("dagster.yaml", postgres_url="postgresql://x", home=tmp_path)
    overrides = {"python_logs": yaml.safe_load(text)["python_logs"]}

    @dg.op
    def work() -> None:
        logging.getLogger("de_stack.flow.land").info(line("landed a slice", slice=3))
        logging.getLogger("de_stack.flow.land").debug("too much")

    @dg.job
    def job() -> None:
        work()

    with dg.instance_for_test(overrides=overrides) as instance:
        run = job.execute_in_process(instance=instance)
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert "landed a slice slice=3" in said
    assert "too much" not in said
