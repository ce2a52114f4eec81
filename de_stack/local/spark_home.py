"""The Spark that comes in the PySpark wheel, found without importing it.

Belongs here: paths and versions of that installation. Does not belong here: running it
(`spark.py`).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from de_stack.failures import PermanentFailure


def spark_home() -> Path:
    """Folder of the wheel, which is a `SPARK_HOME`.

    Raises:
        PermanentFailure: PySpark is not installed in this environment.
    """
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise PermanentFailure("find PySpark", "not installed", "run `make setup`")
    return Path(spec.origin).parent


def jar_version(artifact: str, home: Path | None = None) -> str | None:
    """Version of one of Spark's own jars, by its file name; None when there is no such jar."""
    for path in ((home or spark_home()) / "jars").glob(f"{artifact}-*.jar"):
        version = path.stem.removeprefix(f"{artifact}-")
        if version[:1].isdigit():
            return version
    return None


def ivy_jar() -> Path:
    """The Ivy that comes with Spark."""
    return spark_home() / "jars" / f"ivy-{jar_version('ivy')}.jar"
