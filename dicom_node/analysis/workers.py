"""Workers: the interface of the compute engine towards the dispatcher."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from dicom_node.analysis.worker.messages import TaskResult

R = TypeVar("R")  #: a request for a worker


class AnalysisTask(Protocol):
    """A task of the compute engine, as the dispatcher sees it."""

    def when_done(self, act: Callable[[AnalysisTask], None], /) -> None:
        """Call a function with this task once it has ended."""
        ...

    @property
    def worker(self) -> str:
        """The worker that has begun it; empty before."""
        ...

    @property
    def started_at(self) -> float | None:
        """When it was begun, on the monotonic clock; None before."""
        ...

    def result(self) -> TaskResult:
        """Give what an ended task came to, or raise what it raised."""
        ...


class Workers(Protocol):
    """The compute engine, as the dispatcher sees it."""

    @property
    def slots(self) -> int:
        """How many tasks run at the same time; 0 while the engine is away."""
        ...

    @property
    def fit_workers(self) -> frozenset[str]:
        """Those that may get a task."""
        ...

    def name_of(self, worker: str, /) -> str:
        """Name a worker as people do; as it stands if it is not there."""
        ...

    def submit(
        self,
        function: Callable[..., TaskResult],
        request: R,
        /,
        *,
        priority: int,
        avoid: frozenset[str],
        early: Callable[[Callable[[], TaskResult]], None] | None = None,
    ) -> AnalysisTask:
        """Hand a task to a worker, to one to avoid only if there is no other.

        Parameters
        ----------
        early
            Gets a function that fetches what the task hands over before its end; it must not wait.
        """
        ...

    def end(self, task: Any, /) -> None:  # noqa: ANN401  # a task of this engine
        """End a task that hangs, and restart its worker."""
        ...

    def take_back(self, task: Any, /) -> None:  # noqa: ANN401  # a task of this engine
        """Take back a task that no worker has begun."""
        ...

    def tell(self, task: Any, function: Callable[[str], object], word: str, /) -> None:  # noqa: ANN401  # a task of this engine
        """Have the worker that has begun a task, or may have, call a function beside it."""
        ...

    def has_neighbour(self, task: Any, /) -> bool:  # noqa: ANN401  # a task of this engine
        """Whether another task is under way in the same worker."""
        ...

    def record_success(self, worker: str) -> None:
        """Record that a worker brought a task to its end."""
        ...

    def record_fault(self, worker: str, series: str, reason: str) -> None:
        """Record a fault that may be a worker's own."""
        ...


Executor = Callable[[Callable[[], None]], None]
"""Runs something soon, on a thread that may wait for the disk."""
