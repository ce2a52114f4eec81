"""`python -m de_stack.sources.collector`: the collector on 127.0.0.1.

Belongs here: putting the parts together and running the server. Does not belong here: what they do.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from de_stack.failures import Failure, PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.collector.check import Check
from de_stack.sources.collector.door import Door
from de_stack.sources.collector.ids import new_id
from de_stack.sources.collector.meters import Meters
from de_stack.sources.collector.receive import Entrance, Limits, Receiver
from de_stack.sources.collector.under_way import Budget, Producer
from de_stack.sources.logs import configure

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = logging.getLogger("de_stack.sources.collector")
PORT = "DE_STACK_COLLECTOR_PORT"


def build(settings: Settings, open_producer: Callable[[], Producer], limits: Limits) -> Starlette:
    """The collector's application, with a way in for every stream that has a contract."""
    from de_stack.contracts import load_all
    from de_stack.contracts.decode import decoder_for
    from de_stack.contracts.normalise import normaliser_for
    from de_stack.sources.collector.app import make_app

    entrances = {
        name: Entrance(
            settings.names.topic(*s.topic),
            Check(s, decoder_for(s), normaliser_for(s)),
            s,
        )
        for name, s in load_all().items()
    }
    budget = Budget(limits.under_way_bytes)
    meters = Meters(settings.home, lambda: budget.used)
    door = Door(open_producer, budget)
    receiver = Receiver(entrances, door, meters, limits, lambda: datetime.now(UTC), new_id)
    return make_app(receiver, budget)


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 0 when everything under way was finished."""
    parser = argparse.ArgumentParser(
        prog="python -m de_stack.sources.collector", description=__doc__
    )
    parser.add_argument("--port", type=int, default=os.environ.get(PORT), help=f"default: ${PORT}")
    args = parser.parse_args(argv)
    configure()
    try:
        if args.port is None:
            raise PermanentFailure("start the collector", "no port", f"set {PORT} or give --port")
        serve(Settings(), args.port)
    except Failure as failure:
        log.critical("%s", failure)
        return 1
    return 0


def serve(settings: Settings, port: int) -> None:
    """Run the server."""
    import uvicorn

    from de_stack.resources.kafka import client_options
    from de_stack.resources.kafka_answers import reason
    from de_stack.sources.collector.kafka_producer import KafkaSender

    options, limits = client_options(settings), Limits()
    app = build(settings, lambda: KafkaSender(options, partial(reason, settings)), limits)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        # No limit of uvicorn's: its 503 has no Retry-After, and idle connections count. The
        # application has its own.
        timeout_graceful_shutdown=int(limits.request_seconds + limits.read_seconds),
    )
    # uvicorn raises the signal again once it has shut down: by then there is nothing left to end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    log.info("listening", extra={"url": f"http://127.0.0.1:{port}"})
    uvicorn.Server(config).run()


if __name__ == "__main__":
    sys.exit(main())
