"""Dead letters -> their topic once more: each at most once, whatever is killed.

Belongs here: which letters go, entering, sending, confirming. Does not belong here: the letters'
table (`letter_shelf.py`), the ledger's SQL (`letter_ledger.py`), printing.

A replay is entered before it is sent and confirmed after the broker has it. A crash between the two
leaves an entry of which nobody knows; it is looked for, by its header, before it is sent again: in
the topic from where landing stands on, in bronze up to there at least. Looking is enough, since the
producer is fenced first: nothing of the killed process can arrive after the look. (Sending again
under the same event id would be one row in silver as well, but two in bronze, and a mended event
that has another hour than its first version would be two rows in silver, too.)

No reparse runs meanwhile: it might mend a letter that is being sent. Another replay may: their
producer keeps them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from de_stack.contracts.envelope import REJECTED
from de_stack.contracts.normalise import Normalise, normaliser_for
from de_stack.failures import PermanentFailure
from de_stack.flow import commits, letter_shelf
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import enter_letters, replays_sql
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.letters import REPLAY_OF, Headers, Letter, Position, repeats, source_of
from de_stack.resources.kafka import Kafka
from de_stack.resources.kafka_messages import FencedProducer, Message, fenced_producer, read_range
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings

# One transaction of the broker: small enough to end well within its timeout.
_AT_ONCE = 500

Mended = dict[Position, bytes]


@dataclass
class Replayed:
    """Letters that were sent now, were under way already, and are settled already.

    `unsendable` have a header without a value, which kafka-python does not send.
    """

    sent: list[Position] = field(default_factory=list)
    under_way: list[Position] = field(default_factory=list)
    settled: list[Position] = field(default_factory=list)
    unsendable: list[Position] = field(default_factory=list)


def replay(
    settings: Settings,
    stream: Stream,
    by: str,
    chosen: list[Position] | None = None,
    mended: Mended | None = None,
) -> Replayed:
    """Send letters again: original key and headers, original or mended bytes.

    What came to the door goes through it once more: other forms of times, and envelopes, are made
    what the contract wants.

    Args:
        settings: where everything is.
        stream: whose letters.
        by: who asks; kept with the entry.
        chosen: which letters; all open ones without it.
        mended: other bytes for some of them. What a source has refused and kept is judged anew.

    Raises:
        PermanentFailure: there is no such letter, or the broker refused a message.
        TransientFailure: a reparse is running, or a system was away; what was entered is cleared up
            by the next call.
    """
    ledger = LetterLedger(settings, bronze(settings, stream).table_id)
    with ledger.settling(f"replay by {by}", beside=True) as check:
        return _replay(settings, stream, by, chosen, mended or {}, ledger, check)


def _replay(
    settings: Settings,
    stream: Stream,
    by: str,
    chosen: list[Position] | None,
    mended: Mended,
    ledger: LetterLedger,
    check: Callable[[], None],
) -> Replayed:
    # Under the lock: what a reparse has mended until now is no letter any more.
    enter_letters(settings, stream, f"replay by {by}")
    table, topic = bronze(settings, stream), settings.names.topic(*stream.topic)
    known = {letter.position: letter for letter in letter_shelf.letters(settings, stream)}
    wanted = [p for p, letter in known.items() if letter.is_open] if chosen is None else chosen
    if strange := [str(p) for p in wanted if p not in known]:
        raise PermanentFailure(
            f"replay {', '.join(strange[:5])}", "there is no such letter", page="dead-letters"
        )
    done = Replayed(settled=[p for p in wanted if not known[p].is_open])
    wanted = sorted({p for p in wanted if known[p].is_open})
    # Before anything is entered: one of them must not keep the others back.
    done.unsendable = [p for p in wanted if any(v is None for _, v in known[p].headers)]
    wanted = [p for p in wanted if p not in done.unsendable]
    if not wanted:
        return done
    normalise = normaliser_for(stream)
    # Before the ledger is read: who was first is shut out, or has confirmed what he sent.
    with fenced_producer(settings, f"replay:{table.table_id}", f"replay to {topic}") as producer:
        entries = ledger.replays()
        unknown = [p for p in wanted if p in entries and entries[p].sent_at is None]
        found = _find(settings, stream, set(unknown)) if unknown else {}
        if found:
            ledger.confirm(found)
        for position in wanted:
            sent = position in found or (position in entries and position not in unknown)
            (done.under_way if sent else done.sent).append(position)
        for i in range(0, len(done.sent), _AT_ONCE):
            some = done.sent[i : i + _AT_ONCE]
            check()
            ledger.enter(some, by)
            letters = [known[p] for p in some]
            values = [_value(letter, mended, normalise) for letter in letters]
            ledger.confirm(_send(producer, topic, letters, values))
    return done


def _send(
    producer: FencedProducer, topic: str, letters: list[Letter], values: list[bytes | None]
) -> dict[Position, tuple[int, int]]:
    messages = [
        Message(letter.key, value, [*_headers(letter), (REPLAY_OF, str(letter.position).encode())])
        for letter, value in zip(letters, values, strict=True)
    ]
    places = producer.send(topic, messages)
    return dict(zip([letter.position for letter in letters], places, strict=True))


def _value(letter: Letter, mended: Mended, normalise: Normalise) -> bytes | None:
    """Mended or original bytes; of what came to the door, what the door makes of them."""
    value = mended.get(letter.position, letter.value)
    if value is None or source_of(letter.headers) != "http":
        return value
    return normalise(value) or value


def _headers(letter: Letter) -> Headers:
    """Without the verdict of a source: it was on other bytes, or somebody doubts it."""
    return [(name, value) for name, value in letter.headers if name != REJECTED]


def _find(
    settings: Settings, stream: Stream, wanted: set[Position]
) -> dict[Position, tuple[int, int]]:
    """Where replays of letters lie: in bronze, or in what has not landed yet."""
    table, lake, ledger = bronze(settings, stream), Lake(settings), Ledger(settings)
    topic = settings.names.topic(*stream.topic)
    # First where landing stands, then the version: what lands in between is found twice, in one
    # place. The other way round it is in neither, and is sent again.
    landed = ledger.landed(table.table_id)
    version = commits.reconcile(lake, ledger, table)
    found: dict[Position, tuple[int, int]] = {}

    def look(headers: list[tuple[str, bytes | None]], place: tuple[int, int]) -> None:
        named = repeats(headers)
        if named and named[-1] in wanted:
            found[named[-1]] = place

    for row in lake.query(table.uri, replays_sql("true"), version).to_pylist():
        look(letter_shelf.headers_of(row), (row["partition"], row["offset"]))
    state = Kafka(settings).topic_state(topic)
    if state is None:
        raise PermanentFailure(f"read topic {topic}", "there is no such topic", page="no-topic")
    same = landed is not None and landed.topic_id == state.topic_id
    reached = landed.offsets if landed and same else {}
    start = {p: max(reached.get(p, 0), begin) for p, begin in state.begin.items()}
    for message in read_range(settings, topic, start, state.end):
        look(message.headers, (message.partition, message.offset))
    return found
