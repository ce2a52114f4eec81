"""Do the parts fit each other? Spark, Scala, Delta, Kafka, Python and its packages.

Belongs here: comparing versions that are installed or locked. Does not belong here: the state of
the machine (`doctor.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import metadata

from de_stack.local import jars
from de_stack.local.finding import Finding
from de_stack.local.spark_home import jar_version

_SETUP = "run `make setup`"
PYTHONS = ((3, 11), (3, 12))


def python(version: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Is this a Python that the pins were made for?"""
    seen = ".".join(map(str, version))
    return Finding(
        "Python", version in PYTHONS, seen, "make the environment with Python 3.11 or 3.12"
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def spark_parts(spark: str, scala: str, locked: Iterable[jars.Jar]) -> list[Finding]:
    """Hold the jars that we add to Spark against the Spark and the Scala in the wheel.

    Args:
        spark: version of Spark's own core jar.
        scala: version of Spark's Scala library.
        locked: jars of the lock file.
    """
    found = []
    for jar in locked:
        name, _, built_for_scala = jar.artifact.partition("_2.")
        if built_for_scala and f"2.{built_for_scala}" != _minor(scala):
            seen = f"{jar.coordinate} is built for Scala 2.{built_for_scala}, Spark has {scala}"
            found.append(Finding("Scala", False, seen, "correct de_stack/local/jars.lock"))
        built_for = name.partition("delta-spark_")[2]
        if built_for and built_for != _minor(spark):
            seen = f"{jar.coordinate} is built for Spark {built_for}, PySpark brings {spark}"
            found.append(Finding("Delta", False, seen, "correct the pin of pyspark or the lock"))
        if jar.artifact.startswith("spark-sql-kafka") and jar.version != spark:
            seen = f"{jar.coordinate}, PySpark brings {spark}"
            found.append(
                Finding("Spark's Kafka source", False, seen, "correct the pin or the lock")
            )
    if not found:
        names = ", ".join(
            f"{j.artifact} {j.version}"
            for j in locked
            if j.artifact.startswith(("delta-spark", "spark-sql"))
        )
        found.append(Finding("Spark, Scala, Delta", True, f"Spark {spark}, Scala {scala}, {names}"))
    return found


def spark() -> list[Finding]:
    """The installed Spark against the lock."""
    core, scala = jar_version("spark-core_2.13"), jar_version("scala-library")
    if core is None or scala is None or jar_version("spark-connect_2.13") is None:
        return [
            Finding("Spark", False, "its core, Connect or Scala jar is not in the wheel", _SETUP)
        ]
    wheel = metadata.version("pyspark")
    if wheel != core:
        return [Finding("Spark", False, f"wheel {wheel} holds Spark {core}", _SETUP)]
    return spark_parts(core, scala, jars.locked("spark"))


def kafka(locked: Iterable[jars.Jar]) -> Finding:
    """Are all parts of the broker of one version?"""
    versions = {jar.version for jar in locked if jar.group == "org.apache.kafka"}
    return Finding(
        "Kafka", len(versions) == 1, f"broker {', '.join(sorted(versions))}", "correct jars.lock"
    )


def packages(requirements: Iterable[str], installed: Mapping[str, str]) -> Finding:
    """Hold the installed packages against what ours asks for.

    Args:
        requirements: lines like `duckdb==1.5.5; extra == "x"`.
        installed: canonical name -> version.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    wrong = []
    for line in requirements:
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        have = installed.get(canonicalize_name(wanted.name))
        if have is None or not wanted.specifier.contains(have, prereleases=True):
            wrong.append(f"{wanted.name} {have or 'missing'}, wanted {wanted.specifier}")
    seen = "; ".join(wrong) or "all as pinned"
    return Finding("Python packages", not wrong, seen, _SETUP)


def installed_packages() -> Finding:
    """The packages of this environment."""
    try:
        wanted = metadata.requires("de-stack") or []
    except metadata.PackageNotFoundError:
        return Finding("Python packages", False, "de-stack itself is not installed", _SETUP)
    from packaging.utils import canonicalize_name

    have = {str(canonicalize_name(d.name)): d.version for d in metadata.distributions()}
    return packages(wanted, have)
