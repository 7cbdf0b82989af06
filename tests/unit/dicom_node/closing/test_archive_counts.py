"""An archive's number of instances is asked for, never waited for, and believed with care."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import NoReturn

import pytest
from pydicom import Dataset

from dicom_node.closing import archive_counts
from dicom_node.closing.archive_counts import (
    EVERY_SECONDS,
    FAULT_SECONDS,
    MAXIMUM_QUESTIONS,
    MAXIMUM_WAITING,
    UNUSED_SECONDS,
    ArchiveCounts,
    Question,
    count_by_find,
)
from dicom_node.closing.decision import Counted
from dicom_node.health import Health
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed
from tests.support.node_process import wait_until
from tests.support.peers.stand_in_archive import StandInArchive

SERIES = Question(series_instance_uid="9", study_instance_uid="8", calling_ae="CT1", held=1)
PACS = Peer(ae_title="PACS", host="127.0.0.1", port=1)


class Asked:
    """Counts of an archive whose answers a test gives, with a clock that a test sets."""

    def __init__(self, archives: dict[str, Peer] | None = None) -> None:
        self.answers: list[int | Exception | None] = []
        self.asked: list[tuple[str, int]] = []
        self.received, self.now = 0, 0.0
        self.health = Health()
        self.counts = ArchiveCounts(
            {"CT1": PACS} if archives is None else archives,
            self.count,
            lambda _: self.received,
            self.health,
            steady=lambda: self.now,
        )

    def count(self, peer: Peer, question: Question) -> int | None:
        self.asked.append((peer.ae_title, question.held))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def ask(self, held: int, answer: int | Exception | None, *, received: int = 0) -> None:
        """Ask, and wait until the answer is noted."""
        self.received = received or held
        self.answers.append(answer)
        before = len(self.asked)
        self.now += 100
        self.counts.ask(replace(SERIES, held=held))
        wait_until(
            lambda: len(self.asked) > before and self.is_idle(), seconds=20, what="the answer"
        )

    def is_idle(self) -> bool:
        return not any(asked.is_waiting for asked in self.counts._series.values())


@pytest.fixture
def archive() -> Asked:
    return Asked()


def test_a_count_is_confirmed_if_the_archive_had_it_before_all_were_here(archive: Asked) -> None:
    woken: list[bool] = []
    archive.counts.when_answered = lambda: woken.append(True)
    archive.ask(1, 3, received=2)
    assert woken == [True]
    assert archive.counts.counted("9", 1) == Counted(count=3, is_confirmed=False)
    assert archive.counts.counted("9", 3) == Counted(count=3, is_confirmed=False)
    archive.ask(3, 3)
    assert archive.counts.counted("9", 3) == Counted(count=3, is_confirmed=True)
    assert archive.counts.counted("9", 4) == Counted(count=3, is_confirmed=False)


def test_an_archive_that_fills_as_we_do_confirms_nothing(archive: Asked) -> None:
    for held in (1, 2, 3, 3):
        archive.ask(held, held)
    assert archive.counts.counted("9", 3) == Counted(count=3, is_confirmed=False)


def test_an_archive_whose_answer_comes_when_all_are_here_confirms_nothing(archive: Asked) -> None:
    archive.ask(1, 3, received=3)
    archive.ask(3, 3)
    assert archive.counts.counted("9", 3) == Counted(count=3, is_confirmed=False)


def test_an_archive_that_changes_its_mind_is_asked_again(archive: Asked) -> None:
    archive.ask(1, 3)
    archive.ask(3, 5)
    assert archive.counts.counted("9", 3) == Counted(count=5, is_confirmed=False)
    archive.ask(5, 5)
    assert archive.counts.counted("9", 5) == Counted(count=5, is_confirmed=True)


def test_nobody_is_asked_for_a_sender_without_an_archive() -> None:
    alone = Asked({"ROUTER": PACS})
    alone.counts.ask(SERIES)
    assert alone.counts.counted("9", 1) is None
    anybody = Asked({"*": PACS, "CT2": replace(PACS, ae_title="OTHER")})
    anybody.ask(1, 3)
    assert anybody.asked == [("PACS", 1)]


def test_questions_keep_their_distance_and_have_an_end(archive: Asked) -> None:
    archive.ask(1, 3)
    archive.counts.ask(SERIES)
    archive.now += EVERY_SECONDS / 2
    archive.counts.ask(SERIES)
    assert len(archive.asked) == 1
    for _ in range(MAXIMUM_QUESTIONS - 1):
        archive.ask(1, None)
    archive.now += 1000
    archive.counts.ask(SERIES)
    assert len(archive.asked) == MAXIMUM_QUESTIONS


def test_an_archive_that_fails_is_told_and_a_slow_one_holds_up_nobody(archive: Asked) -> None:
    archive.ask(1, QueryFailed("no answer"))
    (fault,) = archive.health.snapshot()
    assert fault.part == "archive PACS@127.0.0.1:1"
    assert archive.counts.counted("9", 1) is None
    archive.ask(1, 3)
    assert archive.health.snapshot() == ()

    go = threading.Event()

    def slow(_: Peer, __: Question) -> int:
        return 3 if go.wait(20) else 0

    counts = ArchiveCounts({"*": PACS}, slow, lambda _: 1, Health())
    for number in range(10):
        counts.ask(replace(SERIES, series_instance_uid=str(number)))
    assert counts.counted("0", 1) is None
    go.set()
    wait_until(lambda: counts.counted("9", 1) is not None, seconds=20, what="all answers")
    counts.stop()


class Later(Executor):
    """Keeps what it is to run until a test runs it."""

    def __init__(self) -> None:
        self.tasks: list[Callable[[], object]] = []

    def submit(  # type: ignore[override]  # its results are not asked for
        self, function: Callable[..., object], /, *arguments: object, **_: object
    ) -> None:
        self.tasks.append(partial(function, *arguments))


def numbered(number: int) -> Question:
    return replace(SERIES, series_instance_uid=str(number))


def test_what_waits_is_never_dropped_and_more_is_not_asked() -> None:
    later, now = Later(), [0.0]
    counts = ArchiveCounts(
        {"*": PACS}, lambda *_: 3, lambda _: 1, Health(), steady=lambda: now[0], executor=later
    )
    for _ in range(2):
        for number in range(MAXIMUM_WAITING + 5):
            counts.ask(numbered(number))
    assert len(later.tasks) == MAXIMUM_WAITING
    later.tasks.pop(100)()
    counts.ask(numbered(999))
    for task in later.tasks:
        task()
    later.tasks.clear()
    assert all(counts.counted(str(number), 1) for number in range(MAXIMUM_WAITING))
    for number in range(MAXIMUM_WAITING + 5):
        counts.ask(numbered(number))
    assert len(later.tasks) == 5  # the others were asked a moment ago


def test_series_in_use_are_remembered_and_unused_ones_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive_counts, "MAXIMUM_SERIES", 2)
    later, now = Later(), [0.0]
    counts = ArchiveCounts(
        {"*": PACS}, lambda *_: 3, lambda _: 1, Health(), steady=lambda: now[0], executor=later
    )
    for number in (1, 2, 3):
        counts.ask(numbered(number))
    for task in later.tasks:
        task()
    assert [bool(counts.counted(str(number), 1)) for number in (1, 2, 3)] == [True, True, False]
    now[0] += UNUSED_SECONDS
    counts.counted("1", 1)
    counts.ask(numbered(3))
    later.tasks[-1]()
    assert [bool(counts.counted(str(number), 1)) for number in (1, 2, 3)] == [True, False, True]


def test_a_series_that_was_closed_meanwhile_is_not_asked_about() -> None:
    later, asked = Later(), list[str]()

    def count(_: Peer, question: Question) -> int:
        asked.append(question.series_instance_uid)
        return 3

    counts = ArchiveCounts({"*": PACS}, count, lambda _: 1, Health(), executor=later)
    for number in (1, 2):
        counts.ask(numbered(number))
    counts.forget("1")
    for task in later.tasks:
        task()
    assert asked == ["2"]


def test_an_archive_that_hangs_holds_up_no_other() -> None:
    go = threading.Event()
    other = replace(PACS, port=2)  # of the same AE title

    def count(peer: Peer, _: Question) -> int:
        return 3 if peer is other else int(go.wait(20))

    counts = ArchiveCounts({"CT1": PACS, "CT2": other}, count, lambda _: 1, Health())
    for number in range(5):
        counts.ask(numbered(number))
    counts.ask(replace(numbered(9), calling_ae="CT2"))
    wait_until(lambda: counts.counted("9", 1) is not None, seconds=10, what="the other's answer")
    assert counts.counted("0", 1) is None
    go.set()
    counts.stop()


def test_each_archive_has_a_fault_of_its_own_which_does_not_stay_for_ever() -> None:
    asked = Asked({"CT1": PACS, "CT2": replace(PACS, port=2)})
    asked.ask(1, QueryFailed("no answer"))
    asked.answers.append(3)
    asked.counts.ask(replace(numbered(10), calling_ae="CT2"))
    wait_until(lambda: asked.counts.counted("10", 1), seconds=20, what="the other's answer")
    asked.counts.tend()
    assert [fault.part for fault in asked.health.snapshot()] == ["archive PACS@127.0.0.1:1"]
    asked.now += FAULT_SECONDS + 1
    asked.counts.tend()
    assert asked.health.snapshot() == ()


def test_another_archive_is_asked_from_now_on_and_of_the_old_one_nothing_is_said() -> None:
    asked = Asked()
    asked.ask(1, QueryFailed("no answer"))
    assert asked.health.snapshot() != ()
    asked.counts.take({"CT1": replace(PACS, ae_title="OTHER")})
    assert asked.health.snapshot() == ()
    asked.ask(1, 3)
    assert [ae_title for ae_title, _ in asked.asked] == ["PACS", "OTHER"]


@pytest.mark.parametrize("answer", [QueryFailed("it hangs"), 3])
def test_of_an_archive_that_is_removed_while_it_hangs_nothing_is_told(
    answer: int | Exception,
) -> None:
    asked = Asked()
    later = Later()
    asked.counts = ArchiveCounts(
        {"CT1": PACS}, asked.count, lambda _: 1, asked.health, executor=later
    )
    asked.answers.append(answer)
    asked.counts.ask(SERIES)
    asked.counts.take({})
    asked.health.fault("archive PACS@127.0.0.1:1", "somebody else's")
    later.tasks.pop()()
    assert [fault.reason for fault in asked.health.snapshot()] == ["somebody else's"]


def test_a_series_whose_archive_was_removed_a_moment_ago_is_asked_about_again() -> None:
    asked = Asked()

    class Stopped(Executor):
        """Is shut down when the archive is taken away, a moment before it gets a question."""

        def submit(self, *_: object, **__: object) -> NoReturn:  # type: ignore[override]  # raises
            raise RuntimeError("cannot schedule new futures after shutdown")

    counts = ArchiveCounts(
        {"CT1": PACS}, asked.count, lambda _: 1, asked.health, executor=Stopped()
    )
    for _ in range(2 * MAXIMUM_WAITING):
        counts.ask(SERIES)
    assert not any(one.is_waiting or one.questions for one in counts._series.values())
    counts._executor = later = Later()
    counts.take({"CT1": replace(PACS, port=2)})
    counts.ask(SERIES)
    assert len(later.tasks) == 1


def test_what_is_forgotten_counts_no_more(archive: Asked) -> None:
    archive.ask(1, 3)
    archive.counts.forget("9")
    archive.ask(3, 3)
    assert archive.counts.counted("9", 3) == Counted(count=3, is_confirmed=False)


def instance(series: str, uid: str) -> Dataset:
    ds = Dataset()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "8", series, uid
    return ds


def test_an_archive_is_asked_by_find() -> None:
    ask = partial(count_by_find, calling_ae="AINODE")
    held = [instance("9", "1"), instance("9", "2"), instance("10", "3")]
    with StandInArchive(held=held) as archive:
        assert ask(archive.peer, SERIES) == 2
        assert ask(archive.peer, replace(SERIES, series_instance_uid="11")) is None
        archive.failing = True
        with pytest.raises(QueryFailed):
            ask(archive.peer, SERIES)
    assert archive.asked == ["SERIES"] * 3
