"""Processor time and memory of process trees, and a peer that runs in a process of its own.

Belongs here: what several workloads measure in the same way. Does not belong here: a workload.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SAMPLE_SECONDS = 0.3


def cpu(pid: int) -> float:
    """CPU seconds of a process and all below it, those that have ended and were waited for too."""
    import psutil

    total, root = 0.0, psutil.Process(pid)
    for process in (root, *root.children(recursive=True)):
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total


@dataclass
class Peak:
    """Most memory seen, PSS in bytes of the trees."""

    pss: int = 0


@contextmanager
def peak_of(*pids: int) -> Iterator[Peak]:
    """Samples the memory of trees until the block ends."""
    from de_stack.local import processes

    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(SAMPLE_SECONDS):
            peak.pss = max(peak.pss, sum(processes.memory(pid)[0] for pid in pids))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def peer(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Run `python -m module ...`; what it prints last is JSON. It ends when we do."""
    command = [python, "-W", "ignore", "-m", module, *arguments]
    # A Connect client leaves word in its environment, and classic sessions would follow it.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_")}
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=clean, **pipes) as process:
        try:
            with peak_of(process.pid) as peak:
                out, err = process.communicate()
        except BaseException:
            _end(process.pid)
            raise
    if process.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{err[-3000:]}")
    return {**json.loads(out.splitlines()[-1]), "pss": peak.pss}


def _end(pid: int) -> None:
    import psutil

    try:
        root = psutil.Process(pid)
        for process in (*root.children(recursive=True), root):
            process.kill()
    except psutil.NoSuchProcess:
        return
