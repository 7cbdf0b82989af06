"""Compute engine: run tasks in worker processes of Dask, embedded or a fleet.

Embedded means a ``LocalCluster`` with one worker process under a nanny that restarts it when it
dies. Its traffic goes over TLS with temporary keys, so that no other user of the machine can
hand it code. A task that loses its worker is not retried here: it fails as `EngineLost`, and the
node gives the series back, so that attempts are counted in one place, the database.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any, Generic, TypeVar

import dask
from distributed import Client, Future, LocalCluster
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker

from dicom_node.errors import EngineLost

T = TypeVar("T")

LOST = (KilledWorker, CancelledError, CommClosedError, TimeoutError)

# glibc gives every large activation back to the kernel and faults it in again: up to twice the
# time of a network on a CPU (mallopt(3)). Threads that spin while they wait for each other, the
# default of OpenMP, more than double it as soon as anything else wants the processor.
SURROUNDINGS = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}


class ComputeEngine:
    """Runs functions in worker processes.

    Parameters
    ----------
    scheduler
        ``embedded``, or the address of a Dask scheduler (``tls://host:port``).
    threads
        Processor threads that one task may use; 0 for all cores.
    memory_limit_gb
        Memory of the embedded worker, GB; 0 for all there is. Above it the worker is restarted.
    """

    def __init__(self, *, scheduler: str, threads: int, memory_limit_gb: float) -> None:
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.worker.daemon": True,
                "distributed.scheduler.http.routes": [],
                "distributed.worker.http.routes": [],
                "distributed.comm.timeouts.connect": "10s",
                "distributed.admin.log-format": "%(levelname)s %(name)s: %(message)s",
            }
        )
        self._cluster = (
            _embedded(threads=threads or os.cpu_count() or 1, memory_limit_gb=memory_limit_gb)
            if scheduler == "embedded"
            else None
        )
        self._client = Client(self._cluster or scheduler, set_as_default=False)

    @property
    def slots(self) -> int:
        """How many tasks run at the same time: one on each worker."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, function: Callable[..., T], *arguments: Any, priority: int = 0) -> Task[T]:  # noqa: ANN401  # any picklable value
        """Hand a task to a worker; higher priority first."""
        return Task(
            self._client.submit(function, *arguments, pure=False, retries=0, priority=priority)
        )

    def restart(self) -> None:
        """Restart every worker: the remedy for a task that hangs."""
        self._client.restart(wait_for_workers=False)

    def close(self) -> None:
        """Stop the embedded workers; leave a fleet alone."""
        self._client.close(timeout=5)
        if self._cluster is not None:
            self._cluster.close(timeout=10)


class Task(Generic[T]):
    """A function on its way through the engine."""

    def __init__(self, future: Future[T]) -> None:
        self._future = future

    def when_done(self, act: Callable[[Task[T]], None]) -> None:
        """Call `act` with this task once it has ended; from another thread."""
        self._future.add_done_callback(lambda _: act(self))

    def result(self, timeout_seconds: float | None = None) -> T:
        """Wait for the task's value.

        Raises
        ------
        EngineLost
            If the worker died or the task was cancelled; other errors are the task's own.
        """
        try:
            value: T = self._future.result(timeout=timeout_seconds)
        except LOST as lost:
            raise EngineLost(f"{type(lost).__name__}: the worker did not finish the task") from lost
        return value


def _embedded(*, threads: int, memory_limit_gb: float) -> LocalCluster:
    """One worker process under a nanny, on loopback."""
    environment = {
        **SURROUNDINGS,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
    }
    return LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        security=True,
        dashboard_address="127.0.0.1:0",  # any port, and none of the pages below
        memory_limit=f"{memory_limit_gb}GB" if memory_limit_gb else 0,
        env=environment,
        silence_logs=logging.CRITICAL,  # a lost worker is an event of the node
    )
