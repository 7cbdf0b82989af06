"""A web service whose answer does not come to its end is hung up on, and holds up nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from dicom_node.network.answer_watch import CONNECTED, SENT, AnswerWatch


class Stream:
    """A connection as httpcore gives it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self._connection if name == "socket" else None


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(20)
        yield ours, theirs


def begin(watch: AnswerWatch, connection: socket.socket) -> threading.Thread:
    """Connect and send a request; return the thread that watches the answer."""
    before = set(threading.enumerate())
    watch(CONNECTED[0], {"return_value": Stream(connection)})
    watch(SENT[0], {})
    (thread,) = set(threading.enumerate()) - before
    return thread


def test_an_answer_that_takes_too_long_ends_the_connection(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    watch = AnswerWatch(0.01)
    watch(CONNECTED[0], {"return_value": Stream(ours)})
    watch(SENT[0], {})
    assert theirs.recv(1) == b""
    assert watch.hung_up


def test_an_answer_that_is_there_is_watched_no_more(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    watch = AnswerWatch(600)
    thread = begin(watch, ends[0])
    watch.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert not watch.hung_up


def test_each_request_is_watched_from_its_own_end(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    watch = AnswerWatch(600)
    first = begin(watch, ends[0])
    second = begin(watch, ends[0])
    first.join(20)
    assert (first.is_alive(), second.is_alive()) == (False, True)
    watch.stop()


def test_a_watch_keeps_no_process_from_ending(ends: tuple[socket.socket, socket.socket]) -> None:
    watch = AnswerWatch(600)
    thread = begin(watch, ends[0])
    assert thread.daemon
    watch.stop()
