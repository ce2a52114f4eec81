"""The id of an event that came without one.

Belongs here: made ids, ids from an idempotency key. Does not belong here: ids that senders give
(`body.py`).

An id from a key is a UUID (version 5, RFC 9562) of stream, key, the item's place in the request and
its bytes. So a request that is sent again gives the ids that it gave before, whichever collector
takes it and whatever was killed in between: nothing is remembered. The bytes are in it because a
key may be used twice by mistake: other events then have other ids, and both are kept. Without them
the second event would be accepted and then be gone, as a duplicate of the first.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping

HEADER = "idempotency-key"
MAX_KEY = 255
# uuid5(NAMESPACE_URL, "de_stack/collector/idempotency-key"); another one makes all ids other ones.
NAMESPACE = uuid.UUID("f736d81d-484b-5996-894a-244d6ef083f0")

NewId = Callable[[], str]
# (place of the item in its request, its bytes) -> id
IdFor = Callable[[int, bytes], str]


class BadKey(Exception):
    """The idempotency key cannot be used; the message says why."""


def new_id() -> str:
    """An id that is nobody else's."""
    return str(uuid.uuid4())


def key_of(headers: Mapping[str, str]) -> str | None:
    """The request's idempotency key; None where it has none.

    Raises:
        BadKey: it is empty, too long, or not printable ASCII.
    """
    key = headers.get(HEADER)
    if key is not None and not (0 < len(key) <= MAX_KEY and key.isascii() and key.isprintable()):
        raise BadKey(f"an {HEADER} has 1 to {MAX_KEY} printable ASCII characters")
    return key


def made(make_id: NewId) -> IdFor:
    """A new id for each item."""
    return lambda _index, _data: make_id()


def keyed(stream: str, key: str) -> IdFor:
    """The same id for the same item of the same request."""

    def id_for(index: int, data: bytes) -> str:
        # A key has no line end: no two (stream, key, index) are written alike.
        name = f"{stream}\n{key}\n{index}\n".encode() + data
        digest = hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest()
        return str(uuid.UUID(bytes=digest[:16], version=5))

    return id_for
