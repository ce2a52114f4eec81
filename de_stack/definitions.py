"""The only wiring: load what data there is, bind each outside system once.

Belongs here: the code location. Does not belong here: assets, settings, clients. Loading it opens
nothing.
"""

import os
from pathlib import Path

import dagster as dg

from de_stack.orchestration.session import spark_session
from de_stack.settings import Settings

# A run over many periods writes an event for each: one by one they took two thirds of its time.
os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "500")


@dg.definitions
def defs() -> dg.Definitions:
    """All domains, with the systems that the settings name."""
    settings = Settings()
    return dg.Definitions.merge(
        dg.load_from_defs_folder(path_within_project=Path(__file__).parent),
        dg.Definitions(
            resources={
                "settings": settings,
                "spark": spark_session(settings),
            },
            # One machine: a process per step would cost 3-5 s each.
            executor=dg.in_process_executor,
        ),
    )
