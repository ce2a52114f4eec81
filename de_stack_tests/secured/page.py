"""What docs/your-own-systems.md tells people to type, as data.

Belongs here: reading its exports, `kafka-acls` commands and SQL. Does not belong here: running
them.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from de_stack_tests.services import REPOSITORY

PAGE = REPOSITORY / "docs" / "your-own-systems.md"


def _blocks() -> list[str]:
    """Indented blocks, without the indentation."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    return ["\n".join(line[4:] for line in block.splitlines()) for block in found]


def _with(words: str) -> str:
    """All blocks with these words in them."""
    found = [block for block in _blocks() if words in block]
    assert found, f"{PAGE.name} has no block with {words!r}"
    return "\n".join(found)


def exported(places: Mapping[str, str]) -> dict[str, str]:
    """Variables that a shell has after the page's exports.

    Args:
        places: what stands in the page -> what it is here.
    """
    text = _with("export DE_STACK_")
    for there, here in places.items():
        assert there in text, f"{PAGE.name} does not say {there}"
        text = text.replace(there, here)
    shell = ["env", "-i", "PATH=/usr/bin:/bin", "bash", "-euc", f"{text}\nenv -0"]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=20, check=True)
    pairs = (pair.partition("=") for pair in done.stdout.split("\0") if pair)
    return {name: value for name, _, value in pairs if name.startswith("DE_STACK_")}


@dataclass(frozen=True)
class Right:
    """One access rule of Kafka, in the words of `kafka-acls`."""

    user: str
    kind: str
    name: str
    is_prefix: bool
    operation: str


def rights() -> Iterator[Right]:
    """What the page's `kafka-acls` commands allow."""
    parser = argparse.ArgumentParser()
    for name in ("bootstrap-server", "command-config", "allow-principal", "resource-pattern-type"):
        parser.add_argument(f"--{name}", required=name == "allow-principal", default="literal")
    for kind in ("topic", "group", "transactional-id", "cluster"):
        parser.add_argument(f"--{kind}")
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--add", action="store_true", required=True)
    for line in _with("kafka-acls ").replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        command, *arguments = shlex.split(line)
        assert command == "kafka-acls"
        given = vars(parser.parse_args(arguments))
        (kind,) = [k for k in ("topic", "group", "transactional_id", "cluster") if given[k]]
        is_prefix = given["resource_pattern_type"] == "prefixed"
        for operation in given["operation"]:
            yield Right(given["allow_principal"], kind, given[kind], is_prefix, operation)


def statements(passwords: Mapping[str, str]) -> Iterator[str]:
    """The page's SQL, with a password for each role."""
    for statement in _with("create role ").split(";"):
        text = " ".join(statement.split())
        if found := re.match(r"create role (\w+)", text):
            text = text.replace("'...'", "'" + passwords[found[1]].replace("'", "''") + "'")
        if text:
            yield text


def hba(network: str) -> str:
    """The page's line of `pg_hba.conf`, for a network."""
    (line,) = [line for line in _with("hostssl ").splitlines() if line.startswith("hostssl ")]
    return line.replace("10.0.0.0/8", network)
