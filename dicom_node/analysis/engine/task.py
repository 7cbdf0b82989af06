"""A function on its way through the engine: who began it, when, and what it came to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from distributed import Future
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from dicom_node.analysis.engine.packed_call import Sealed, opened
from dicom_node.analysis.fetch.offer import OfferedFile
from dicom_node.errors import EngineAway, EngineLost, NotFetched

T = TypeVar("T")

ASK_SECONDS = 5.0  #: patience with the scheduler where nothing hangs on its answer

Early = Callable[[Callable[[], Any]], None]
"""Gets a function that fetches what a task has handed over; called on the engine's own thread."""


class Cut(Enum):
    """Why we ended a task before its end."""

    OVERDUE = auto()  # it hung
    REPEATED = auto()  # the scheduler had it begun a second time: its first worker is lost
    STRANDED = auto()  # no worker is left that might begin it
    NEIGHBOUR = auto()  # its worker was restarted because of another task


SENTENCES = {
    Cut.OVERDUE: "the analysis took too long; its worker was restarted",
    Cut.REPEATED: "its worker was lost during the analysis",
}


class Task(Generic[T]):
    """A function on its way through the engine.

    Attributes
    ----------
    addresses
        Workers that may run it.
    early
        Told when it has handed over a part of what it comes to; None if it does not.
    offered
        Files that its worker may ask for, by their numbers.
    asks
        How often it has asked.
    worker, address
        The worker that has begun it, and the address of its process; empty before.
    started_at
        When it was begun, on the monotonic clock; None before.
    repeated
        Whether the scheduler had it begun a second time.
    taken
        Whether its value was taken, or waited for in vain.
    """

    def __init__(
        self,
        addresses: frozenset[str],
        early: Early | None = None,
        offered: Sequence[OfferedFile] = (),
    ) -> None:
        self.addresses = addresses
        self.early = early
        self.offered, self.asks = offered, 0
        self.worker = ""
        self.address = ""
        self.started_at: float | None = None
        self.repeated = False
        self.taken = False
        self._cut: Cut | None = None
        self._future: Future[Sealed] | None = None
        self._lock = threading.Lock()
        self._ended = False
        self._lost = False
        self._acts: list[Callable[[Task[T]], None]] = []

    def follow(self, future: Future[Sealed]) -> None:
        """Take what Dask gave for it."""
        self._future = future
        future.add_done_callback(lambda _: self._end())

    def lose(self) -> None:
        """Enter that the connection is closed: nothing more is heard of the task."""
        self._lost = True
        self._end()

    def begin(self, worker: str, address: str, now: float) -> None:
        """Enter that a worker has begun it; a second time, it is to be ended."""
        if self.started_at is not None:
            self.repeated = True
            return
        self.worker, self.address, self.started_at = worker, address, now

    def mark(self, cut: Cut) -> None:
        """Say why it is about to end; what comes first is its reason."""
        self._cut = self._cut or cut

    def cut(self, cut: Cut) -> None:
        """End it, from any thread but the client's own."""
        self.mark(cut)
        self._of_dask.cancel()

    def when_done(self, act: Callable[[Task[T]], None]) -> None:
        """Call `act` with this task once it has ended; from another thread."""
        with self._lock:
            if not self._ended:
                self._acts.append(act)
                return
        act(self)

    def _end(self) -> None:
        with self._lock:
            acts, self._acts, self._ended = self._acts, [], True
        for act in acts:
            act(self)

    def result(self, timeout_seconds: float | None = None) -> T:
        """Wait for the task's value.

        Raises
        ------
        EngineLost
            If the worker that had begun it died, hung, or ran out of memory, or what it handed
            back is not what it had made.
        EngineAway
            If no worker had begun it, or the engine as a whole was lost; other errors are the
            task's own.
        """
        if self._lost or self._of_dask.status in {"cancelled", "lost"}:
            raise self._loss()
        try:
            value: T = opened(self._of_dask.result(timeout=timeout_seconds))
        except KilledWorker as lost:
            if self.worker and self._cut is not Cut.NEIGHBOUR:
                raise EngineLost("its worker died during the analysis") from lost
            raise EngineAway("its worker was lost before the analysis began") from lost
        except (CancelledError, CommClosedError) as lost:
            raise self._loss() from lost
        except RuntimeError as fault:
            if self._lost or self._of_dask.client.status == "closed":
                raise self._loss() from fault
            raise
        finally:
            self.taken = True
        return value

    @property
    def failed(self) -> bool:
        """Whether an ended task came to nothing."""
        return self._lost or self._of_dask.status != "finished"

    @property
    def not_fetched(self) -> str:
        """Why an ended task could not fetch its files; empty if that did not end it."""
        if self._lost or self._of_dask.status != "error":
            return ""
        try:
            fault = self._of_dask.exception(timeout=ASK_SECONDS)
        except Exception:  # noqa: BLE001  # library border: the connection is lost
            return ""
        return str(fault) if isinstance(fault, NotFetched) else ""

    def _loss(self) -> EngineLost | EngineAway:
        if self._cut in SENTENCES:
            return EngineLost(SENTENCES[self._cut])
        return EngineAway("the engine was lost during the analysis")

    @property
    def _of_dask(self) -> Future[Sealed]:
        if self._future is None:
            raise RuntimeError("expected a task that was handed to the engine")
        return self._future
