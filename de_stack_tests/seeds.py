"""Seeds of everything that tests leave to chance.

Belongs here: `SEEDS`, how much each takes on. Does not belong here: what is done with them.
"""

import os
import random
import secrets
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

# One, or several with commas between.
_GIVEN = os.environ.get("DE_STACK_TEST_SEED", "")
COUNT = int(os.environ.get("DE_STACK_TEST_SEEDS", "3"))
SEEDS = (
    [int(seed) for seed in _GIVEN.split(",")]
    if _GIVEN
    else [secrets.randbelow(10**6) for _ in range(COUNT)]
)


def share(everything: Sequence[T], seed: int, rng: random.Random) -> list[T]:
    """What a seed takes on, shuffled: all; with three seeds two of four, so that each is taken."""
    if len(SEEDS) != 3:
        return rng.sample(everything, len(everything))
    first = SEEDS.index(seed)
    return rng.sample([everything[(first + i) % len(everything)] for i in range(2)], 2)
