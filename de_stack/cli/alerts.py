"""`de-stack alerts`: which runs failed, and why.

Belongs here: printing. Does not belong here: what an alert says (`orchestration.alerts`).
"""

from __future__ import annotations

import json
from collections import deque
from typing import Annotated, Any

import typer

from de_stack.failures import PAGES


def alerts(
    count: Annotated[int, typer.Option("-n", min=1, help="How many, newest last.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, for programs.")] = False,
) -> None:
    """The last runs that failed: what was tried, what came back, what can be done."""
    from de_stack.resources.alerts import Alerts
    from de_stack.settings import Settings

    found = deque((alert for alert, _ in Alerts(Settings()).after(0)), maxlen=count)
    for alert in found:
        typer.echo(json.dumps(alert) if as_json else _text(alert))
    if not found and not as_json:
        typer.echo("no run has failed")


def _text(alert: dict[str, Any]) -> str:
    if "unreadable" in alert:
        return f"a line that was cut off: {alert['unreadable']}"
    failure, span = alert["failure"], alert["partitions"]
    page = failure.get("page")  # Alerts of an older release have none.
    what = ", ".join(alert["assets"]) or alert["job"]
    when = "" if not span else f" of {span[0]}" + (f"..{span[1]}" if span[1] != span[0] else "")
    retry = {True: "a retry can help", False: "a retry cannot help", None: ""}
    lines = [
        f"{alert['at']} run {alert['run_id']}",
        f"  {what}{when}",
        *([f"  stream {alert['stream']}, step {alert['step']}"] if alert["stream"] else []),
        f"  tried: {failure['tried']}" if failure["tried"] else f"  {failure['kind']}",
        f"  got:   {failure['got'] or failure['message']}",
        *([f"  fix:   {failure['fix']}"] if failure["fix"] else []),
        *([f"  more:  {PAGES}/{page}.md"] if page else []),
        *([f"  {text}"] if (text := retry[failure["can_retry_help"]]) else []),
        *([f"  {alert['link']}"] if alert["link"] else []),
    ]
    return "\n".join(lines)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(alerts)
