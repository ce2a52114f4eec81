"""The workflow that materializes what a pull request changes, for a repository on GitHub.

Belongs here: filling the template, writing it once. Does not belong here: what the steps do (the
commands that they call), which assets are changed.
"""

from __future__ import annotations

from pathlib import Path
from string import Template

from de_stack.failures import PermanentFailure

_TEMPLATE = Path(__file__).parent / "templates" / "ci" / "de_stack.yml.tmpl"
PLACE = Path(".github") / "workflows" / "de_stack.yml"


class _Filled(Template):
    # The other words with a dollar are GitHub's, and the shell's.
    delimiter = "%"


def workflow(inner: Path) -> str:
    """The text of the workflow.

    Args:
        inner: where the project lies in its repository; `.` where it is all of it.
    """
    is_all = inner == Path()
    words = {
        "prefix": "" if is_all else f"{inner.as_posix()}/",
        "working_directory": "" if is_all else f"    working-directory: {inner.as_posix()}\n",
    }
    return _Filled(_TEMPLATE.read_text(encoding="utf-8")).substitute(words)


def write(path: Path, text: str, is_forced: bool) -> bool:
    """Write it; False where the same is there already.

    Raises:
        PermanentFailure: another file is there, or it cannot be written.
    """
    tried = f"write {path}"
    try:
        if path.exists() and not is_forced:
            if path.read_text(encoding="utf-8") == text:
                return False
            fix = f"`de-stack new ci --print | diff {path} -` shows how; --force replaces it"
            raise PermanentFailure(tried, "a file that differs is there", fix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentFailure(tried, str(error), "see that it can be written") from error
    return True
