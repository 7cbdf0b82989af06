"""Ask archives how many instances a series has: C-FIND, Number of Series Related Instances.

A question is asked on a thread of its own and its answer looked up later, so that nobody waits for
an archive: neither the receiver, whose first instance of a series sets off the first question, nor
who closes series. Each archive has threads of its own: one that hangs holds up no other.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field

from dicom_node.closing.decision import Counted
from dicom_node.health import Health
from dicom_node.logs import log
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed, archive, keys
from storage.series.instance_facts import InstanceFacts

THREADS = 2  #: questions to one archive under way
EVERY_SECONDS = 2.0  #: between two questions about a series; twice as long after each that failed
LONGEST_SECONDS = 60.0
MAXIMUM_QUESTIONS = 40  #: about one series
MAXIMUM_WAITING = 500  #: questions to one archive; further ones are not asked
MAXIMUM_SERIES = 5_000  #: that are remembered; about further ones nobody is asked
UNUSED_SECONDS = 600.0  #: after so long without use, a series makes room for another
FAULT_SECONDS = 3600.0  #: for which an archive that failed stays out of order if not asked again
ANY_SENDER = "*"  #: in the settings: of whoever has no archive of its own
MAXIMUM_COUNT = 10**7  #: instances; a larger number is none


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What an archive said; how many instances were here when it was asked, and at its answer."""

    held_before: int
    held_after: int
    count: int


@dataclass(slots=True)
class _Asked:
    """Questions about one series, and the answers."""

    answers: list[_Answer] = field(default_factory=list)
    questions: int = 0
    is_waiting: bool = False
    next_at: float = 0.0
    wait_seconds: float = EVERY_SECONDS
    used_at: float = 0.0


@dataclass(slots=True)
class _Archive:
    """An archive, the threads that ask it, and how many questions wait for them."""

    peer: Peer
    pool: Executor
    waiting: int = 0
    failed_at: float | None = None

    @property
    def part(self) -> str:
        """Its name in the condition of the node."""
        return part_of(self.peer)


def part_of(peer: Peer) -> str:
    """Name an archive in the condition of the node; several may have the same AE title."""
    return f"archive {peer.ae_title}@{peer.host}:{peer.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which series is asked about, and how many of its instances are here."""

    series_instance_uid: str
    study_instance_uid: str
    calling_ae: str
    held: int


Count = Callable[[Peer, Question], int | None]
"""Asks an archive; None if it does not know the series. Raises `QueryFailed`."""


class ArchiveCounts:
    """Remembers what archives said of series that are being received; for any thread.

    Attributes
    ----------
    when_answered
        Called when an archive has said something.

    Parameters
    ----------
    archives
        Who is asked about the series of a sender, by its AE title or `ANY_SENDER`.
    count
        Asks an archive.
    received
        Tells how many instances of a series have come.
    executor
        Runs the questions; threads of each archive's own by default.
    """

    def __init__(
        self,
        archives: Mapping[str, Peer],
        count: Count,
        received: Callable[[str], int],
        health: Health,
        *,
        steady: Callable[[], float] = time.monotonic,
        executor: Executor | None = None,
    ) -> None:
        self._count, self._health = count, health
        self._received, self._steady = received, steady
        self._lock = threading.Lock()
        self._series: OrderedDict[str, _Asked] = OrderedDict()
        self.when_answered: Callable[[], object] = bool
        self._executor = executor
        self._archives: dict[str, _Archive] = {}
        self.take(archives)

    def take(self, archives: Mapping[str, Peer]) -> None:
        """Ask other archives from now on; of one that is asked no more nothing is said."""
        with self._lock:
            known = {one.part: one for one in self._archives.values()}  # whoever's series it is
            wanted: dict[str, _Archive] = {}
            for sender, peer in archives.items():
                part = part_of(peer)
                if part not in known:
                    known[part] = _Archive(peer, self._executor or _threads())
                wanted[sender] = known[part]
            self._archives = wanted
            gone = known.keys() - {one.part for one in wanted.values()}
            for part in gone:
                known[part].pool.shutdown(wait=False, cancel_futures=True)
                self._health.well(part)
            if gone:  # what was to be asked there may be asked elsewhere
                for asked in self._series.values():
                    asked.is_waiting = False

    def stop(self) -> None:
        """Ask nothing more."""
        for one in self._archives.values():
            one.pool.shutdown(wait=False, cancel_futures=True)

    def tend(self) -> None:
        """Let a fault go that is old: the archive was not asked again, so nothing is known."""
        now = self._steady()
        with self._lock:
            for one in self._archives.values():
                if one.failed_at is not None and now - one.failed_at > FAULT_SECONDS:
                    one.failed_at = None
                    self._health.well(one.part)

    def begin(self, instance: InstanceFacts) -> None:
        """Ask at the first instance of a series: an archive that has it whole already says so."""
        if instance.of_self_test:  # nobody knows of it
            return
        self.ask(
            Question(
                series_instance_uid=instance.series_instance_uid,
                study_instance_uid=instance.study_instance_uid,
                calling_ae=instance.calling_ae,
                held=1,
            )
        )

    def ask(self, question: Question) -> None:
        """Ask, unless an answer is awaited, or has come a moment ago; return at once."""
        with self._lock:
            one = self._archives.get(question.calling_ae) or self._archives.get(ANY_SENDER)
            if one is None:
                return
            asked, now = self._used(question.series_instance_uid), self._steady()
            if asked is None or asked.is_waiting or now < asked.next_at:
                return
            if asked.questions >= MAXIMUM_QUESTIONS or one.waiting >= MAXIMUM_WAITING:
                return
            asked.is_waiting = True
            asked.questions += 1
            one.waiting += 1
        try:
            one.pool.submit(self._answer, one, question, asked)
        except RuntimeError:  # it was stopped, or taken away a moment ago: another may be asked
            with self._lock:
                asked.is_waiting = False
                asked.questions -= 1
                one.waiting -= 1

    def _used(self, series_instance_uid: str) -> _Asked | None:
        """Find what is known of a series, or begin it; None if too many are in use."""
        now = self._steady()
        asked = self._series.get(series_instance_uid)
        if asked is None:
            if len(self._series) >= MAXIMUM_SERIES:
                oldest, least = next(iter(self._series.items()))
                if least.is_waiting or now - least.used_at < UNUSED_SECONDS:
                    return None
                del self._series[oldest]
            asked = self._series[series_instance_uid] = _Asked()
        asked.used_at = now
        self._series.move_to_end(series_instance_uid)
        return asked

    def counted(self, series_instance_uid: str, held: int) -> Counted | None:
        """Tell what the archive said last of a series of which so many instances are here now."""
        with self._lock:
            is_known = series_instance_uid in self._series
            asked = self._used(series_instance_uid) if is_known else None
            answers = list(asked.answers) if asked else []
        if not answers:
            return None
        count = answers[-1].count
        is_here = count == held == answers[-1].held_before
        told_before = any(early.held_after < early.count == count for early in answers[:-1])
        return Counted(count=count, is_confirmed=is_here and told_before)

    def forget(self, series_instance_uid: str) -> None:
        """Forget the answers about a series that is closed: of a later instance all is open."""
        with self._lock:
            self._series.pop(series_instance_uid, None)

    def _answer(self, one: _Archive, question: Question, asked: _Asked) -> None:
        """Ask, unless the series was closed meanwhile, and note the answer (thread border)."""
        uid = question.series_instance_uid
        with self._lock:
            is_open = self._series.get(uid) is asked
        count, failed = self._ask(one, question) if is_open else (None, False)
        with self._lock:
            one.waiting -= 1
            asked.is_waiting = False
            doubled = min(2 * asked.wait_seconds, LONGEST_SECONDS)
            asked.wait_seconds = doubled if failed else EVERY_SECONDS
            asked.next_at = self._steady() + asked.wait_seconds
            if count is not None:
                held = max(question.held, self._received(uid))
                answer = _Answer(held_before=question.held, held_after=held, count=count)
                asked.answers.append(answer)
        if is_open and not failed:
            self.when_answered()
            log.debug("archive_counted", series_uid=uid, held=question.held, count=count)

    def _ask(self, one: _Archive, question: Question) -> tuple[int | None, bool]:
        """Give the answer of an archive, and whether it failed to give one."""
        try:
            count = self._count(one.peer, question)
        except QueryFailed as fault:
            self._tell(one, f"it does not say how many instances a series has: {fault}")
            return None, True
        except Exception:  # noqa: BLE001  # border: the series is closed without it
            log.exception(
                "job_failed", job="archive count", series_uid=question.series_instance_uid
            )
            return None, True
        self._tell(one)
        return count, False

    def _tell(self, one: _Archive, fault: str = "") -> None:
        """Tell the condition of an archive, unless it is asked no more."""
        with self._lock:
            if all(other is not one for other in self._archives.values()):
                return
            one.failed_at = self._steady() if fault else None
            if fault:
                self._health.fault(one.part, fault)
            else:
                self._health.well(one.part)


def _threads() -> Executor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="archive count")


def count_by_find(peer: Peer, question: Question, *, calling_ae: str) -> int | None:
    """Ask an archive by C-FIND; None if it does not know the series, or not how many.

    Raises
    ------
    QueryFailed
        If it cannot be asked.
    """
    identifier = keys(
        "SERIES",
        StudyInstanceUID=question.study_instance_uid,
        SeriesInstanceUID=question.series_instance_uid,
        NumberOfSeriesRelatedInstances="",
    )
    with archive(peer, calling_ae=calling_ae) as asked:
        matches = asked.find(identifier, limit=2)
    said = [
        str(match.get("NumberOfSeriesRelatedInstances") or "").strip()
        for match in matches
        if str(match.get("SeriesInstanceUID") or "").strip() == question.series_instance_uid
    ]
    if len(said) != 1 or not said[0].isdecimal():
        return None
    return int(said[0]) if len(said[0]) < 10 and int(said[0]) <= MAXIMUM_COUNT else None
