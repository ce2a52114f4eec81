"""What git knows about the checkout.

Belongs here: calls of the user's own git, its words in our failures. Does not belong here: what
follows from a changed file.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

_NO_COMMIT = "0" * 40
_FULL = "fetch the whole history first: `git fetch --unshallow`, in a workflow `fetch-depth: 0`"


def git(folder: Path, *words: str, fix: str | None = None) -> str:
    """What a git command prints.

    Raises:
        PermanentFailure: there is no git, or it refuses; its words are in the message.
    """
    from de_stack.failures import PermanentFailure

    tried = f"git {' '.join(words)}"
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True)  # noqa: S603, S607
    except FileNotFoundError as error:
        raise PermanentFailure(tried, "there is no git", fix) from error
    if done.returncode:
        raise PermanentFailure(tried, done.stderr.strip() or "nothing came back", fix)
    return done.stdout


def top(folder: Path) -> Path | None:
    """The repository that a folder lies in; None where there is none, or no git."""
    from de_stack.failures import PermanentFailure

    try:
        return Path(git(folder, "rev-parse", "--show-toplevel").strip())
    except PermanentFailure:
        return None


def changed_files(root: Path, since: str) -> tuple[str, list[str]]:
    """(commit, files that differ from it): committed, only saved, or not yet known to git.

    The commit is where HEAD and `since` parted, so that what others did meanwhile is no change of
    ours. Both names of a renamed file are listed. Paths are those under `root`.

    Raises:
        PermanentFailure: there is no git, no repository, or no such commit.
    """
    git(root, "rev-parse", "--git-dir", fix="run it in a clone, not in an exported folder")
    base = _base(root, since)
    diff = git(root, "diff", "--name-only", "-z", "--no-renames", "--relative", base, "--", ".")
    new = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ".")
    return base, sorted({name for name in (diff + new).split("\0") if name})


def _base(root: Path, since: str) -> str:
    from de_stack.failures import PermanentFailure

    if since == _NO_COMMIT:
        # How GitHub and GitLab say that a branch is new: every file is.
        return git(root, "hash-object", "-t", "tree", "/dev/null").strip()
    shallow = git(root, "rev-parse", "--is-shallow-repository").strip() == "true"
    found = None
    try:
        words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{since}^{{commit}}")
        found = git(root, *words).strip()
        return git(root, "merge-base", found, "HEAD").strip()
    except PermanentFailure as failure:
        got = f"no history in common with {since!r}" if found else f"git knows no commit {since!r}"
        if shallow:
            raise PermanentFailure(
                f"find where HEAD and {since!r} parted", f"{got} in this shallow clone", _FULL
            ) from failure
        fix = f"name a branch, tag or commit that `git log` shows; or `git fetch origin {since}`"
        raise PermanentFailure(f"find where HEAD and {since!r} parted", got, fix) from failure
