"""Reruns, notices and earlier results, as rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from storage.database.engine import open_database
from storage.database.schema import Base, Feedback, FeedbackSubject
from storage.delivery.notices import Ending, NewNotice, end_series
from storage.delivery.outbox import Settlement, claim, due, keep_results, settle
from storage.errors import StaleState, StorageError
from storage.maintenance.recovery import recover
from storage.overview import SeriesLine, overview
from storage.results.kept_results import NewObject, NewResult, report_of
from storage.results.priors import inputs_so_far, is_own, priors
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, give_back, receiving
from storage.series.rerun import ended_series, mark_for_rerun, start_reruns
from storage.states import DeliveryState, Rerun, SeriesState
from tests.support.databases import database_url

pytestmark = pytest.mark.database

NOW = datetime(2024, 5, 1, tzinfo=UTC)
S, D = SeriesState, DeliveryState
REPORTS = ("report", "notice")


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study with one series of the same number."""

    uid: str = "9"
    patient: str = "p"
    born: str = "b"
    date: str = "20240501"
    time: str = "1200"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = open_database(database_url(tmp_path))
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def note(session: Session, study: Study, sop_instance_uid: str, *, series: str = "") -> None:
    series = series or study.uid
    facts = InstanceFacts(
        sop_instance_uid=sop_instance_uid,
        sop_class_uid="1",
        series_instance_uid=series,
        study_instance_uid=study.uid,
        transfer_syntax_uid="1",
        modality="CT",
        calling_ae="CT1",
        path=f"{series}/{sop_instance_uid}",
        digest="a",
        bytes=1,
        patient_key=study.patient,
        birth_digest=study.born,
        study_date=study.date,
        study_time=study.time,
    )
    record_instance(session, facts, NOW)
    for quiet in receiving(session):
        close(session, quiet, NOW)


def claimed(session: Session) -> SeriesTicket:
    ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def made(session: Session, ticket: SeriesTicket, key: str, *, now: datetime = NOW) -> SeriesState:
    result = NewResult(
        key=key,
        inputs=key,
        model="m 1",
        score=0.5,
        positive=True,
        summary=key,
        folder=f"results/{key}",
    )
    return keep_results(session, ticket, result, [report(key)], destinations=["PACS"], now=now)


def report(key: str, kind: str = "report") -> NewObject:
    return NewObject(
        sop_instance_uid=f"of {key}",
        kind=kind,
        sop_class_uid="88",
        series_instance_uid=f"series of {key}",
        transfer_syntax_uid="1",
        path=key,
    )


def analysed(session: Session, study: Study, *, key: str = "", **more: str) -> None:
    note(session, study, f"1.{more.get('series', study.uid)}", **more)
    made(session, claimed(session), key or f"k{study.uid}")


def ending(key: str = "n1", state: SeriesState = S.UNSUITABLE) -> Ending:
    result = NewResult(
        key=key,
        inputs=key,
        model="",
        score=None,
        positive=None,
        summary="{}",
        folder=f"results/{key}",
    )
    notice = NewNotice(result=result, objects=[report(key, "notice")])
    return Ending(state=state, reason="too-few-slices: 3", notice=notice)


def line(session: Session) -> SeriesLine:
    (seen_line,) = overview(session).series
    return seen_line


def test_a_rerun_is_taken_up_once_and_goes_with_what_comes_of_it(session: Session) -> None:
    analysed(session, Study())
    mark_for_rerun(session, "9", Rerun.REISSUE)
    assert (line(session).state, line(session).wish) == (S.ENCODED, Rerun.REISSUE)

    assert start_reruns(session, NOW) == ["9"]
    assert start_reruns(session, NOW) == []
    ticket = claimed(session)
    assert (ticket.rerun, ticket.predecessor_key, ticket.attempts) == (Rerun.REISSUE, "k9", 1)
    made(session, ticket, "k10")

    assert (line(session).wish, line(session).revision, line(session).state) == (None, 2, S.ENCODED)
    assert inputs_so_far(session, "9") == ("k9", "k10")


@pytest.mark.parametrize("lost", ["given back", "crashed"])
def test_a_rerun_outlives_what_did_not_come_to_an_end(session: Session, lost: str) -> None:
    analysed(session, Study())
    mark_for_rerun(session, "9", Rerun.REPROCESS)
    start_reruns(session, NOW)
    ticket = claimed(session)

    if lost == "crashed":
        recover(session, NOW)
    else:
        give_back(session, ticket, NOW)

    assert claimed(session).rerun is Rerun.REPROCESS


def test_a_late_instance_fulfils_a_rerun(session: Session) -> None:
    analysed(session, Study())
    mark_for_rerun(session, "9", Rerun.REISSUE)
    start_reruns(session, NOW)
    ticket = claimed(session)
    note(session, Study(), "2")

    assert made(session, ticket, "k10") is S.RECEIVING

    assert (line(session).wish, inputs_so_far(session, "9")) == (None, ("k9",))


def test_a_rerun_is_for_series_that_have_ended(session: Session) -> None:
    note(session, Study(), "1")
    with pytest.raises(StaleState, match="9 is stable"):
        mark_for_rerun(session, "9", Rerun.REPROCESS)
    with pytest.raises(StorageError, match="none has the UID 8"):
        mark_for_rerun(session, "8", Rerun.REPROCESS)


def test_series_are_seen_by_uid_by_study_or_all(session: Session) -> None:
    for study in (Study(), Study(uid="8")):
        analysed(session, study)
    note(session, Study(), "2")  # late: what is kept is of the generation before

    assert [(ended.series_instance_uid, ended.analysed) for ended in ended_series(session)] == [
        ("8", True),
        ("9", False),
    ]
    assert [ended.folder for ended in ended_series(session, study="9")] == ["results/k9"]
    assert [ended.series_instance_uid for ended in ended_series(session, series=["8"])] == ["8"]


def test_a_notice_is_kept_with_the_end_and_the_duty_to_send_it(session: Session) -> None:
    note(session, Study(), "1")

    end_series(session, claimed(session), ending(), ["PACS"], NOW)

    assert (line(session).state, line(session).score) == (S.UNSUITABLE, None)
    assert line(session).deliveries == {D.PENDING: 1}
    assert [delivery.kind for delivery in due(session, "PACS", NOW, 9)] == ["notice"]
    kept = report_of(session, "n1", REPORTS)
    assert kept is not None
    assert kept.sop_instance_uid == "of n1"
    assert not ended_series(session)[0].analysed


def test_a_refused_notice_shows_and_leaves_the_series_as_it_was(session: Session) -> None:
    note(session, Study(), "1")
    end_series(session, claimed(session), ending(state=S.FAILED), ["PACS"], NOW)

    (delivery,) = claim(session, due(session, "PACS", NOW, 9))
    settle(session, [Settlement(id=delivery.id, state=D.REFUSED, reason="no SR")], NOW)

    assert (line(session).state, line(session).reason) == (S.FAILED, "too-few-slices: 3")
    assert line(session).deliveries == {D.REFUSED: 1}

    mark_for_rerun(session, "9", Rerun.REPROCESS)
    start_reruns(session, NOW)
    end_series(session, claimed(session), ending(), ["PACS"], NOW)
    assert line(session).deliveries == {D.PENDING: 1}
    assert inputs_so_far(session, "9") == ("n1",)


def test_no_notice_of_what_is_not_the_last_word(session: Session) -> None:
    note(session, Study(), "1")
    ticket = claimed(session)
    note(session, Study(), "2")

    assert end_series(session, ticket, ending(), ["PACS"], NOW) is S.RECEIVING
    assert inputs_so_far(session, "9") == ()


def test_an_analysis_names_the_notice_before_it(session: Session) -> None:
    note(session, Study(), "1")
    end_series(session, claimed(session), ending(), ["PACS"], NOW)
    note(session, Study(), "2")
    assert claimed(session).predecessor_key == "n1"


def test_own_results_are_known_by_series_and_by_instance(session: Session) -> None:
    analysed(session, Study())
    assert is_own(session, "series of k9", ["other"])
    assert is_own(session, "other", ["other", "of k9"])
    assert not is_own(session, "9", ["1.9"])


def uids(session: Session, series: str = "9", limit: int = 5) -> list[str]:
    return [prior.study_instance_uid for prior in priors(session, series, limit, REPORTS)]


def test_priors_are_earlier_studies_the_latest_first(session: Session) -> None:
    for uid, date, time in (
        ("1", "20230101", ""),
        ("2", "20240101", ""),
        ("3", "20240501", "0900"),
        ("4", "20240501", "1300"),  # later on the same day
        ("5", "20250101", ""),
        ("6", "", ""),
        ("9", "20240501", "1200"),
    ):
        analysed(session, Study(uid=uid, date=date, time=time))

    assert uids(session) == ["3", "2", "1"]
    assert uids(session, limit=2) == ["3", "2"]
    assert uids(session, "6") == []
    first = priors(session, "9", 1, REPORTS)[0]
    assert (first.summary, first.model, first.report.sop_instance_uid) == ("k3", "m 1", "of k3")


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (Study(uid="1", date="20230101"), True),
        (Study(uid="1", date="20230101", patient="q"), False),
        (Study(uid="1", date="20230101", born="c"), False),  # the same ID, another birth date
        (Study(uid="1", date="20230101", born=""), True),
    ],
)
def test_priors_are_of_one_patient(session: Session, other: Study, *, found: bool) -> None:
    analysed(session, other)
    analysed(session, Study())
    assert uids(session) == ["1"] * found


def test_without_a_patient_there_are_no_priors(session: Session) -> None:
    for study in (Study(uid="1", date="20230101", patient=""), Study(patient="")):
        analysed(session, study)
    assert uids(session) == []


def test_the_series_with_the_most_instances_speaks_for_its_study(session: Session) -> None:
    old = Study(uid="1", date="20230101")
    note(session, old, "thin.1", series="1.1")
    note(session, old, "thin.2", series="1.1")
    note(session, old, "thick", series="1.2")
    while (ticket := claim_next(session, NOW)) is not None:
        later = timedelta(hours=len(ticket.paths) == 1)
        made(session, ticket, f"k{ticket.series_instance_uid}", now=NOW + later)
    analysed(session, Study())

    assert [prior.summary for prior in priors(session, "9", 5, REPORTS)] == ["k1.1"]


def test_images_that_a_document_rejects_are_no_prior(session: Session) -> None:
    """They may be of another patient: an incorrect worklist entry."""
    analysed(session, Study(uid="1", date="20230101"))
    analysed(session, Study())
    answer = Feedback(
        document_uid="note",
        position=0,
        series_instance_uid="1",
        study_instance_uid="1",
        answer="rejected",
        said_at=NOW,
        received_at=NOW,
        calling_ae="PACS",
    )
    session.add(answer)
    session.flush()
    session.add(FeedbackSubject(feedback_id=answer.id, uid="1"))
    session.flush()
    assert uids(session) == []


def test_a_notice_is_no_prior(session: Session) -> None:
    note(session, Study(uid="1", date="20230101"), "1")
    end_series(session, claimed(session), ending(), ["PACS"], NOW)
    analysed(session, Study())
    assert uids(session) == []


def test_a_corrected_instance_says_whose_the_series_is(session: Session) -> None:
    analysed(session, Study(uid="1", date="20230101", patient="wrong"))
    analysed(session, Study())
    assert uids(session) == []

    note(session, Study(uid="1", date="20230101"), "2")

    assert uids(session) == ["1"]
