"""The lock of jars and what is held against it."""

from __future__ import annotations

import hashlib
import os
import re
import time
from importlib import resources
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local import jars

CONTENT = {"a": b"content of a", "b": b"content of b"}


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[jars.Jar]:
    """A lock of two jars and an empty cache."""
    monkeypatch.setenv("DE_STACK_JAR_CACHE", str(tmp_path / "cache"))
    lines = [f"kafka g:{n}:1 {hashlib.sha256(c).hexdigest()}" for n, c in CONTENT.items()]
    parsed = jars.parse_lock("# comment\n\n" + "\n".join(lines))
    monkeypatch.setattr(jars, "locked", lambda folder=None: parsed)
    return parsed


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A `java` that puts down, in Ivy's stead, what this dictionary holds."""
    served = dict(CONTENT)

    def run(_java: Path, staging: Path, by_artifact: dict, progress: object) -> list[str]:
        for name, jar in by_artifact.items():
            if (artifact := name.removesuffix(".jar")) in served:
                (staging / jar.file_name).write_bytes(served[artifact])
                progress(jar)
        return ["an answer"]

    monkeypatch.setattr(jars, "_run_ivy", run)
    return served


def fetch() -> list[str]:
    arrived: list[str] = []
    jars.fetch(Path("java"), lambda jar: arrived.append(jar.artifact))
    return arrived


def test_what_was_fetched_is_verified_and_not_fetched_again(lock: list, registry: dict) -> None:
    assert fetch() == ["a", "b"]
    assert jars.verify(lock) == ([], [])
    assert fetch() == []


def test_a_jar_that_was_tampered_with_is_found_and_fetched_anew(lock: list, registry: dict) -> None:
    fetch()
    lock[1].path.write_bytes(b"content of B")
    assert jars.verify(lock) == ([], [lock[1]])
    with pytest.raises(
        PermanentFailure, match="g:b:1: content differs from the lock.*de-stack jars"
    ):
        jars.class_path("kafka")
    assert fetch() == ["b"]
    assert jars.class_path("kafka") == [jar.path for jar in lock]


def test_a_jar_that_is_not_the_locked_one_is_never_put_in_place(lock: list, registry: dict) -> None:
    registry["b"] = b"something else"
    with pytest.raises(PermanentFailure, match="verify g:b:1: sha256 is .* the lock says"):
        fetch()
    assert not lock[1].path.exists()


def test_an_interrupted_fetch_goes_on_with_what_is_missing(lock: list, registry: dict) -> None:
    del registry["b"]
    with pytest.raises(TransientFailure, match="(?s)fetch g:b:1.*goes on where it stopped"):
        fetch()
    assert lock[0].path.exists()
    registry["b"] = CONTENT["b"]
    assert fetch() == ["b"]


def test_a_proxy_that_java_does_not_trust_is_told_with_what_to_set(
    lock: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "SSLHandshakeException: PKIX path building failed: unable to find valid certification"
    monkeypatch.setattr(jars, "_run_ivy", lambda *_: [said])
    with pytest.raises(TransientFailure, match="(?s)PKIX.*JAVA_TOOL_OPTIONS=-D.*trustStore="):
        fetch()


def a_java(folder: Path, script: str) -> Path:
    """A `java` that does what a shell script says."""
    path = folder / "java"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_registry_that_says_nothing_any_more_is_given_up_and_others_can_fetch(
    lock: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "_SILENT_SECONDS", 0.3)
    silent = a_java(tmp_path, 'echo "downloading a"; exec sleep 20')
    began = time.monotonic()
    for _ in range(2):
        with pytest.raises(TransientFailure, match="(?s)fetch g:a:1.*downloading a.*for 0.3 s"):
            jars.fetch(silent, lambda _jar: None)
    assert time.monotonic() - began < 10


def test_each_part_of_a_jar_is_a_sign_of_life_and_its_line_is_read_in_pieces(
    lock: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jars, "_SILENT_SECONDS", 2)
    dots = "for n in 1 2 3 4 5 6; do printf .; sleep 0.5; done"
    said = 'printf "[SUCC"; sleep 0.2; echo "ESSFUL ] g#a;1!a.jar (1ms)"; printf "the end"'
    arrived: list[str] = []
    with pytest.raises(TransientFailure, match="the end"):
        jars.fetch(a_java(tmp_path, f"{dots}; {said}"), lambda jar: arrived.append(jar.artifact))
    assert arrived == ["a"]


def test_the_lock_has_a_hash_for_every_jar_and_no_address() -> None:
    text = (resources.files("de_stack.local") / "jars.lock").read_text()
    found = jars.parse_lock(text)
    assert len({jar.file_name for jar in found}) == len(found) > 40
    assert all(re.fullmatch("[0-9a-f]{64}", jar.sha256) for jar in found)
    assert "://" not in text


def test_the_cache_follows_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DE_STACK_JAR_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", f"{os.sep}somewhere")
    assert jars.cache() == Path("/somewhere/de_stack/jars")
