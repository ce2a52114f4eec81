"""What schemathesis has to be told of the collector's API (`SCHEMATHESIS_HOOKS`).

Belongs here: hooks. Does not belong here: the test that runs it (`test_collector_api.py`).
"""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson", "text/csv")
def lines(_context: Any, value: Any) -> bytes:
    """The schema of lines is a text: it is sent as it is."""
    return value.encode(errors="replace") if isinstance(value, str) else repr(value).encode()
