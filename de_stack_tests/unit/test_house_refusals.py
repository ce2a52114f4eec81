"""The pages of refusals against code and command. Belongs here: that they are true and found."""

import re
import shlex
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
from typer.testing import CliRunner

from de_stack.cli import application
from de_stack.failures import PAGES, PermanentFailure, read_back
from de_stack_tests.services import REPOSITORY
from de_stack_tests.templates import Site, sites

FOLDER = REPOSITORY / PAGES
NAMES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
# Where a shell's command ends.
_ENDS = {"|", ";", "&&", ">"}
# What click raises for an option that is none.
_USAGE = cast("type[Exception]", typer.BadParameter.__base__)


@cache
def named() -> dict[str, list[Site]]:
    found: dict[str, list[Site]] = {}
    for site in sites():
        for page in site.pages:
            found.setdefault(page, []).append(site)
    return found


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(text: str) -> list[str]:
    """Indented blocks, their lines without the indent."""
    found = re.findall(r"(?:^    .*\n?|^\n(?=    ))+", text, re.M)
    return [re.sub(r"^    ", "", block.strip("\n"), flags=re.M) for block in found if block.strip()]


def index() -> list[tuple[list[str], str, str]]:
    """(fragments, page, line) of each row."""
    rows = re.findall(r"^\| (.+) \| \[[^]]+\]\(([a-z-]+)\.md\)(.*) \|$", text_of("README"), re.M)
    return [(re.findall(r"`([^`]+)`", seen), page, rest) for seen, page, rest in rows]


def plain(text: str) -> str:
    return " ".join(text.split())


def test_every_page_that_the_code_names_is_there() -> None:
    for page, where in named().items():
        assert page in NAMES, f"{where[0].where} names docs/refusals/{page}.md"


def test_every_page_is_in_the_index_and_named_by_the_code_or_told_why_not() -> None:
    told = {page: rest for _, page, rest in index()}
    assert sorted(told) == NAMES
    assert len(told) == len(index())
    for page in NAMES:
        assert page in named() or "no failure names it" in told[page], page


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_is_seen_what_it_means_what_to_type_and_when_it_is_mended(
    name: str,
) -> None:
    text = text_of(name)
    wanted = ["What you see", "What it means", "What is at stake", "What to type"]
    wanted += ["How to know that it is mended"]
    there = list(sections(text))
    assert there in (wanted, [*wanted, "Why it is refused"])
    assert max(map(len, text.splitlines())) <= 120
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("https://") or (FOLDER / link).exists(), link


@pytest.mark.parametrize("name", NAMES)
def test_the_messages_of_a_page_are_what_the_code_can_say(name: str) -> None:
    seen = blocks(sections(text_of(name))["What you see"])
    assert seen
    failures = [plain(m) for block in seen for m in block.split("\n\n") if "(a retry" in m]
    assert failures or name not in named()
    for message in failures:
        said = read_back(message.removeprefix("de-stack: "))
        assert said is not None and said.page == name, message
        assert any(_may_say(site, said) for site in named()[name]), message


def _may_say(site: Site, said) -> bool:  # noqa: ANN001
    def fits(patterns: list[str], text: str) -> bool:
        # A page wraps lines where it likes.
        return any(
            re.fullmatch(p.replace("\\\n", "\\ ").removesuffix("\\ "), text) for p in patterns
        )

    if not fits(site.tried, said.tried) or not fits(site.got, said.got):
        return False
    return said.fix is None if site.fix is None else fits(site.fix, said.fix or "")


@pytest.mark.parametrize(("fragments", "name"), [(row[0], row[1]) for row in index()])
def test_what_the_index_is_searched_for_stands_in_the_page_and_in_the_code(
    fragments: list[str], name: str
) -> None:
    page = plain(sections(text_of(name))["What you see"])
    assert fragments
    for fragment in fragments:
        pieces = [piece.strip() for piece in fragment.split("...") if piece.strip()]
        assert re.search(".*".join(map(re.escape, pieces)), page), fragment
        for piece in pieces:
            assert piece in _code(), piece


@cache
def _code() -> str:
    """Source of the package, strings that stand on several lines joined."""
    text = "\n".join(p.read_text() for p in sorted((REPOSITORY / "de_stack").rglob("*.py")))
    return re.sub(r'"\n\s+f?"', "", text)


@cache
def command() -> Any:
    return typer.main.get_command(application())


def typed(text: str) -> list[tuple[str, bool]]:
    """(`de-stack ...`, is it to be typed as it stands) of a page: lines of blocks, and spans."""
    text = re.sub(r"\\\n\s*", "", text)
    lines = [line for block in blocks(text) for line in block.splitlines()]
    found = [
        (m, True) for line in lines for m in re.findall(r"^\s*(?:\w+=\S* )*(de-stack .*)", line)
    ]
    prose = re.sub(r"^    .*$", "", text, flags=re.M)
    spans = re.findall(r"`(?:[A-Z_]+=[^ `]* )*(de-stack [^`]+)`", prose)
    spans += [s for line in lines for s in re.findall(r"`(de-stack [^`]+)`", line)]
    return [*found, *((span, False) for span in spans)]


@pytest.mark.parametrize("name", ["README", *NAMES])
def test_every_command_of_a_page_is_one(name: str) -> None:
    for line, whole in typed(text_of(name)):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(takewhile(lambda word: word not in _ENDS, lexer))
        _parse(command(), words[1:], line, whole)


def _parse(found: Any, words: list[str], line: str, whole: bool) -> None:
    # Typer brings a click of its own: it is known by what it has.
    if (below := getattr(found, "commands", None)) is not None:
        assert words or not whole, line
        if words and words[0] != "--help":
            assert words[0] in below, f"{words[0]!r} of {line!r} is no command"
            _parse(below[words[0]], words[1:], line, whole)
        return
    try:
        values, left, _ = found.make_parser(typer.Context(found)).parse_args(list(words))
    except _USAGE as error:
        pytest.fail(f"{line}: {error}")
    assert not left, f"{line}: {left}"
    for parameter in found.params:
        # Only names: whether a file is there, or a time is one, is not a page's to say.
        if whole and parameter.required:
            assert values.get(parameter.name), f"{line}: {parameter.name} is missing"


def test_explain_lists_all_pages_prints_one_and_finds_one_by_what_it_shows() -> None:
    def said(*words: str) -> str:
        done = CliRunner().invoke(application(), ["explain", *words])
        assert done.exit_code == 0, done.exception
        return done.output

    assert [line.split()[0] for line in said().splitlines()] == NAMES
    assert said("topic-anew") == said("docs/refusals/topic-anew.md") == text_of("topic-anew")
    assert "foreign-commit " in said("was not  written by")
    failed = CliRunner().invoke(application(), ["explain", "nobody says this"])
    assert isinstance(failed.exception, PermanentFailure)


def test_a_message_ends_with_its_page_and_is_read_back_with_it() -> None:
    for failure in (
        PermanentFailure("read x", "it (a retry cannot help) is y", "do z", page="some-page"),
        PermanentFailure("read x", "nothing", page="some-page"),
    ):
        assert str(failure).endswith("; see docs/refusals/some-page.md")
        said = read_back(str(failure))
        assert said is not None
        parts = (said.tried, said.got, said.fix, said.page)
        assert parts == (failure.tried, failure.got, failure.fix, "some-page")
    without = read_back(str(PermanentFailure("read x", "nothing", "do z")))
    assert without is not None and (without.fix, without.page) == ("do z", None)


def test_no_page_is_an_orphan_of_the_readme() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert f"({PAGES}/README.md)" in readme
    for link in re.findall(rf"\]\({PAGES}/([a-z-]+)\.md\)", readme):
        assert Path(FOLDER / f"{link}.md").exists()
