"""Answers of readers are kept as they came, matched at any time, and superseded in any order."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.schema import Feedback
from storage.delivery.outbox import keep_results
from storage.maintenance.purge import erase_rows
from storage.results.answers import answer_counts, answers_in, answers_to
from storage.results.feedback import (
    NewAnswer,
    NewDocument,
    SaidAnswer,
    enter_feedback,
    superseded,
)
from storage.results.kept_results import NewObject, NewResult
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, leave, receiving
from storage.states import SeriesState
from tests.support.databases import migrated_database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
STUDY = "2.25.3"

pytestmark = pytest.mark.database


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = migrated_database(tmp_path)
    with Session(engine) as session:
        yield session
    engine.dispose()


def claimed(session: Session, series: str, uid: str) -> SeriesTicket:
    """A closed series of one instance, claimed."""
    facts = InstanceFacts(
        sop_instance_uid=uid,
        sop_class_uid="1.2",
        series_instance_uid=series,
        study_instance_uid=STUDY,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="CT",
        calling_ae="PACS",
        path=f"{series}-{uid}",
        digest=uid,
        bytes=1,
    )
    record_instance(session, facts, NOW)
    for open_series in receiving(session):
        close(session, open_series, NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def keep_result(session: Session, key: str = "k1", series: str = "2.25.2") -> None:
    """A result of two objects: SR ``1 of k1`` in series ``sr of k1``, SEG likewise."""
    ticket = claimed(session, series, f"instance of {series}")
    result = NewResult(key=key, model="m", score=0.5, positive=True, summary="{}", folder=key)
    objects = [
        NewObject(
            sop_instance_uid=f"{number} of {key}",
            kind=kind,
            sop_class_uid="1.2",
            series_instance_uid=f"{kind} of {key}",
            transfer_syntax_uid="1.2",
            path=f"{key}/{number}",
        )
        for number, kind in enumerate(("sr", "seg"), start=1)
    ]
    keep_results(session, ticket, result, objects, destinations=(), now=NOW)


def document(
    uid: str,
    answer: str = "rejected",
    subjects: Sequence[str] = ("sr of k1",),
    *,
    reader: str = "A",
    hours: int = 0,
    amends: tuple[str, ...] = (),
) -> NewDocument:
    return NewDocument(
        document_uid=uid,
        answers=(NewAnswer(answer=answer, subjects=tuple(subjects), reason="quality"),),
        observer=reader,
        said_at=NOW + hours * HOUR,
        predecessors=amends,
    )


def receive(session: Session, *documents: NewDocument) -> None:
    """Enter documents, each in a series of its own."""
    for one in documents:
        ticket = claimed(session, f"series of {one.document_uid}", one.document_uid)
        assert leave(session, ticket, NOW, new=SeriesState.FEEDBACK) is SeriesState.FEEDBACK
        enter_feedback(session, ticket, [one], NOW)


@pytest.mark.parametrize("subject", ["sr of k1", "2 of k1"])
def test_an_answer_names_a_series_or_an_object_of_a_result(session: Session, subject: str) -> None:
    keep_result(session)
    receive(session, document("d1", subjects=[subject, "2.25.77"]))
    assert len(answers_in(session, ["d1"])) == 1

    (line,) = answers_to(session, ["2.25.2"])
    assert (line.result_key, line.revision, line.answer, line.observer) == (
        "k1",
        1,
        "rejected",
        "A",
    )
    assert (line.received_at, line.calling_ae) == (NOW, "PACS")
    assert answer_counts(session, NOW - HOUR).standing == {"rejected": 1}
    assert answer_counts(session, NOW + HOUR).standing == {}


def test_an_answer_that_came_before_its_result_is_matched_later(session: Session) -> None:
    receive(session, document("d1"))
    assert (answers_to(session), answer_counts(session, NOW).standing) == ([], {})
    assert answers_in(session, ["d1"]) == []

    keep_result(session)

    assert [line.document_uid for line in answers_to(session)] == ["d1"]
    assert answer_counts(session, NOW).standing == {"rejected": 1}


def test_an_answer_that_names_two_results_is_to_both_and_counts_once(session: Session) -> None:
    keep_result(session)
    keep_result(session, "k2", "2.25.4")
    receive(session, document("d1", subjects=["sr of k1", "sr of k2"]))
    lines = answers_to(session)
    assert [(line.result_key, line.kinds) for line in lines] == [("k1", ("sr",)), ("k2", ("sr",))]
    assert answer_counts(session, NOW).standing == {"rejected": 1}


def test_the_same_document_twice_counts_once(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1"))
    ticket = claimed(session, "again", "other")
    enter_feedback(session, ticket, [document("d1", "accepted")], NOW)
    assert answer_counts(session, NOW).standing == {"accepted": 1}


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_amendments_supersede_in_whatever_order_they_come(
    session: Session, order: tuple[int, ...]
) -> None:
    chain = [
        document("d1", "rejected", reader="A"),
        document("d2", "modified", reader="B", amends=("d1",)),
        document("d3", "accepted", reader="B", hours=1),
    ]
    receive(session, *(chain[number] for number in order))
    keep_result(session)
    assert answer_counts(session, NOW).standing == {"accepted": 1}


def test_two_readers_may_disagree(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1", reader="A"), document("d2", "accepted", reader="B"))
    assert answer_counts(session, NOW).standing == {"accepted": 1, "rejected": 1}


@pytest.mark.parametrize("order", list(permutations(range(2))))
def test_a_revocation_holds_whoever_says_so(session: Session, order: tuple[int, ...]) -> None:
    """An archive revokes under a name of its own."""
    keep_result(session)
    notes = [
        document("d1", "rejected", reader="A", hours=-2),
        document("d2", "revoked", reader="archive", hours=-1),
    ]
    receive(session, *(notes[number] for number in order))
    assert answer_counts(session, NOW).standing == {"revoked": 1}


def test_a_later_rejection_stands_beside_an_earlier_revocation(session: Session) -> None:
    keep_result(session)
    receive(
        session, document("d2", "revoked", reader="archive", hours=-2), document("d1", hours=-1)
    )
    assert answer_counts(session, NOW).standing == {"rejected": 1, "revoked": 1}


def test_a_date_in_the_future_outlasts_no_later_answer(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1", "rejected", hours=9999), document("d2", "accepted"))
    assert answer_counts(session, NOW).standing == {"accepted": 1}
    assert [line.said_at for line in answers_to(session)] == [NOW, NOW]


def test_a_revocation_is_of_a_rejection_whose_patient_is_not_known(session: Session) -> None:
    keep_result(session)
    revoked = document("d2", "revoked", reader="archive")
    receive(session, document("d1", hours=-2), replace(revoked, patient_digest="p"))
    assert answer_counts(session, NOW).standing == {"revoked": 1}


def test_erasing_images_erases_what_was_said_about_one_of_them(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1", subjects=["instance of 2.25.2"]))
    erase_rows(session, "2.25.2")
    assert session.scalar(select(func.count()).select_from(Feedback)) == 0


def test_erasing_a_result_erases_what_was_said_about_it(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1"))
    erase_rows(session, "2.25.2")
    keep_result(session)  # the same UIDs again
    assert answers_to(session) == []


def test_erasing_a_document_erases_what_it_said(session: Session) -> None:
    keep_result(session)
    receive(session, document("d1"), document("d2", reader="B"))
    erase_rows(session, "series of d1")
    assert [line.document_uid for line in answers_to(session)] == ["d2"]


SAID = st.builds(
    SaidAnswer,
    id=st.just(0),
    document_uid=st.sampled_from("abc"),
    predecessors=st.frozensets(st.sampled_from("abc"), max_size=2),
    observer=st.sampled_from("XY"),
    about=st.tuples(st.sampled_from(["", "f"]), st.frozensets(st.sampled_from("12"), min_size=1)),
    said_at=st.integers(0, 3).map(lambda hours: NOW + hours * HOUR),
    answer=st.sampled_from(["accepted", "rejected", "revoked"]),
)


@given(said=st.lists(SAID, max_size=6), data=st.data())
def test_what_stands_does_not_depend_on_the_order(
    said: list[SaidAnswer], data: st.DataObject
) -> None:
    answers = [replace(answer, id=number) for number, answer in enumerate(said)]
    shuffled = data.draw(st.permutations(answers))
    gone = superseded(answers)
    assert superseded(shuffled) == gone
    standing = [answer for answer in answers if answer.id not in gone]
    assert not {answer.document_uid for answer in standing} & {
        uid for answer in answers for uid in answer.predecessors - {answer.document_uid}
    }
