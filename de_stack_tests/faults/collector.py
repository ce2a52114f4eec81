"""`python -m de_stack_tests.faults.collector`: the collector, on the naive ways that it is told.

Belongs here: the process. Does not belong here: the ways (`naive.py`), who starts it.
"""

from __future__ import annotations

import json
import os
import sys

from de_stack.sources.collector.__main__ import main
from de_stack_tests.faults import naive

if __name__ == "__main__":
    with naive.applied(json.loads(os.environ.get("DE_STACK_TEST_NAIVE", "[]"))):
        sys.exit(main())
