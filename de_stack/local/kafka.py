"""Kafka: one broker in KRaft mode, plain text, on loopback.

Belongs here: the broker's process and configuration. Does not belong here: topics (they come from
the contracts), clients (`resources/kafka.py`).
"""

from __future__ import annotations

import base64
import subprocess
import uuid
from functools import lru_cache
from typing import Any

from de_stack.failures import PermanentFailure
from de_stack.local import jars, java
from de_stack.local.service import LOOPBACK, Service, Site, listens
from de_stack.local.templates import render

_DEADLINES: dict[str, Any] = {"request_timeout_ms": 3000, "bootstrap_timeout_ms": 3000}
_JVM = ["-Xms64m", "-Xmx256m", "-Xss512k", "-XX:TieredStopAtLevel=1"]
_JVM += ["-XX:+UseSerialGC", "-XX:-UsePerfData"]


@lru_cache(maxsize=1)
def _class_path() -> str:
    return ":".join(map(str, jars.class_path("kafka")))


def _properties(site: Site) -> str:
    return str(site.config("kafka") / "server.properties")


def _java(site: Site, main: str) -> list[str]:
    logging = site.config("kafka") / "log4j2.properties"
    tmp = site.data("kafka") / "tmp"
    options = [*_JVM, f"-Djava.io.tmpdir={tmp}", f"-Dlog4j2.configurationFile={logging}"]
    return [str(java.find().executable), *options, "-cp", _class_path(), main]


def _command(site: Site) -> list[str]:
    return [*_java(site, "kafka.Kafka"), _properties(site)]


def _prepare(site: Site) -> None:
    data, config = site.data("kafka"), site.config("kafka")
    site.fresh_tmp("kafka")
    config.mkdir(parents=True, exist_ok=True)
    ports = {"port": site.ports["kafka"], "controller_port": site.ports["kafka_controller"]}
    (config / "server.properties").write_text(render("kafka.properties", data=data, **ports))
    (config / "log4j2.properties").write_text(render("kafka-log4j2.properties"))
    if (data / "log" / "meta.properties").exists():
        return
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    # An id that starts with a dash would be read as an option.
    cluster = "A" + cluster[1:] if cluster.startswith("-") else cluster
    arguments = ["format", "--ignore-formatted", "-t", cluster, "-c", _properties(site)]
    done = subprocess.run(  # noqa: S603
        [*_java(site, "kafka.tools.StorageTool"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise PermanentFailure(
            "format Kafka's storage",
            (done.stdout + done.stderr).strip()[-800:],
            page="service-ended",
        )


def _probe(site: Site) -> str:
    port = site.ports["kafka"]
    if not listens(port):
        return f"{LOOPBACK}:{port}"
    from kafka.errors import KafkaError

    from de_stack.resources.kafka_admin import Admin

    # The port opens before the broker has registered with its controller.
    try:
        admin = Admin(bootstrap_servers=f"{LOOPBACK}:{port}", **_DEADLINES)
    except KafkaError as error:
        return f"the broker ({type(error).__name__})"
    try:
        brokers = admin.describe_cluster()["brokers"]
    except KafkaError as error:
        return f"the broker ({type(error).__name__})"
    else:
        return "" if brokers else "the broker to register"
    finally:
        admin.close()


def _after_ready(site: Site) -> list[str]:  # noqa: ARG001
    from de_stack.resources.kafka import ensure_topics
    from de_stack.settings import Settings

    return ensure_topics(Settings())


SERVICE = Service(
    name="kafka",
    command=_command,
    probe=_probe,
    ports={"kafka": 19092, "kafka_controller": 19093},
    addresses=lambda site: {"kafka_bootstrap": f"{LOOPBACK}:{site.ports['kafka']}"},
    prepare=_prepare,
    remark=lambda: java.find().note,
    after_ready=_after_ready,
    settle_seconds=3,
    stop_seconds=20,
)
