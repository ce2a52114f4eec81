"""A driver of its own: a query whose batches are computed twice, one stopped within a batch.

Belongs here: that program. Does not belong here: what has to be printed and to be on the disk
(`test_streaming_driver`).

Run as `python -m de_stack_tests.integration.broken_off FOLDER`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# A text that this pattern takes many steps to refuse, without looking whether its task was ended.
_SLOW_TO_END = "sum(int(rlike(concat(repeat('x', 27), id), '(x+x+)+y')))"


def main() -> None:
    from de_stack.flow.continuous.running import broken_off_in_short
    from de_stack.settings import Settings
    from de_stack.streaming.hosted import Hosted
    from de_stack.streaming.session import close_driver, open_driver

    folder = Path(sys.argv[1])
    begun = folder / "begun"
    session = open_driver(Settings(profile="embedded", home=folder / "home"), folder)

    twice(session, folder / "twice")

    def take(rows: Any, number: int) -> None:
        begun.write_text(str(number))
        with broken_off_in_short():
            rows.sparkSession.range(0, 10**15, 1, 2).selectExpr(_SLOW_TO_END).collect()

    def start(_: Any) -> Any:
        rows = session.readStream.format("rate").load().writeStream.foreachBatch(take)
        return rows.option("checkpointLocation", str(folder / "checkpoint")).start()

    hosted: Any = Hosted(SimpleNamespace(name="test.days"))  # type: ignore[arg-type]
    hosted.begin(start, time.monotonic())
    while not begun.exists():
        time.sleep(0.1)
    time.sleep(1)
    hosted.end(time.monotonic())
    print(hosted.state, flush=True)
    close_driver(session)


def twice(session: Any, folder: Path) -> None:
    """Batches with state, each as after a crash between the sink and Spark's own word.

    It ends by itself, after all batches: one that is stopped leaves the file that it was writing.
    """
    rows = folder / "rows"
    rows.mkdir(parents=True)
    for batch in range(4):
        (rows / f"{batch}.txt").write_text("a\nb\n")

    def take(batch: Any, _: int) -> None:
        batch.collect()
        batch.collect()

    read = session.readStream.format("text").option("maxFilesPerTrigger", 1).load(str(rows))
    writer = read.groupBy("value").count().writeStream.outputMode("update").foreachBatch(take)
    writer = writer.option("checkpointLocation", str(folder / "checkpoint"))
    writer.trigger(availableNow=True).start().awaitTermination()


if __name__ == "__main__":
    main()
