"""The host of continuous queries, as a supervised process.

Belongs here: its process. Does not belong here: queries (`defs/<domain>/stream.py`), what the host
does (`streaming`).
"""

from __future__ import annotations

import sys

from de_stack.local import java
from de_stack.local.service import Service, Site, port_probe
from de_stack.local.templates import render


def _command(site: Site) -> list[str]:
    program = [sys.executable, "-m", "de_stack.streaming", "run"]
    tmp, log4j = site.data("streams") / "tmp", site.config("streams") / "log4j2.properties"
    port = str(site.ports["streams"])
    return [*program, "--metrics-port", port, "--tmp", str(tmp), "--log4j", str(log4j)]


def _prepare(site: Site) -> None:
    site.fresh_tmp("streams")
    config = site.config("streams")
    config.mkdir(parents=True, exist_ok=True)
    (config / "log4j2.properties").write_text(render("spark-log4j2.properties"))


SERVICE = Service(
    name="streams",
    command=_command,
    probe=port_probe("streams"),
    ports={"streams": 18082},
    depends_on=("kafka", "postgres"),
    environment=lambda site: {"PYTHONUNBUFFERED": "1"},  # noqa: ARG005
    prepare=_prepare,
    follows=frozenset({"kafka_bootstrap", "namespace", "query_interval_seconds"}),
    reads_code=True,
    remark=lambda: java.find().note,
    settle_seconds=3,
    stop_seconds=30,
)
