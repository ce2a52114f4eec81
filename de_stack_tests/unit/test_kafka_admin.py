"""What an admin client leaves behind.

Belongs here: clients that no broker answered. Does not belong here: questions to a broker
(`integration/test_topics_kafka.py`).
"""

from __future__ import annotations

import gc
import logging
import socket
import threading
import time

import psutil
import pytest

from de_stack.failures import TransientFailure
from de_stack.resources.kafka import Kafka
from de_stack.settings import Settings


def test_a_client_that_no_broker_answered_leaves_no_thread_and_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # pytest keeps what is logged: errors, and with them all that was on the stack.
    monkeypatch.setattr(logging.getLogger("kafka"), "propagate", False)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    kafka = Kafka(Settings(profile="external", kafka_bootstrap=f"127.0.0.1:{port}"))

    def ask() -> int:
        with pytest.raises(TransientFailure, match="Unable to bootstrap"):
            kafka.topic_state("t", 100)
        gc.collect()
        return psutil.Process().num_fds()

    ask()
    # Threads of tests before may end meanwhile, and take what they have open along.
    before, first = set(threading.enumerate()), ask()
    assert max(ask() for _ in range(3)) <= first
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_a_broker_that_takes_the_connection_and_says_nothing_is_given_up_in_time(
    protocol: str,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        where = {"kafka_bootstrap": f"127.0.0.1:{port}", "kafka_security_protocol": protocol}
        kafka = Kafka(Settings(profile="external", **where))
        before, began = set(threading.enumerate()), time.monotonic()
        with pytest.raises(TransientFailure, match="Unable to bootstrap"):
            kafka.topic_state("t", 300)
        assert time.monotonic() - began < 5
        assert set(threading.enumerate()) <= before
