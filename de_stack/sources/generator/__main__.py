"""`python -m de_stack.sources.generator run STREAM`: makes events until it is told to stop.

Belongs here: arguments, signals, putting the parts together. Does not belong here: the loop
(`run.py`).
"""

from __future__ import annotations

import argparse
import logging
import secrets
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.failures import Failure
from de_stack.settings import Settings
from de_stack.sources.generator.config import Config, ConfigError, load_config
from de_stack.sources.generator.events import Events
from de_stack.sources.generator.run import Generator, World
from de_stack.sources.generator.sinks import Collector, Console, Sink
from de_stack.sources.logs import configure

if TYPE_CHECKING:
    from de_stack.contracts import Stream

log = logging.getLogger("de_stack.sources.generator")


def main(argv: list[str] | None = None) -> int:
    """Run; 0 when `--count` were sent or a signal ended it."""
    parser = argparse.ArgumentParser(prog="python -m de_stack.sources.generator")
    run_ = parser.add_subparsers(required=True).add_parser("run", description=__doc__)
    run_.add_argument("stream", help="e.g. telemetry.measures")
    run_.add_argument("--rate", type=_positive, help="events per second")
    run_.add_argument("--count", type=int, help="stop after so many; default: never")
    run_.add_argument("--seed", help="same seed, same values; default: drawn and logged")
    run_.add_argument("--sink", choices=("http", "console"), default="http")
    run_.add_argument("--config", type=Path, help="YAML; default: <home>/generator/STREAM.yaml")
    args = parser.parse_args(argv)
    configure()
    try:
        run(Settings(), args)
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    return 0


def run(settings: Settings, args: argparse.Namespace) -> None:
    """Make and send."""
    from de_stack.contracts import load_stream

    stream = load_stream(args.stream)
    usual = settings.home / "generator" / f"{stream.name}.yaml"
    path = args.config or (usual if usual.exists() else None)
    config = load_config(stream, path)
    check_first(stream, config, path)
    rate = args.rate or settings.generator_rate or config.rate
    seed = args.seed if args.seed is not None else config.seed
    if seed is None:
        seed = secrets.randbits(32)
    world = _world()
    sink = _sink(settings, args.sink, stream)
    told = {"stream": stream.name, "rate": rate, "seed": seed, "config": path or "contract"}
    log.info("started", extra=told)
    try:
        events = Events(stream, config.functions, str(seed), world.now())
        Generator(events, sink, rate, world).run(args.count)
    finally:
        sink.close()


def check_first(stream: Stream, config: Config, path: Path | None) -> None:
    """Hold a first event against the contract, so that a slip shows here and not at the collector.

    Raises:
        ConfigError: it breaks the contract.
    """
    from de_stack.contracts.decode import decoder_for

    now = datetime.now(UTC)
    event = Events(stream, config.functions, "first", now).next(now)
    decoded = decoder_for(stream)(event.data, now)
    if decoded.record is None:
        where = str(path or f"contract of {stream.name}")
        raise ConfigError(where, f"fields.{decoded.field}", f"{decoded.reason}: {event.data!r}")


def _world() -> World:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def sleep(seconds: float) -> None:
        # A signal ends a wait; the retries after it must still wait.
        if stop.is_set():
            time.sleep(min(seconds, 0.5))
        else:
            stop.wait(seconds)

    return World(lambda: datetime.now(UTC), time.monotonic, sleep, stop.is_set)


def _sink(settings: Settings, kind: str, stream: Stream) -> Sink:
    if kind == "console":
        return Console(sys.stdout)
    import httpx

    # Longer than the collector's own deadline: an answer that is on its way is not given up.
    client = httpx.Client(timeout=httpx.Timeout(15.0, connect=2.0), trust_env=False)
    return Collector(client, settings.need("collector_url"), stream.name)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1e6:
        raise argparse.ArgumentTypeError("a number above 0, at most 1000000")
    return value


if __name__ == "__main__":
    sys.exit(main())
