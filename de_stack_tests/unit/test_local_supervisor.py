"""What supervisord is told, and what a service is started with."""

from __future__ import annotations

import configparser
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import dagster_home, registry, state, supervisor, supervisor_calls
from de_stack.local.service import Service, Site

LAUNCH = Path(supervisor.__file__).with_name("launch.py")


def a_service(**changes: object) -> Service:
    return Service(
        **{"name": "echo", "command": lambda site: ["true"], "probe": lambda site: "", **changes}
    )


def test_a_program_survives_percent_signs_and_spaces_in_paths(tmp_path: Path) -> None:
    site = Site(tmp_path / "100 % mine", {})
    text = supervisor.program(site, a_service(stop_signal="INT", stop_seconds=7), "digest")
    parsed = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parsed.read_string(text)
    section = dict(parsed["program:echo"])
    command = shlex.split(section["command"].replace("%%", "%"))
    assert command[-2:] == [str(site.home / "supervisor" / "specs" / "echo.json"), "digest"]
    assert (section["stopsignal"], section["stopwaitsecs"]) == ("INT", "7")
    assert section["autostart"] == "false"


def test_the_digest_changes_with_what_a_process_would_notice() -> None:
    spec = {"argv": ["a"], "user": None, "cwd": "/", "env": {"TERM": "x"}}
    same = supervisor.digest_of({**spec, "env": {"TERM": "y"}}, {"ports": {"p": 1}})
    assert supervisor.digest_of(spec, {"ports": {"p": 1}}) == same
    assert supervisor.digest_of(spec, {"ports": {"p": 2}}) != same
    assert supervisor.digest_of({**spec, "argv": ["b"]}, {"ports": {"p": 1}}) != same


def test_a_home_with_a_long_path_gets_a_private_socket_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    home = tmp_path / ("long" * 30)
    path = supervisor_calls.socket_path(home)
    assert path.parent.parent == tmp_path
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert supervisor_calls.socket_path(home) == path
    path.parent.chmod(0o755)
    with pytest.raises(PermanentFailure, match="not ours alone"):
        supervisor_calls.socket_path(home)


def test_launch_sets_and_removes_variables_and_goes_to_the_folder(tmp_path: Path) -> None:
    spec = {
        "argv": [
            sys.executable,
            "-c",
            "import os, json; print(json.dumps([dict(os.environ), os.getcwd()]))",
        ],
        "env": {"MINE": "a b'c"},
        "unset": ["DE_STACK_KAFKA_BOOTSTRAP"],
        "user": None,
        "cwd": str(tmp_path),
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    done = subprocess.run(
        [sys.executable, "-I", "-S", LAUNCH, tmp_path / "spec.json", "digest"],
        env={**os.environ, "DE_STACK_KAFKA_BOOTSTRAP": "old:9092", "SUPERVISOR_ENABLED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    env, folder = json.loads(done.stdout)
    assert env["MINE"] == "a b'c"
    assert env["PATH"] == os.environ["PATH"]
    assert not {"DE_STACK_KAFKA_BOOTSTRAP", "SUPERVISOR_ENABLED"} & env.keys()
    assert folder == str(tmp_path)


def test_a_process_can_be_interrupted_although_a_shell_started_the_stack_in_the_background(
    tmp_path: Path,
) -> None:
    ask = "import signal; print(signal.getsignal(signal.SIGINT) == signal.default_int_handler)"
    spec = {"argv": [sys.executable, "-c", ask], "env": {}, "unset": [], "user": None}
    (tmp_path / "spec.json").write_text(json.dumps({**spec, "cwd": str(tmp_path)}))
    line = shlex.join([sys.executable, "-I", "-S", str(LAUNCH), str(tmp_path / "spec.json"), "d"])
    done = subprocess.run(
        ["/bin/sh", "-c", f"trap '' INT; {line}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


def test_state_is_private_and_replaced_in_one_step(tmp_path: Path) -> None:
    state.save(tmp_path, {"settings": {"a": 1}})
    state.save(tmp_path, {"settings": {"a": 2}})
    assert json.loads((tmp_path / "state.json").read_text()) == {"settings": {"a": 2}}
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_a_service_brings_what_it_depends_on_first() -> None:
    names = [service.name for service in registry.with_dependencies(["generator"])]
    assert names == ["kafka", "collector", "generator"]


def test_nothing_is_stopped_before_what_depends_on_it() -> None:
    waves = registry.stopping_waves(registry.SERVICES)
    place = {name: number for number, wave in enumerate(waves) for name in wave}
    assert place.keys() == registry.SERVICES.keys()
    for service in registry.SERVICES.values():
        for needed in (*service.depends_on, *service.alongside):
            assert place[service.name] < place[needed], (service.name, needed)


def test_an_unknown_service_is_told_with_the_known_ones() -> None:
    with pytest.raises(PermanentFailure, match="'kafak' is none.*postgres, kafka, spark"):
        registry.with_dependencies(["kafak"])


def test_dagsters_processes_share_a_home_and_are_restarted_by_the_same_settings() -> None:
    for name in ("code_server", "webserver", "daemon"):
        service = registry.SERVICES[name]
        assert service.workdir(Site(Path("/h"), {})) == Path("/h/dagster")
        assert service.environment(Site(Path("/h"), {}))["DAGSTER_HOME"] == "/h/dagster"
        assert service.follows == dagster_home.FOLLOWS
