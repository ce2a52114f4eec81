"""Seeds of everything that tests leave to chance.

Belongs here: `SEEDS`. Does not belong here: what is done with them.
"""

import os
import secrets

_ONE = os.environ.get("DE_STACK_TEST_SEED", "")
COUNT = int(os.environ.get("DE_STACK_TEST_SEEDS", "3"))
SEEDS = [int(_ONE)] if _ONE else [secrets.randbelow(10**6) for _ in range(COUNT)]
