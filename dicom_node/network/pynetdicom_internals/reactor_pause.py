"""Pause the threads of an association while another thread uses its socket or its answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pynetdicom.association import Association

from dicom_node.network.pynetdicom_internals.version import is_tested

GATE_SECONDS = 1.0  #: longest wait for a thread to pause


class _Gate(threading.Event):
    """A checkpoint that stays closed, and says when a thread has reached it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the checkpoint is opened."""
        self.reached.set()
        return super().wait(timeout)

    def is_set(self) -> bool:
        """Wait until the checkpoint is opened: a thread that only asks must wait as well."""
        return self.wait()

    def set(self) -> None:
        """Stay closed: pynetdicom would open it after each message."""

    def open(self) -> None:
        """Open the checkpoint: the thread goes on."""
        super().set()


@contextmanager
def reactor_paused(assoc: Association) -> Iterator[None]:
    """Pause the association's own thread, so that it does not take the answers while we send.

    pynetdicom 3.0 pauses that thread for every message, but takes a pause that is just ending for
    one that has begun. The thread then swallows the answer and the sender waits for its timeout:
    seen about once in a thousand objects on a busy machine. While it stays paused it cannot, and
    sending no longer waits for each pause.
    """
    if not is_tested():
        yield  # pynetdicom pauses the thread itself, message by message
        return
    gate, ordinary = _Gate(), assoc._reactor_checkpoint
    assoc._reactor_checkpoint = gate
    gate.reached.wait(GATE_SECONDS)  # the thread passes every millisecond, unless it has ended
    try:
        yield
    finally:
        assoc._reactor_checkpoint = ordinary
        gate.open()


@contextmanager
def dul_paused(assoc: Association) -> Iterator[bool]:
    """Pause the upper layer's thread, which reads the socket; yield whether that was possible.

    In each of its rounds that thread asks once whether the association knows that it runs.
    """
    gate, ordinary = _Gate(), assoc._dul_ready
    assoc._dul_ready = gate
    paused = gate.reached.wait(GATE_SECONDS)
    try:
        if not paused:
            gate.open()
        yield paused
    finally:
        assoc._dul_ready = ordinary
        assoc.dul._idle_timer.restart()  # it did not see the PDUs that arrived
        gate.open()
