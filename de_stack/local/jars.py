"""The jars that Kafka and Spark run on: fetched once per user, checked against our own sha256.

Belongs here: the lock file, the cache, the fetch. Does not belong here: which service uses which
option, and any address of a registry: Ivy, which comes with PySpark, knows its own root.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from de_stack.failures import PermanentFailure, TransientFailure

_SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <caches defaultCacheDir="{cache}"/>
  <resolvers><ibiblio name="central" m2compatible="true" usepoms="false"/></resolvers>
</ivysettings>
"""
_DEPENDENCY = (
    '<dependency org="{jar.group}" name="{jar.artifact}" rev="{jar.version}" transitive="false">'
    '<artifact name="{jar.artifact}" type="jar" ext="jar"/></dependency>'
)
# Ivy prints a line for each jar and a dot for each part of one: silent for so long, it hangs.
_SILENT_SECONDS = 300.0
_FETCHED = re.compile(r"\[SUCCESSFUL \] \S+!(\S+)")


@dataclass(frozen=True)
class Jar:
    """One line of the lock file."""

    folder: str
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        """`group:artifact:version`."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """`artifact-version.jar`."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> Path:
        """Where the verified jar is kept."""
        return cache() / self.folder / self.file_name


def cache() -> Path:
    """`DE_STACK_JAR_CACHE`, else `de_stack/jars` in the user's cache folder."""
    if given := os.environ.get("DE_STACK_JAR_CACHE"):
        return Path(given).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "de_stack" / "jars"


def parse_lock(text: str) -> list[Jar]:
    """Jars of a lock file: `folder group:artifact:version sha256` a line; `#`: a comment."""
    rows = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    jars = []
    for folder, coordinate, sha256 in rows:
        group, artifact, version = coordinate.split(":")
        jars.append(Jar(folder, group, artifact, version, sha256))
    return jars


def locked(folder: str | None = None) -> list[Jar]:
    """Jars of the lock file that comes with this package, of one folder or of all."""
    text = (resources.files("de_stack.local") / "jars.lock").read_text(encoding="utf-8")
    return [jar for jar in parse_lock(text) if folder in (None, jar.folder)]


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(jars: Iterable[Jar]) -> tuple[list[Jar], list[Jar]]:
    """(missing, wrong): jars not in the cache, jars whose content is not the locked one."""
    missing, wrong = [], []
    for jar in jars:
        if not jar.path.exists():
            missing.append(jar)
        elif sha256_of(jar.path) != jar.sha256:
            wrong.append(jar)
    return missing, wrong


def class_path(folder: str) -> list[Path]:
    """Paths of a folder's jars, in the order of the lock file, verified.

    Raises:
        PermanentFailure: a jar is missing or is not the locked one.
    """
    jars = locked(folder)
    missing, wrong = verify(jars)
    if wrong or missing:
        names = ", ".join(jar.coordinate for jar in (wrong or missing)[:3])
        raise PermanentFailure(
            f"use the jars in {cache()}",
            f"{names}: {'content differs from the lock' if wrong else 'not there'}",
            "run `de-stack jars`",
            page="jars",
        )
    return [jar.path for jar in jars]


def fetch(java: Path, progress: Callable[[Jar], None]) -> int:
    """Fetch what the cache lacks, verify it, and only then put it in its place.

    Args:
        java: the `java` command.
        progress: called with each jar that has arrived.

    Returns:
        How many jars were fetched.

    Raises:
        PermanentFailure: a fetched jar is not the locked one.
        TransientFailure: the registry did not give all of them. What came is kept.
    """
    root = cache()
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing, wrong = verify(locked())
        todo = wrong + missing
        if not todo:
            return 0
        # Two folders may hold two versions of one artifact; Ivy would evict one of them.
        for folder in dict.fromkeys(jar.folder for jar in todo):
            _fetch_folder(java, root, [jar for jar in todo if jar.folder == folder], progress)
        shutil.rmtree(root / ".ivy", ignore_errors=True)
        return len(todo)


def _fetch_folder(java: Path, root: Path, jars: list[Jar], progress: Callable[[Jar], None]) -> None:
    by_artifact = {f"{jar.artifact}.jar": jar for jar in jars}
    with tempfile.TemporaryDirectory(dir=root, prefix=".staging-") as folder:
        staging = Path(folder)
        (staging / "settings.xml").write_text(_SETTINGS.format(cache=root / ".ivy"))
        module = f'<info organisation="de_stack" module="{jars[0].folder}"/>'
        wanted = "".join(_DEPENDENCY.format(jar=jar) for jar in jars)
        (staging / "ivy.xml").write_text(
            f'<ivy-module version="2.0">{module}<dependencies>{wanted}</dependencies></ivy-module>'
        )
        output = _run_ivy(java, staging, by_artifact, progress)
        for jar in jars:
            arrived = staging / jar.file_name
            if not arrived.exists():
                raise _not_given(jar, output)
            if (got := sha256_of(arrived)) != jar.sha256:
                shutil.rmtree(root / ".ivy", ignore_errors=True)
                raise PermanentFailure(
                    f"verify {jar.coordinate}",
                    f"sha256 is {got}, the lock says {jar.sha256}",
                    "run `de-stack jars` again; if it stays so, ask who runs your registry or "
                    "mirror what it serves under this name",
                    page="jars",
                )
            jar.path.parent.mkdir(parents=True, exist_ok=True)
            arrived.replace(jar.path)


def _not_given(jar: Jar, output: list[str]) -> TransientFailure:
    first = "check the network (and `JAVA_TOOL_OPTIONS` behind a proxy)"
    if any("PKIX" in line for line in output):
        # Java has a list of authorities of its own; that of a company's proxy is often not in it.
        first = (
            "tell Java whom to trust, e.g. "
            "`export JAVA_TOOL_OPTIONS=-Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts`"
        )
    return TransientFailure(
        f"fetch {jar.coordinate}",
        "\n".join(["the registry did not give it:", *output[-8:]]),
        f"{first}, then run `de-stack jars`: it goes on where it stopped",
        page="jars",
    )


def _run_ivy(
    java: Path, staging: Path, by_artifact: dict[str, Jar], progress: Callable[[Jar], None]
) -> list[str]:
    from de_stack.local.spark_home import ivy_jar

    command = [java, "-jar", ivy_jar(), "-settings", "settings.xml", "-ivy", "ivy.xml"]
    retrieve = ["-retrieve", "[artifact]-[revision].[ext]"]
    lines: list[str] = []
    rest = b""
    with subprocess.Popen(  # noqa: S603
        [*command, *retrieve], cwd=staging, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as ivy:
        assert ivy.stdout is not None  # noqa: S101
        while True:
            # A reader of lines would wait for ever, and other commands for the lock on the cache.
            if not select.select([ivy.stdout], [], [], _SILENT_SECONDS)[0]:
                ivy.kill()
                lines.append(rest.decode(errors="replace"))
                lines.append(f"stopped: nothing came for {_SILENT_SECONDS:g} s")
                break
            chunk = os.read(ivy.stdout.fileno(), 65536)
            # At the end, what has no line feed is a line as well.
            *whole, rest = (rest + (chunk or (b"\n" if rest else b""))).split(b"\n")
            for line in (part.decode(errors="replace").rstrip() for part in whole):
                lines.append(line)
                found = _FETCHED.search(line)
                if found and (jar := by_artifact.get(found.group(1))):
                    progress(jar)
            if not chunk:
                break
    return lines
