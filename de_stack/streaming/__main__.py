"""`python -m de_stack.streaming run [QUERY...]`: continuous queries until it is told to stop.

With `--once` until they have read what there is.

Belongs here: arguments of the service, putting the parts together. Does not belong here: the loop
(`host.py`), the same for people (`cli/stream.py`).
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from de_stack.failures import Failure
from de_stack.settings import Settings
from de_stack.streaming.queries import load_queries, load_query

log = logging.getLogger("de_stack.streaming")


def main(argv: list[str] | None = None) -> int:
    """Run; 0 when a signal ended it, or all was read."""
    from de_stack.sources.logs import configure

    args = _parser().parse_args(argv)
    configure()
    # It says each command that a data frame is made of.
    logging.getLogger("py4j").setLevel(logging.WARNING)
    try:
        return run(Settings(), args)
    except Failure as failure:
        log.critical("%s", failure)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m de_stack.streaming")
    run_ = parser.add_subparsers(required=True).add_parser("run", description=__doc__)
    told = "e.g. stocks.averages; default: those that `de-stack stream` says are wanted"
    run_.add_argument("queries", nargs="*", metavar="QUERY", help=told)
    told = "read all that the topics have now, one query after the other, and end"
    run_.add_argument("--once", action="store_true", help=told)
    run_.add_argument("--metrics-port", type=int, help="serve /metrics there, on 127.0.0.1")
    run_.add_argument("--tmp", type=Path, help="folder for what Spark unpacks")
    run_.add_argument("--log4j", type=Path, help="log4j2.properties of Spark's log")
    return parser


def run(settings: Settings, args: argparse.Namespace) -> int:
    """Open the driver, run the queries."""
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.sources.generator.service import stopped_by_signals
    from de_stack.streaming import meters
    from de_stack.streaming.host import Host
    from de_stack.streaming.once import run_once
    from de_stack.streaming.session import close_driver, open_driver
    from de_stack.streaming.wanted import Wanted

    only = {load_query(name).name for name in args.queries}
    with (
        stopped_by_signals() as stop,
        tempfile.TemporaryDirectory(prefix="de_stack-streams-", ignore_cleanup_errors=True) as own,
    ):
        ensure_schema(settings)
        session = open_driver(settings, args.tmp or Path(own), args.log4j)
        try:
            if args.once:
                names = only or Wanted(settings.home).names(load_queries())
                run_once(settings, session, [load_query(n) for n in sorted(names)], stop)
                return 0
            host = Host(settings, session, load_queries())
            if args.metrics_port is not None:
                url = meters.serve(args.metrics_port, host.hosted)
                log.info("metrics", extra={"url": url})
            log.info("started", extra={"queries": ", ".join(sorted(only)) or "those wanted"})
            host.run(stop, frozenset(only))
        finally:
            close_driver(session)
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
