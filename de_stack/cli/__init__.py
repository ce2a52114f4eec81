"""The `de-stack` command: what people type.

Belongs here: arguments, output, exit codes. Does not belong here: doing the work. A module of
this package that has `register(app)` adds its commands; heavy imports belong inside them.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


def application() -> typer.Typer:
    """The command with all that is under it."""
    import typer

    app = typer.Typer(
        name="de-stack",
        help="Telemetry from generator to dashboard on real local services.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for module in sorted(found.name for found in pkgutil.iter_modules(__path__)):
        register = getattr(importlib.import_module(f"{__name__}.{module}"), "register", None)
        if register is not None:
            register(app)
    return app


def main() -> None:
    """Entry point: a failure is one clear message and exit code 1, never a traceback."""
    from de_stack.failures import Failure

    app = application()
    try:
        app()
    except Failure as failure:
        sys.stderr.write(f"de-stack: {failure}\n")
        sys.exit(1)
    except BrokenPipeError:
        # `de-stack logs kafka | head`: nobody reads on. Python would complain again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
