"""A Spark standalone cluster: a master, two workers, a Connect server whose driver is beside them.

Belongs here: the processes, where they say who worked. Does not belong here: what is computed.

The Connect server has the settings that the containers have (docker/spark/spark.properties), and
after them what is of this machine: ports, jars, memory.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from de_stack.local import jars, spark
from de_stack.local.service import LOOPBACK, Site, listens
from de_stack.local.spark_home import spark_home
from de_stack_tests.secured.processes import Crew
from de_stack_tests.services import REPOSITORY

PORTS = ("spark", "spark_master")
WORKERS = ("worker_1", "worker_2")
_PROPERTIES = REPOSITORY / "docker" / "spark" / "spark.properties"
_REGISTERED = b"Successfully registered with master"
_LEAN = "-XX:+UseSerialGC -XX:-UsePerfData -XX:TieredStopAtLevel=1"


def master(site: Site) -> str:
    """Address of the master."""
    return f"spark://{LOOPBACK}:{site.ports['spark_master']}"


def machine(site: Site, cores: int) -> dict[str, str]:
    """Configuration of an application that is about this machine.

    Args:
        site: where the cluster runs.
        cores: how many the application may have of the four: another one may want some, too.
    """
    class_path = ":".join(map(str, jars.class_path("spark")))
    return {
        "spark.driver.host": LOOPBACK,
        "spark.driver.bindAddress": LOOPBACK,
        "spark.driver.memory": "700m",
        "spark.driver.extraClassPath": class_path,
        "spark.driver.extraJavaOptions": _LEAN,
        "spark.executor.extraClassPath": class_path,
        "spark.executor.extraJavaOptions": _LEAN,
        "spark.sql.shuffle.partitions": "2",
        "spark.executor.memory": "600m",
        "spark.executor.cores": "1",
        "spark.cores.max": str(cores),
        "spark.sql.warehouse.dir": str(site.data("spark") / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": f"file://{_events(site)}",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }


def start(site: Site, crew: Crew) -> None:
    """Start all; the Connect server is not ready yet."""
    spark.SERVICE.prepare(site)
    _events(site).mkdir(parents=True)
    env = spark.SERVICE.environment(site)
    daemon = env | {"SPARK_DAEMON_MEMORY": "128m", "SPARK_DAEMON_JAVA_OPTS": _LEAN}
    spark_class, deploy = str(spark_home() / "bin" / "spark-class"), "org.apache.spark.deploy"
    port, anywhere = str(site.ports["spark_master"]), ["--host", LOOPBACK, "--webui-port", "0"]
    command = [spark_class, f"{deploy}.master.Master", *anywhere, "--port", port]
    crew.start("master", command, daemon, site.data("spark"))
    crew.wait("master", lambda: listens(site.ports["spark_master"]))
    for name in WORKERS:
        size = ["--cores", "2", "--memory", "2g", "--work-dir", str(_work(site, name))]
        command = [spark_class, f"{deploy}.worker.Worker", *anywhere, *size, master(site)]
        crew.start(name, command, daemon, site.data("spark"))
    # An application that comes before the second worker has all its executors on the first.
    for name in WORKERS:
        crew.wait(name, lambda name=name: _REGISTERED in crew.log(name).read_bytes())
    connect = {
        **machine(site, cores=2),
        "spark.connect.grpc.binding.address": LOOPBACK,
        "spark.connect.grpc.binding.port": str(site.ports["spark"]),
    }
    submit = [str(spark_home() / "bin" / "spark-submit"), "--master", master(site)]
    submit += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    submit += ["--properties-file", str(_PROPERTIES)]
    for name, value in connect.items():
        submit += ["--conf", f"{name}={value}"]
    crew.start("spark", [*submit, "spark-internal"], env, site.data("spark"))


def wait(site: Site, crew: Crew) -> None:
    """Return when the Connect server takes sessions."""
    crew.wait("spark", lambda: listens(site.ports["spark"]))


def tasks(site: Site) -> dict[str, Counter[str]]:
    """Per application how many tasks each worker has done; `driver` would be one that is none."""
    return {path.name: _who_worked(site, path) for path in sorted(_events(site).iterdir())}


def _who_worked(site: Site, log: Path) -> Counter[str]:
    application, done = log.name.removesuffix(".inprogress"), Counter[str]()
    where = {
        folder.name: name
        for name in WORKERS
        for folder in (_work(site, name) / application).glob("*")
    }
    # The last line may be half written: the application is still at it.
    for line in log.read_text(encoding="utf-8").split("\n")[:-1]:
        event = json.loads(line)
        if event["Event"] == "SparkListenerTaskEnd":
            executor = event["Task Info"]["Executor ID"]
            done[where.get(executor, executor)] += 1
    return done


def _events(site: Site) -> Path:
    return site.data("spark") / "events"


def _work(site: Site, worker: str) -> Path:
    return site.data("spark") / worker
