"""Compute engine that may come and go: connect, look at the workers, hand out tasks.

A task that loses its worker is not retried here: it fails as `EngineLost`, and the node gives the
series back, so that attempts are counted in one place, the database.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from distributed import Future

from dicom_node.analysis.engine.connection import Connection, SeenWorker
from dicom_node.analysis.engine.hand_over import announced, handing_over, take_over
from dicom_node.analysis.engine.packed_call import packed_call, unpack_and_call
from dicom_node.analysis.engine.task import Cut, Early, Task
from dicom_node.analysis.engine.worker_condition import SILENT_SECONDS
from dicom_node.analysis.engine.worker_pool import WorkerPool
from dicom_node.analysis.engine.worker_records import REST, Pace
from dicom_node.analysis.fetch.fetching import let_go, send
from dicom_node.analysis.fetch.offer import offered_files
from dicom_node.errors import EngineAway, NoWorker
from dicom_node.health import Health
from dicom_node.logs import log

T = TypeVar("T")

RECONNECT = Pace(first_seconds=1.0, longest_seconds=60.0)  #: between two tries to connect
PROOF_PRIORITY = 100  #: above every task of a node: who waits for it can do nothing else
EMPTY_SECONDS = 60.0  #: an embedded engine whose worker is away or hangs so long is made anew


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePaces:
    """How long the engine waits for what has failed.

    Attributes
    ----------
    reconnect
        Before it tries to connect again.
    rest
        Before a worker that is left out is looked at again.
    silent_seconds
        Before a worker that is not heard is taken for stopped.
    empty_seconds
        Before an embedded engine without a worker that could begin a task is made anew.
    """

    reconnect: Pace = RECONNECT
    rest: Pace = REST
    silent_seconds: float = SILENT_SECONDS
    empty_seconds: float = EMPTY_SECONDS


class ComputeEngine:
    """Runs functions in worker processes, while there are any.

    Parameters
    ----------
    connect
        Makes a connection; raises `EngineAway`.
    prove
        Run once in each worker before it gets a task; whatever it raises makes the worker unfit.
    health
        Where it is said that the engine, or a worker, is out of order.
    renewed
        Whether the engine is our own, and made anew when it has no worker for long.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        prove: Callable[[], None],
        health: Health,
        *,
        renewed: bool,
        paces: EnginePaces | None = None,
    ) -> None:
        self._connect, self._prove, self._health = connect, prove, health
        self._renewed, self._paces = renewed, paces or EnginePaces()
        self._topic = f"dicom-node-{uuid.uuid4()}"
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._failures, self._next_try = 0, 0.0
        self._occupied_at = 0.0  #: when it last had a worker that could begin a task
        self._pool = WorkerPool(
            self._ask,
            health,
            rest=self._paces.rest,
            silent_seconds=self._paces.silent_seconds,
        )
        self._tasks: dict[str, Task[Any]] = {}
        self._done: WeakSet[Task[Any]] = WeakSet()  # their values may still lie at their workers

    @property
    def slots(self) -> int:
        """How many tasks run at the same time: one in each thread of each fit worker."""
        return sum(worker.threads for worker in self._pool.fit())

    @property
    def fit_workers(self) -> frozenset[str]:
        """Those that may get a task, by their identities."""
        return frozenset(worker.identity for worker in self._pool.fit())

    def name_of(self, identity: str) -> str:
        """Name a worker as people do; by its identity if it is not there."""
        return self._pool.label_of(identity)

    def tend(self) -> None:
        """Do one round: connect if need be, look at the workers, end what nobody will run."""
        try:
            connection = self._connected()
            if connection is None:
                return
            self._pool.look_at(connection.workers())
        except EngineAway as away:
            self._lose(str(away))
            return
        self._end_stranded()
        self._report()

    def submit(
        self,
        function: Callable[..., T],
        *arguments: Any,  # noqa: ANN401  # any picklable value
        priority: int = 0,
        avoid: frozenset[str] = frozenset(),
        early: Early | None = None,
    ) -> Task[T]:
        """Hand a task to a fit worker.

        Parameters
        ----------
        priority
            Higher ones first, also before the tasks of other nodes.
        avoid
            Workers that get it only if there is no other.
        early
            Gets what the task hands over before its end: the function is called with one argument
            more, which takes that. See :attr:`Task.early`.

        Raises
        ------
        NoWorker
            If there is no fit worker.
        """
        with self._lock:
            fit = self._pool.fit()
            chosen = [worker for worker in fit if worker.identity not in avoid] or fit
            if self._connection is None or not chosen:
                raise NoWorker("the engine has no worker that may take a task")
            addresses = frozenset(worker.address for worker in chosen)
            offered = [file for argument in arguments for file in offered_files(argument)]
            token, task = uuid.uuid4().hex, Task[T](addresses, early, offered)
            self._tasks[token] = task
            future = self._connection.client.submit(
                unpack_and_call,
                packed_call(
                    handing_over if early else announced,
                    self._topic,
                    token,
                    function,
                    *arguments,
                ),
                pure=False,
                retries=0,
                priority=priority,
                workers=list(addresses),
                allow_other_workers=False,
            )
            task.follow(future)
        task.when_done(lambda _: self._ended(token, task))
        return task

    def end(self, task: Task[Any]) -> None:
        """End a task that hangs, and restart its worker; no other is disturbed."""
        with self._lock:
            connection, address = self._connection, task.address
            neighbours = [other for other in self._tasks.values() if other.address == address]
        self._pool.withdraw(address)
        for other in neighbours:
            if other is not task:
                other.mark(Cut.NEIGHBOUR)
        _cut(task, Cut.OVERDUE)
        if connection is not None and address:
            connection.restart_worker(address)

    def take_back(self, task: Task[Any]) -> None:
        """Take back a task that no worker has begun."""
        if task.started_at is None:
            _cut(task, Cut.STRANDED)

    def tell(self, task: Task[Any], function: Callable[[str], object], word: str) -> None:
        """Have the worker that has begun a task call a function beside it, at once.

        As long as none is known to have begun it, all that may have.
        """
        with self._lock:
            connection = self._connection
            addresses = frozenset({task.address}) if task.address else task.addresses
        if connection is not None:
            connection.tell_workers(addresses, function, word)

    def has_neighbour(self, task: Task[Any]) -> bool:
        """Whether another task of this node is under way in the same worker."""
        with self._lock:
            others = [other for other in self._tasks.values() if other is not task]
        return bool(task.address) and any(other.address == task.address for other in others)

    def record_success(self, worker: str) -> None:
        """Record that a worker brought a task to its end."""
        self._pool.record_success(worker)

    def record_fault(self, worker: str, series: str, reason: str) -> None:
        """Record a fault that may be a worker's own."""
        self._pool.record_fault(worker, series, reason)

    def close(self) -> None:
        """End the connection, and the embedded workers with it; leave a fleet alone."""
        with self._lock:
            connection, self._connection = self._connection, None
        self._close(connection)

    def _close(self, connection: Connection | None) -> None:
        """Close a connection; the tasks on it end: nobody's fault."""
        if connection is None:
            return
        with self._lock:
            tasks = list(self._tasks.values())
        for task in tasks:
            task.lose()
        connection.close()

    def _connected(self) -> Connection | None:
        """Give the connection; make one if there is none and it is time to.

        Raises
        ------
        EngineAway
            If the connection was lost, or none can be made.
        """
        if self._connection is not None:
            if not self._connection.alive:
                raise EngineAway("the connection to the scheduler was lost")
            return self._connection
        if time.monotonic() < self._next_try:
            return None
        connection = self._connect()
        connection.client.subscribe_topic(self._topic, self._told)
        with self._lock:
            self._connection = connection
        self._failures, self._occupied_at = 0, time.monotonic()
        log.info("engine_connected")
        return connection

    def _lose(self, reason: str) -> None:
        """Close a connection that is of no use; another is tried for after a wait."""
        with self._lock:
            connection, self._connection = self._connection, None
        self._pool.clear()
        self._failures += 1
        self._next_try = time.monotonic() + self._paces.reconnect.wait(self._failures)
        self._say_away(reason)
        self._close(connection)

    def _told(self, event: tuple[float, dict[str, Any]]) -> None:
        """Enter what a worker tells of a task; on the client's own thread.

        It was begun, has handed a part over, or asks for files.
        """
        _, told = event
        token = told["token"]
        with self._lock:
            task = self._tasks.get(token)
        if "ask" in told:
            self._send(token, task, told["ask"], told["files"])
        elif task is None:
            return
        elif "part" not in told:
            address = told["worker"]
            task.begin(self._pool.identity_at(address), address, time.monotonic())
        elif task.early is not None:
            task.early(partial(self._take_over, token))

    def _take_over(self, token: str) -> Any:  # noqa: ANN401  # what the task handed over
        connection = self._connection
        if connection is None:
            raise EngineAway("the connection was closed")
        return take_over(connection.client, token)

    def _send(self, token: str, task: Task[Any] | None, ask: int, numbers: Sequence[int]) -> None:
        """Send the files that the worker of a task asks for.

        Of a task that has ended, Dask may have lost the result, and have it made once more.
        """
        connection = self._connection
        if connection is None:
            return
        if task is None:
            send(connection.client, token, ask, None)
            return
        task.asks = ask
        chosen = [task.offered[number] for number in numbers]
        label = self._pool.label_of(task.worker)
        send(connection.client, token, ask, chosen, worker=label)

    def _ended(self, token: str, task: Task[Any]) -> None:
        """Forget a task; a worker that could not fetch its files is left out for a while."""
        with self._lock:
            self._tasks.pop(token, None)
            connection = self._connection
            if not task.failed:
                self._done.add(task)
                return
        if task.asks and connection is not None:
            let_go(connection.client, token, task.asks)
        if reason := task.not_fetched:
            self._pool.record_refusal(task.worker, reason)

    def _ask(self, worker: SeenWorker) -> Future[None]:
        if self._connection is None:
            raise EngineAway("the connection was closed")
        return self._connection.client.submit(
            unpack_and_call,
            packed_call(self._prove),
            pure=False,
            retries=0,
            priority=PROOF_PRIORITY,
            workers=[worker.address],
            allow_other_workers=False,
        )

    def _end_stranded(self) -> None:
        """End what no worker may begin, and what the scheduler has begun a second time.

        What is not begun may lie at any of the workers that were fit: one of them that begins
        nothing is enough.
        """
        with self._lock:
            tasks = list(self._tasks.values())
        seen, idle = self._pool.addresses, self._pool.idle
        stranded = [
            task
            for task in tasks
            if task.repeated
            or (task.started_at is None and (task.addresses & idle or not task.addresses & seen))
        ]
        for task in stranded:
            _cut(task, Cut.REPEATED if task.repeated else Cut.STRANDED)
        self._end_lost_values()

    def _end_lost_values(self) -> None:
        """End what was done by a worker that was lost before anybody took its value.

        The scheduler would have it made once more, at addresses that no longer exist.
        """
        with self._lock:
            self._done = WeakSet(task for task in self._done if not task.taken)
            lost = [task for task in self._done if not task.addresses & self._pool.addresses]
        for task in lost:
            _cut(task, Cut.REPEATED)

    def _report(self) -> None:
        """Say in the health of the node whether the engine can work; see to an empty one."""
        now, fit, seen = time.monotonic(), self._pool.fit(), len(self._pool.addresses)
        hangs = self._pool.idle >= self._pool.addresses
        with self._lock:
            occupied = any(task.started_at is not None for task in self._tasks.values())
        if occupied or not hangs:
            self._occupied_at = now
        if fit:
            if self._health.well("engine"):
                log.info("engine_ready", slots=sum(worker.threads for worker in fit))
        elif hangs and now - self._occupied_at > self._paces.empty_seconds and self._renewed:
            self._lose("its worker hangs" if seen else "its worker does not start")
        elif not seen:
            self._say_away("the scheduler has no worker")
        elif hangs or not self._pool.proofs_under_way:
            self._say_away(f"none of its {seen} worker(s) is fit: see each of them")

    def _say_away(self, reason: str) -> None:
        if self._health.fault("engine", reason):
            log.error("engine_away", reason=reason)


def _cut(task: Task[Any], cut: Cut) -> None:
    with contextlib.suppress(OSError, RuntimeError):  # the connection is lost, and the task with it
        task.cut(cut)
