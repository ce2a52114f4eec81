"""Spark Connect: one warm server, so that no run of Dagster has to start a JVM.

Belongs here: the server's process and configuration. Does not belong here: sessions (they are
dagster-pyspark's), or what is computed.
"""

from __future__ import annotations

import sys
from functools import lru_cache

from de_stack.local import jars, java
from de_stack.local.service import LOOPBACK, Service, Site, port_probe
from de_stack.local.spark_home import spark_home
from de_stack.local.templates import render

_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
_DRIVER_MEMORY = "1g"
_JVM = "-XX:+UseSerialGC -XX:-UsePerfData"


@lru_cache(maxsize=1)
def _class_path() -> str:
    return ":".join(map(str, jars.class_path("spark")))


def _command(site: Site) -> list[str]:
    properties = str(site.config("spark") / "spark.properties")
    submit = str(spark_home() / "bin" / "spark-submit")
    return [submit, "--class", _CLASS, "--properties-file", properties, "spark-internal"]


def _environment(site: Site) -> dict[str, str]:
    return {
        "JAVA_HOME": str(java.find().home),
        "SPARK_HOME": str(spark_home()),
        "SPARK_CONF_DIR": str(site.config("spark") / "empty"),
        "SPARK_LOCAL_DIRS": str(site.data("spark") / "tmp"),
        "SPARK_LOCAL_IP": LOOPBACK,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def _prepare(site: Site) -> None:
    data, config = site.data("spark"), site.config("spark")
    tmp = site.fresh_tmp("spark")
    (config / "empty").mkdir(parents=True, exist_ok=True)
    logging = config / "log4j2.properties"
    logging.write_text(render("spark-log4j2.properties"))
    (config / "spark.properties").write_text(
        render(
            "spark.properties",
            data=data,
            port=site.ports["spark"],
            class_path=_class_path(),
            driver_memory=_DRIVER_MEMORY,
            java_options=f'{_JVM} "-Djava.io.tmpdir={tmp}" "-Dlog4j2.configurationFile={logging}"',
        )
    )


SERVICE = Service(
    name="spark",
    command=_command,
    probe=port_probe("spark"),
    ports={"spark": 15002},
    environment=_environment,
    addresses=lambda site: {"spark_remote": f"sc://{LOOPBACK}:{site.ports['spark']}"},
    prepare=_prepare,
    remark=lambda: java.find().note,
    settle_seconds=3,
    stop_seconds=20,
)
