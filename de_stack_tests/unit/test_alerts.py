"""One alert per failed run. Belongs here: a Dagster of its own, a webhook on loopback; no stack."""

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from typer.testing import CliRunner

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.orchestration.alerts import alert_of, send_sensor, write_sensor
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.resources.alerts import Alerts
from de_stack.settings import Settings

CANARY = "canary-7c1d"
REPOSITORY = "__repository__"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DE_STACK_HOME", str(tmp_path))
    return Settings(home=tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


class Webhook:
    """Takes what is posted, with the status that it is told to answer."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.status, self.delay_s = 200, 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(outer.delay_s)
                if outer.status == 200:
                    outer.taken.append(json.loads(body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/{CANARY}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


def failed(instance: dg.DagsterInstance, error: Exception, **tags: str) -> dg.DagsterRun:
    @dg.op
    def work() -> None:
        raise error

    @dg.job
    def job() -> None:
        work()

    run_id = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False).run_id
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def refused() -> Exception:
    """What psycopg says of an address with a typing error: all of it."""
    with pytest.raises(psycopg.Error, match=CANARY) as caught:
        psycopg.connect(f"postgresqll://u:{CANARY}@127.0.0.1/d", connect_timeout=1)
    return caught.value


def test_an_alert_says_what_failed_why_and_where_to_look(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    settings = Settings(profile="external", home=tmp_path, webserver_url="http://127.0.0.1:3000/")
    tags = {STREAM_TAG: "lab.things", STEP_TAG: "land", "dagster/partition": "2026-05-01-10:00"}
    run = failed(instance, PermanentFailure("plan x", "3..7 are gone", "accept them"), **tags)
    alert = alert_of(instance, run, settings)
    assert alert["run_id"] == run.run_id
    assert (alert["job"], alert["stream"], alert["step"]) == ("job", "lab.things", "land")
    assert alert["partitions"] == ["2026-05-01-10:00", "2026-05-01-10:00"]
    assert alert["link"] == f"http://127.0.0.1:3000/runs/{run.run_id}"
    parts = {k: alert["failure"][k] for k in ("tried", "got", "fix", "can_retry_help", "kind")}
    assert parts == {
        "tried": "plan x",
        "got": "3..7 are gone",
        "fix": "accept them",
        "can_retry_help": False,
        "kind": "PermanentFailure",
    }


def test_no_password_gets_into_an_alert(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    settings = Settings(profile="external", home=tmp_path, kafka_sasl_password="hunter-9a2")
    for error in (
        refused(),
        TransientFailure("connect", f"{refused()}"),
        ValueError("SCRAM of u/hunter-9a2 failed"),
    ):
        text = json.dumps(alert_of(instance, failed(instance, error), settings))
        assert CANARY not in text
        assert "hunter-9a2" not in text
        assert "***" in text


def tick(
    sensor: dg.SensorDefinition,
    instance: dg.DagsterInstance,
    settings: Settings,
    cursor: str | None,
    location: str | None = None,
) -> tuple[str, str | None]:
    """(what the tick said, its cursor); `location`: that of the sensor."""
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        resources={"settings": settings},
        sensor_name="x",
        repository_name=REPOSITORY if location else None,
        definitions=dg.Definitions(sensors=[sensor], resources={"settings": settings}),
    )
    if location:
        context._code_location_origin = RegisteredCodeLocationOrigin(location)  # noqa: SLF001
    said = sensor.evaluate_tick(context)
    return said.skip_message or "", said.cursor


def test_each_failed_run_is_written_once(instance: dg.DagsterInstance, settings: Settings) -> None:
    sensor = write_sensor()
    _, cursor = tick(sensor, instance, settings, None)
    runs = [failed(instance, ValueError(f"no {i}")) for i in range(2)]
    for _ in range(4):
        _, cursor = tick(sensor, instance, settings, cursor)
    written = [alert for alert, _ in Alerts(settings).after(0)]
    assert [a["run_id"] for a in written] == [r.run_id for r in runs]
    assert written[0]["failure"]["message"].endswith("no 0")
    # The same run again, from a daemon that was killed before it had kept its cursor.
    assert not Alerts(settings).append(written[0])
    assert oct(Alerts(settings).path.stat().st_mode)[-3:] == "600"


def test_a_failure_that_could_not_be_written_is_written_when_there_is_room(
    instance: dg.DagsterInstance, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = write_sensor()
    _, cursor = tick(sensor, instance, settings, None)
    run = failed(instance, ValueError("no"))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Alerts, "append", full)
        with pytest.raises(Exception, match="No space left"):
            tick(sensor, instance, settings, cursor)
    assert tick(sensor, instance, settings, cursor)[0] == "1 written"
    assert [alert["run_id"] for alert, _ in Alerts(settings).after(0)] == [run.run_id]


def failed_at(instance: dg.DagsterInstance, location: str) -> str:
    """A run that a code location was asked for, and that failed."""

    @dg.job
    def job() -> None: ...

    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(location), REPOSITORY)
    run = instance.create_run_for_job(job, remote_job_origin=RemoteJobOrigin(place, "job"))
    instance.report_run_failed(run, "no")
    return run.run_id


def test_a_shared_dagster_has_failures_that_are_none_of_ours(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    shared = settings.model_copy(update={"profile": "external"})
    sensor = write_sensor()
    _, cursor = tick(sensor, instance, shared, None, "ours")
    own = failed_at(instance, "ours")
    failed_at(instance, "theirs")
    # Somebody's own command, at their own terminal.
    failed(instance, ValueError("no"))
    tick(sensor, instance, shared, cursor, "ours")
    assert [alert["run_id"] for alert, _ in Alerts(shared).after(0)] == [own]


def test_in_our_own_dagster_what_a_person_has_typed_is_written_too(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    sensor = write_sensor()
    _, cursor = tick(sensor, instance, settings, None, "ours")
    runs = [failed_at(instance, "ours"), failed(instance, ValueError("no")).run_id]
    tick(sensor, instance, settings, cursor, "ours")
    assert [alert["run_id"] for alert, _ in Alerts(settings).after(0)] == runs


def test_a_webhook_that_is_away_gets_every_alert_later_and_in_order(
    instance: dg.DagsterInstance, settings: Settings, webhook: Webhook
) -> None:
    settings = settings.model_copy(update={"alert_webhook": _secret(webhook.url)})
    sensor, alerts = send_sensor(), Alerts(settings)
    for i in range(3):
        alerts.append({"run_id": str(i)})
    webhook.status = 503
    said, cursor = tick(sensor, instance, settings, None)
    assert "answered 503" in said
    assert "a retry can help" in said
    assert webhook.taken == []
    webhook.status = 200
    said, cursor = tick(sensor, instance, settings, cursor)
    assert said == "3 sent"
    assert [a["run_id"] for a in webhook.taken] == ["0", "1", "2"]
    assert tick(sensor, instance, settings, cursor)[0] == "nothing new"
    webhook.close()
    alerts.append({"run_id": "3"})
    said, cursor = tick(sensor, instance, settings, cursor)
    assert "waits for the next tick" in said
    assert CANARY not in said


def test_an_alert_that_the_webhook_refuses_keeps_no_other_back(
    instance: dg.DagsterInstance, settings: Settings, webhook: Webhook
) -> None:
    settings = settings.model_copy(update={"alert_webhook": _secret(webhook.url)})
    sensor, alerts = send_sensor(), Alerts(settings)
    alerts.append({"run_id": "0"})
    webhook.status = 400
    said, cursor = tick(sensor, instance, settings, None)
    assert said == "0 sent, 1 refused"
    webhook.status = 200
    alerts.append({"run_id": "1"})
    assert tick(sensor, instance, settings, cursor)[0] == "1 sent"
    assert [a["run_id"] for a in webhook.taken] == ["1"]
    assert len(list(alerts.after(0))) == 2


def test_a_webhook_that_has_moved_has_taken_nothing(settings: Settings, webhook: Webhook) -> None:
    settings = settings.model_copy(update={"alert_webhook": _secret(webhook.url)})
    webhook.status = 302
    with pytest.raises(TransientFailure, match="answered 302.*correct DE_STACK_ALERT_WEBHOOK"):
        Alerts(settings).send({"run_id": "0"})


def test_an_alert_that_finds_no_room_is_an_error_and_leaves_no_half_of_it(
    settings: Settings,
) -> None:
    alerts = Alerts(settings)
    alerts.append({"run_id": "0"})
    size, limits = alerts.size(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, limits[1]))
    try:
        with pytest.raises(OSError, match="5 of"):
            alerts.append({"run_id": "1"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert alerts.size() == size
    assert alerts.append({"run_id": "1"})
    assert [alert["run_id"] for alert, _ in alerts.after(0)] == ["0", "1"]


def test_a_webhook_that_does_not_answer_costs_five_seconds(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        settings = settings.model_copy(update={"alert_webhook": _secret(url)})
        began = time.monotonic()
        with pytest.raises(TransientFailure, match="no answer within 5 s"):
            Alerts(settings).send({"run_id": "0"})
    assert 4 < time.monotonic() - began < 9


def test_a_webhook_that_is_set_later_is_not_told_of_the_past(
    instance: dg.DagsterInstance, settings: Settings, webhook: Webhook
) -> None:
    alerts, sensor = Alerts(settings), send_sensor()
    alerts.append({"run_id": "old"})
    said, cursor = tick(sensor, instance, settings, None)
    assert "no webhook" in said
    settings = settings.model_copy(update={"alert_webhook": _secret(webhook.url)})
    alerts.append({"run_id": "new"})
    tick(sensor, instance, settings, cursor)
    assert [a["run_id"] for a in webhook.taken] == ["new"]


def test_a_line_that_was_cut_off_is_shown_and_does_not_swallow_the_next(
    settings: Settings,
) -> None:
    alerts = Alerts(settings)
    alerts.append({"run_id": "0"})
    with alerts.path.open("a") as file:
        file.write('{"run_id": "1", "a')
    alerts.append({"run_id": "2"})
    found = [alert for alert, _ in alerts.after(0)]
    assert found == [{"run_id": "0"}, {"unreadable": '{"run_id": "1", "a\n'}, {"run_id": "2"}]


def test_the_command_prints_them_for_people_and_for_programs(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    import typer

    from de_stack.cli import alerts as command

    app = typer.Typer()
    command.register(app)
    assert "no run has failed" in CliRunner().invoke(app, []).output
    run = failed(instance, PermanentFailure("plan x", "3..7 are gone", "accept them"))
    Alerts(settings).append(alert_of(instance, run, settings))
    shown = CliRunner().invoke(app, ["-n", "1"]).output
    for text in (run.run_id, "tried: plan x", "got:   3..7 are gone", "fix:   accept them"):
        assert text in shown
    printed = CliRunner().invoke(app, ["--json"]).output
    assert json.loads(printed)["run_id"] == run.run_id


def _secret(text: str) -> Any:
    from pydantic import SecretStr

    return SecretStr(text)
