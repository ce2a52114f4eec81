"""Who may import whom: the rules of the house as a table, and the tests that hold them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "de_stack"
BASE = {"naming", "failures", "masking", "logs"}
# room -> rooms of ours that it may import, and why no more.
MAY_IMPORT = {
    "naming": (set(), "names depend on nothing"),
    "failures": (set(), "failures depend on nothing"),
    "masking": (set(), "masking depends on nothing"),
    "logs": (set(), "the form of logs depends on nothing"),
    "setting_sources": (BASE, "where settings come from: no system either"),
    "settings": ({"setting_sources", *BASE}, "settings name systems, they do not call them"),
    "partitions": ({"contracts", *BASE}, "partitions come from contracts"),
    "contracts": (BASE, "a contract knows no system and no clock"),
    "resources": ({"settings", "contracts", *BASE}, "a resource is one outside system, no data"),
    "flow": (
        {"resources", "contracts", "partitions", "settings", *BASE},
        "the flow moves any domain's data and must not know Dagster's wiring",
    ),
    "orchestration": (
        {"flow", "resources", "contracts", "partitions", "settings", *BASE},
        "Dagster's words for flow and contracts",
    ),
    "local": (
        {"settings", "setting_sources", "resources", "contracts", "flow", *BASE},
        "local starts systems",
    ),
    "sources": ({"settings", "resources", "contracts", *BASE}, "sources make and receive data"),
    "streaming": (
        {"flow", "local", "sources", "resources", "contracts", "settings", *BASE},
        "the host runs queries of any domain, in a process like those of sources",
    ),
    "scaffold": (
        {"contracts", "sources", *BASE},
        "it reads files as replay does, writes those of a new stream, and calls no system",
    ),
    "definitions": (
        {"settings", "resources", "orchestration", *BASE},
        "domains are loaded from their folder",
    ),
    "defs": (
        {"orchestration", "flow", "resources", "contracts", "partitions", "settings", *BASE},
        "a domain is reached by asset key, never by import",
    ),
}
PURE = ("dagster", "kafka", "psycopg", "deltalake", "duckdb", "httpx", "os", "time", "requests")


def modules() -> list[Path]:
    return sorted(p for p in ROOT.rglob("*.py") if "__pycache__" not in p.parts)


def imports_of(path: Path) -> set[str]:
    """Dotted names that a module imports anywhere, type-checking blocks included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports from the root"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def test_there_are_modules_to_look_at() -> None:
    assert len(modules()) > 40


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_from_rooms_below_it(path: Path) -> None:
    room = room_of(path)
    if room in ("cli", "__init__"):
        return
    allowed, reason = MAY_IMPORT[room]
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "de_stack" or len(parts) < 2:
            continue
        target = parts[1]
        if target == room and room != "defs":
            continue
        if room == "defs" and target == "defs":
            domain = path.relative_to(ROOT).parts[1]
            assert parts[2] == domain, f"{path}: imports {name}; {reason}"
            continue
        assert target in allowed, f"{path}: imports {name}; {reason}"


@pytest.mark.parametrize(
    "path", [p for p in modules() if "core" in p.parts], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_domains_core_is_pure(path: Path) -> None:
    for name in imports_of(path):
        assert name.split(".")[0] not in PURE, (
            f"{path}: {name}: pure rules know no client, no clock"
        )
        own = ".".join(("de_stack", *path.parent.relative_to(ROOT).parts))
        assert not name.startswith("de_stack") or name.startswith(f"{own}."), (
            f"{path}: {name}: the core imports nothing of ours but itself"
        )
        assert not name.startswith("pyspark") or name.startswith("pyspark.sql"), f"{path}: {name}"


@pytest.mark.parametrize(
    "path", [p for p in modules() if room_of(p) == "flow"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_flow_knows_neither_dagster_nor_a_domain(path: Path) -> None:
    assert not any(name.split(".")[0].startswith("dagster") for name in imports_of(path))
    assert "telemetry" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_opens_by_saying_what_belongs_in_it(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    if path.name == "__init__.py":
        assert text, f"{path}: no docstring"
        return
    assert "elongs here" in text, f"{path}: say what belongs here and what does not"
    assert "not belong here" in " ".join(text.split()), f"{path}: say what does not belong here"
