"""Counts words of lines that come through a socket, for ten seconds or until Ctrl-C.

    python docs/examples/streaming/word_count_socket.py             # with a line server of its own
    nc -lk 9999     and in another terminal
    python docs/examples/streaming/word_count_socket.py --port 9999 --seconds 60

Source: a socket, to which Spark connects as a client. It is for looking only: what was read is not
kept anywhere, so a query that is started again has lost it. Sink: the console, `complete`.

Belongs here: words of a socket. Does not belong here: counting (`word_count_files.py`).
"""

from __future__ import annotations

import socketserver
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, say, session
from word_count_files import word_counts

LINES = ("to be or not to be", "that is the question")


@contextmanager
def line_server(lines: Iterable[str], every_s: float) -> Iterator[int]:
    """Gives the lines to whoever connects, one each `every_s` seconds; yields its port."""

    class Talk(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in lines:
                self.wfile.write(f"{line}\n".encode())
                time.sleep(every_s)
            # Spark's source ends when the other side hangs up: the line stays open.
            self.rfile.read()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talk) as server:
        # A query that still listens must not keep the program from ending.
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def query(spark: SparkSession, port: int, sink: str = "console") -> StreamingQuery:
    """Count the words that come from 127.0.0.1:`port`."""
    source = spark.readStream.format("socket").option("host", "127.0.0.1").option("port", port)
    counts = word_counts(source.load())
    return counts.writeStream.outputMode("complete").format(sink).queryName("said").start()


def main() -> None:
    """Count for some seconds."""
    parser = arguments(__doc__)
    parser.add_argument("--port", type=int, help="of a server of yours, e.g. `nc -lk 9999`")
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    with line_server(LINES, every_s=2) as own, session(given.remote) as spark:
        if given.remote:
            say("the console is the server's: look into its log")
        query(spark, given.port or own).awaitTermination(given.seconds)


if __name__ == "__main__":
    main()
