"""What the demo prints. Belongs here: tables from a state file; nothing runs."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from de_stack.cli import demo
from de_stack.local.registry import SERVICES
from de_stack.settings import Settings


def test_every_port_and_every_log_path_is_printed_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DE_STACK_PROFILE", raising=False)
    home = tmp_path / ("long" * 20)
    home.mkdir()
    ports = {name: 30000 + n for n, name in enumerate(_ports())}
    (home / "state.json").write_text(json.dumps({"ports": ports}))
    out = io.StringIO()
    demo._services(Console(file=out, width=132), Settings(home=home))
    # A path that is longer than its column goes on in the next line of the cell.
    lines = [line.split("│")[1:-1] for line in out.getvalue().splitlines() if "│" in line]
    printed = "".join(cell[2].strip() for cell in lines)
    for name, service in SERVICES.items():
        assert f"{home}/logs/{name}.log" in printed
        (row,) = [cells for cells in lines if cells[0].strip() == name]
        wanted = ", ".join(str(ports[port]) for port in service.ports) or "-"
        assert row[1].strip() == wanted


def _ports() -> list[str]:
    return [name for service in SERVICES.values() for name in service.ports]
