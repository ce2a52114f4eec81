"""`python -m de_stack.sources.generator run [STREAM...]`: makes events until it is told to stop.

Belongs here: arguments of the service, putting the parts together. Does not belong here: the same
for people (`cli/generate.py`), the loop (`run.py`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from de_stack.failures import Failure, PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator import options
from de_stack.sources.generator.counts import KINDS as FAULTS
from de_stack.sources.generator.destination import KINDS, destination
from de_stack.sources.generator.job import Wish, prepare
from de_stack.sources.logs import configure

log = logging.getLogger("de_stack.sources.generator")


def main(argv: list[str] | None = None) -> int:
    """Run; 0 when `--count` were sent or a signal ended it, and nothing was lost."""
    args = _parser().parse_args(argv)
    configure()
    try:
        return run(Settings(), args)
    except Failure as failure:
        log.critical("%s", failure)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m de_stack.sources.generator")
    run_ = parser.add_subparsers(required=True).add_parser("run", description=__doc__)
    told = "e.g. telemetry.measures; default: each whose contract has a rate"
    run_.add_argument("streams", nargs="*", metavar="STREAM", help=told)
    run_.add_argument("--rate", help="events per second, of each stream")
    run_.add_argument("--count", help="stop after so many; default: never")
    run_.add_argument("--seed", help="same seed, same values; default: drawn and logged")
    run_.add_argument("--sink", choices=KINDS, default="http")
    run_.add_argument("--config", type=Path, help="YAML; default: <home>/generator/STREAM.yaml")
    run_.add_argument("--out", type=Path, help="file of --sink file")
    run_.add_argument("--topic", help="topic of --sink kafka; default: the stream's")
    run_.add_argument("--format", choices=options.FORMS, help="csv: the contract's csvLine")
    run_.add_argument("--start", help="a clock of its own, from this time on")
    run_.add_argument("--metrics-port", help="serve /metrics there, on 127.0.0.1")
    for kind in FAULTS:
        run_.add_argument(f"--{kind.replace('_', '-')}", dest=kind, metavar="SHARE[:SECONDS]")
    return parser


def run(settings: Settings, args: argparse.Namespace) -> int:
    """Make and send."""
    from de_stack.sources.generator import meters, service

    with service.stopped_by_signals() as stop:
        jobs = [
            prepare(settings, wish, datetime.now(UTC), destination)
            for wish in _wishes(settings, args)
        ]
        if args.metrics_port is not None:
            counts = [job.counts for job in jobs]
            url = meters.serve(options.port(args.metrics_port), counts, time.monotonic)
            log.info("metrics", extra={"url": url})
        for job in jobs:
            log.info("started", extra=job.told)
        if not jobs:
            _idle(stop)
        summaries = service.run_all(jobs, stop, lambda _job: service.log_report())
    for summary in summaries:
        log.info("done", extra=summary.plain())
        if summary.wrong:
            log.error(summary.wrong, extra={"stream": summary.counts.stream})
    return 1 if any(summary.wrong for summary in summaries) else 0


def _idle(stop: threading.Event) -> None:
    """A service that has nothing to do is no failed one."""
    log.info("no contract has generatorRatePerSecond: nothing is made")
    while not stop.wait(60):
        pass


def _wishes(settings: Settings, args: argparse.Namespace) -> list[Wish]:
    from de_stack.contracts import load_all

    names = args.streams or [s.name for s in load_all().values() if s.generator_rate is not None]
    if len(names) != len(set(names)):
        raise PermanentFailure("start the generator", "a stream is named twice", "name it once")
    if args.config and len(names) != 1:
        got = f"--config with {len(names)} streams"
        raise PermanentFailure("start the generator", got, "name the stream that it is for")
    rate = options.rate(args.rate) if args.rate is not None else settings.generator_rate
    return [
        Wish(
            stream=name,
            config=args.config,
            rate=rate,
            count=None if args.count is None else options.count(args.count),
            seed=args.seed,
            sink=args.sink,
            out=args.out,
            topic=args.topic,
            start=None if args.start is None else options.start(args.start),
            faults={kind: getattr(args, kind) for kind in FAULTS},
            form=args.format,
        )
        for name in names
    ]


if __name__ == "__main__":
    sys.exit(main())
