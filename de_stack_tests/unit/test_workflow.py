"""The workflow that `new ci` writes. Belongs here: what can be seen without GitHub's runner."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from de_stack.cli import changed, services
from de_stack.failures import PermanentFailure
from de_stack.local.registry import SERVICES
from de_stack.scaffold.workflow import workflow, write
from de_stack_tests.services import REPOSITORY

WHOLE, INNER = workflow(Path()), workflow(Path("data/stack"))


def job(text: str) -> dict[str, Any]:
    (found,) = yaml.safe_load(text)["jobs"].values()
    return found


def runs(text: str) -> list[str]:
    return [step["run"] for step in job(text)["steps"] if "run" in step]


def commands(script: str) -> list[list[str]]:
    """Its simple commands, as words; what is redirected stays at their ends."""
    lines = script.replace("\\\n", " ").splitlines()
    return [shlex.split(part) for line in lines for part in re.split(r"\|\||&&", line)]


def test_it_reads_only_and_ends_by_itself_and_only_pull_requests_overtake() -> None:
    whole = yaml.safe_load(WHOLE)
    # YAML 1.1 takes the word `on` for a truth.
    assert set(whole[True]) == {"pull_request", "push", "workflow_dispatch"}
    assert whole["permissions"] == {"contents": "read"}
    assert whole["concurrency"]["cancel-in-progress"] is True
    assert "'pull_request' && github.ref || github.run_id" in whole["concurrency"]["group"]
    assert 0 < job(WHOLE)["timeout-minutes"] <= 60


def test_actions_are_pinned_and_the_whole_history_is_fetched() -> None:
    used = {s["uses"]: s.get("with", {}) for s in job(WHOLE)["steps"] if "uses" in s}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used)
    (checkout,) = (given for name, given in used.items() if "checkout" in name)
    assert checkout["fetch-depth"] == 0


def test_every_command_of_every_step_is_there_with_its_options() -> None:
    app = typer.Typer()
    for module in (changed, services):
        module.register(app)
    group: Any = typer.main.get_command(app)
    makefile = (REPOSITORY / "Makefile").read_text()
    seen = set()
    for words in (words for script in runs(WHOLE) for words in commands(script)):
        program, *rest = words
        if program == "make":
            assert re.search(rf"^{rest[0]}:", makefile, re.M), words
        elif program == ".venv/bin/de-stack":
            command = group.commands[rest[0]]
            known = {name for param in command.params for name in param.opts}
            options = {word for word in rest[1:] if word.startswith("--")}
            assert options <= known, words
            if rest[0] == "up":
                assert set(rest[1:]) <= set(SERVICES), words
            seen.add((rest[0], *sorted(options)))
        else:
            assert program in ("python", "test") and shutil.which(program), words
    assert {("changed", "--run", "--since"), ("up",), ("down", "--purge")} <= seen


def test_services_end_whatever_happens_and_logs_are_kept_before() -> None:
    *_, keep, leave = job(WHOLE)["steps"]
    assert (keep["if"], leave["if"]) == ("failure()", "always()")
    kept = keep["with"]["path"].split()
    assert kept == [".de_stack/changed/", ".de_stack/logs/"] and "--purge" in leave["run"]
    # Folders that begin with a dot are left out without it.
    assert keep["with"]["include-hidden-files"] is True


def test_no_step_puts_words_of_others_into_a_script() -> None:
    """A branch's name may be a command: it comes by a variable, quoted."""
    for script in runs(WHOLE):
        assert "${{" not in script
        assert script.count("$SINCE") == script.count('"$SINCE"')
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_what_the_cache_hangs_on_and_what_is_kept_is_there() -> None:
    for prefix, text in (("", WHOLE), ("data/stack/", INNER)):
        patterns = re.search(r"hashFiles\((.*)\)", text)
        assert patterns is not None
        for pattern in re.findall(r"'(.+?)'", patterns[1]):
            assert pattern.startswith(prefix)
            assert list(REPOSITORY.glob(pattern.removeprefix(prefix))), pattern
    assert "%" not in WHOLE + INNER, "a word was not filled in"
    assert yaml.safe_load(INNER)["defaults"]["run"]["working-directory"] == "data/stack"
    assert "working-directory" not in yaml.safe_load(WHOLE)["defaults"]["run"]


@pytest.mark.skipif(not shutil.which("actionlint"), reason="no actionlint on this machine")
@pytest.mark.parametrize("text", [WHOLE, INNER])
def test_actionlint_has_nothing_to_say(text: str, tmp_path: Path) -> None:
    path = tmp_path / "de_stack.yml"
    path.write_text(text)
    done = subprocess.run(["actionlint", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_written_once_and_a_file_of_others_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / ".github" / "workflows" / "de_stack.yml"
    assert write(path, WHOLE, False)
    assert not write(path, WHOLE, False)
    path.write_text(WHOLE + "# mine\n")
    with pytest.raises(PermanentFailure, match=r"a file that differs is there.*--force"):
        write(path, WHOLE, False)
    assert path.read_text().endswith("# mine\n")
    assert write(path, WHOLE, True) and path.read_text() == WHOLE
    (tmp_path / "file").write_text("")
    with pytest.raises(PermanentFailure, match="see that it can be written"):
        write(tmp_path / "file" / "x.yml", WHOLE, False)
