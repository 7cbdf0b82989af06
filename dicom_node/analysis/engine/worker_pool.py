"""Workers of an engine: who is there, who has shown that it can do its tasks, who is left out.

A worker gets tasks once its proof has succeeded. One that fails the proof, or tasks in a row, is
left out for a while, and asked for its proof again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from distributed import Future
from distributed.scheduler import KilledWorker

from dicom_node.analysis.engine.connection import SeenWorker, in_a_line
from dicom_node.analysis.engine.worker_condition import WorkerCondition
from dicom_node.analysis.engine.worker_records import (
    Pace,
    WorkerRecord,
    after_fault,
    after_refusal,
    after_success,
)
from dicom_node.errors import NodeError
from dicom_node.health import Health
from dicom_node.logs import log
from pipeline.errors import PipelineError

PROOF_SECONDS = 300.0  #: a proof that takes longer is said to be missing


@dataclass(slots=True, kw_only=True)
class Proof:
    """The proof of one worker, under way."""

    future: Future[None]
    since: float


class WorkerPool:
    """Knows the workers of one engine, from look to look.

    Parameters
    ----------
    ask
        Has a worker show that it can do its tasks; raises `EngineAway`.
    health
        Where it is said which worker is out of order.
    rest
        How long a worker is left out.
    silent_seconds
        Before a worker that is not heard is taken for stopped.
    """

    def __init__(
        self,
        ask: Callable[[SeenWorker], Future[None]],
        health: Health,
        *,
        rest: Pace,
        silent_seconds: float,
    ) -> None:
        self._ask, self._health, self._rest = ask, health, rest
        self._condition = WorkerCondition(silent_seconds)
        self._lock = threading.RLock()
        self._seen: dict[str, SeenWorker] = {}  #: by address, as the three below
        self._idle: dict[str, str] = {}  #: workers that would begin no task, and why
        self._proved: set[str] = set()
        self._proofs: dict[str, Proof] = {}
        self._records: dict[str, WorkerRecord] = {}  #: by identity

    @property
    def addresses(self) -> frozenset[str]:
        """Of all that are there, fit or not."""
        with self._lock:
            return frozenset(self._seen)

    @property
    def idle(self) -> frozenset[str]:
        """Addresses of those that would begin no task, fit or not."""
        with self._lock:
            return frozenset(self._idle)

    @property
    def proofs_under_way(self) -> int:
        """How many workers have been asked and have not answered."""
        with self._lock:
            return len(self._proofs)

    def fit(self) -> list[SeenWorker]:
        """List the workers that may get a task."""
        now = time.monotonic()
        with self._lock:
            return [
                worker
                for worker in self._seen.values()
                if worker.address in self._proved
                and worker.address not in self._idle
                and not self._record(worker).is_left_out(now)
            ]

    def identity_at(self, address: str) -> str:
        """Find who works at an address; the address itself if nobody is known there."""
        with self._lock:
            worker = self._seen.get(address)
        return worker.identity if worker else address

    def clear(self) -> None:
        """Forget who was there; what each did is remembered."""
        with self._lock:
            self._seen, self._proved, self._proofs, self._idle = {}, set(), {}, {}

    def withdraw(self, address: str) -> None:
        """Have the worker at an address show once more that it can do its tasks."""
        with self._lock:
            self._proved.discard(address)

    def record_success(self, identity: str) -> None:
        """Record that a worker brought a task to its end."""
        with self._lock:
            if identity in self._records:
                self._records[identity] = after_success(self._records[identity])

    def record_fault(self, identity: str, series: str, reason: str) -> None:
        """Record a fault that may be a worker's own."""
        now = time.monotonic()
        with self._lock:
            record = self._records.get(identity, WorkerRecord())
            record = after_fault(record, series, reason, now, self._rest)
            self._records[identity] = record
            if record.is_left_out(now):
                self._leave_out(identity, record)

    def record_refusal(self, identity: str, reason: str) -> None:
        """Record that a worker could not begin with a task: it is left out at once."""
        with self._lock:
            known = self._records.get(identity, WorkerRecord())
            record = after_refusal(known, reason, time.monotonic(), self._rest)
            self._records[identity] = record
            self._leave_out(identity, record)

    def label_of(self, identity: str) -> str:
        """Name a worker as people do; by its identity if it is not there."""
        with self._lock:
            labels = (one.label for one in self._seen.values() if one.identity == identity)
            return next(labels, identity)

    def look_at(self, workers: list[SeenWorker]) -> None:
        """Take note of the workers there are, and of the proofs that were given."""
        now = time.monotonic()
        with self._lock:
            gone = [worker for worker in self._seen.values() if worker not in workers]
            self._seen = {worker.address: worker for worker in workers}
            self._proved &= self._seen.keys()
            self._proofs = {
                address: proof for address, proof in self._proofs.items() if address in self._seen
            }
            here = {worker.identity for worker in workers}
            self._records = {
                identity: record
                for identity, record in self._records.items()
                if identity in here or record.is_left_out(now)
            }
        for worker in gone:
            if worker.identity not in here:
                self._health.well(f"worker {worker.label}")
        for worker in workers:
            self._look_at_proof(worker, now)
        self._look_at_condition(workers, now)

    def _look_at_condition(self, workers: list[SeenWorker], now: float) -> None:
        """Take note of the workers that are there, but would begin no task."""
        idle = self._condition.faults(workers, now)
        with self._lock:
            before, self._idle = self._idle, idle
        for worker in workers:
            part = f"worker {worker.label}"
            if reason := idle.get(worker.address):
                if self._health.fault(part, reason):
                    log.warning("worker_idle", worker=worker.label, reason=reason)
            elif worker.address in before:
                record = self._record(worker)
                if record.is_left_out(now):
                    self._health.fault(part, record.reason)
                else:
                    self._health.well(part)

    def _look_at_proof(self, worker: SeenWorker, now: float) -> None:
        """Ask a new worker for its proof, or enter what became of it."""
        with self._lock:
            proof = self._proofs.get(worker.address)
            if proof is None:
                if worker.address in self._proved or self._record(worker).is_left_out(now):
                    return
                self._proofs[worker.address] = Proof(future=self._ask(worker), since=now)
                return
            if not proof.future.done():
                if now - proof.since > PROOF_SECONDS:
                    waited = f"no proof of its fitness within {PROOF_SECONDS:.0f} s"
                    self._health.fault(f"worker {worker.label}", waited)
                return
            del self._proofs[worker.address]
        if proof.future.status == "finished":
            with self._lock:
                self._proved.add(worker.address)
            self._health.well(f"worker {worker.label}")
            log.info("worker_fit", worker=worker.label, threads=worker.threads)
        elif proof.future.status == "error":
            reason = _why(proof.future.exception())
            record = after_refusal(self._record(worker), reason, now, self._rest)
            with self._lock:
                self._records[worker.identity] = record
            self._leave_out(worker.identity, record)

    def _record(self, worker: SeenWorker) -> WorkerRecord:
        return self._records.get(worker.identity, WorkerRecord())

    def _leave_out(self, identity: str, record: WorkerRecord) -> None:
        """Give a worker no task for a while, then ask for its proof again."""
        with self._lock:
            named = [worker for worker in self._seen.values() if worker.identity == identity]
            self._proved -= {worker.address for worker in named}
        seconds = round(record.until - time.monotonic())
        for worker in named:
            self._health.fault(f"worker {worker.label}", record.reason)
            log.error("worker_left_out", worker=worker.label, reason=record.reason, seconds=seconds)


def _why(fault: BaseException | None) -> str:
    """Say in a line why a worker is unfit."""
    match fault:
        case KilledWorker():
            return "it died when it was to show what it can do"
        case NodeError() | PipelineError():
            return str(fault)
        case _:
            return in_a_line(fault)
