"""The generator's rate to Kafka and to the collector: what is kept of what was asked for.

Belongs here: rates, the processor time of the generator alone, a look at what arrived. Does not
belong here: what it makes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

SECONDS = 30
RATES = {"kafka": (1_000, 5_000, 20_000), "http": (1_000, 5_000)}


def run(rounds: int) -> None:
    from de_stack.local import stack
    from de_stack.resources.kafka import ensure_topics
    from de_stack.settings import Settings

    try:
        stack.up(["kafka", "collector"])
        settings = Settings()
        ensure_topics(settings)
        print(f"{SECONDS} s each, start and end of the process are in the rate; {rounds} rounds")
        found: dict[tuple[str, int], list[dict[str, float]]] = {}
        for number in range(rounds):
            for sink, rates in RATES.items():
                for rate in rates:
                    done = once(settings, sink, rate, number)
                    found.setdefault((sink, rate), []).append(done)
        for (sink, rate), each in found.items():
            kept = sorted(x["rate"] for x in each)
            cpu = median(x["cpu"] for x in each)
            print(
                f"{sink:<6} {rate:>7,}/s: kept {median(kept):,.0f}/s "
                f"({kept[0]:,.0f}-{kept[-1]:,.0f}), {median(kept) / rate:.1%}; "
                f"CPU {cpu:.0%} of a core"
            )
    finally:
        stack.down(purge=True)


def once(settings: Any, sink: str, rate: int, seed: int) -> dict[str, float]:
    """One run of the command; all that it says it has sent is in the topic."""
    before, count = arrived(settings), rate * SECONDS
    command = [Path(sys.executable).with_name("de-stack"), "generate", "telemetry.measures"]
    given = {"sink": sink, "rate": rate, "count": count, "seed": seed}
    used = os.times()
    done = subprocess.run(
        [*command, *(f"--{name}={value}" for name, value in given.items()), "--json"],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    now = os.times()
    said = json.loads(done.stdout.splitlines()[-1])
    landed = arrived(settings) - before
    if landed != count or said["sent"] != count:
        raise SystemExit(f"asked for {count:,}, sent {said['sent']:,}, arrived {landed:,}")
    cpu = now.children_user + now.children_system - used.children_user - used.children_system
    return {"rate": said["events_per_second"], "cpu": cpu / said["seconds"]}


def arrived(settings: Any) -> int:
    """Messages in the topic."""
    from de_stack.resources.kafka import Kafka

    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    if state is None:
        raise SystemExit("there is no topic")
    return sum(state.end.values()) - sum(state.begin.values())
