"""Signed reports stand by themselves, and find their results whenever they come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from storage.database.report_tables import SignedReportRow, SignedReportSubject
from storage.delivery.outbox import keep_results
from storage.maintenance.identity_digests import forget_identity_digests, has_identity_digests
from storage.maintenance.purge import erase_rows
from storage.results.answers import answer_counts, answers_since, answers_to
from storage.results.kept_results import NewResult
from storage.results.signed_reports import (
    MOST_OF_STUDY,
    NewReport,
    enter_report,
    forget_unknown,
    reports_of_series,
    reports_since,
)
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import migrated_database

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SERIES, STUDY = "2.25.2", "2.25.3"
MOST = 100

pytestmark = pytest.mark.database


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    engine = migrated_database(tmp_path)
    with Session(engine) as session:
        yield session
    engine.dispose()


def keep_result(
    session: Session,
    series: str = SERIES,
    *,
    key: str = "k1",
    positive: bool | None = True,
    study: str = STUDY,
    accession: str = "acc",
) -> None:
    record_instance(
        session,
        InstanceFacts(
            sop_instance_uid=f"instance of {series}",
            sop_class_uid="1.2",
            series_instance_uid=series,
            study_instance_uid=study,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality="CT",
            calling_ae="CT1",
            path=series,
            digest=series,
            bytes=1,
            patient_digest="pat",
            birth_digest="birth",
            accession_key=accession,
        ),
        NOW,
    )
    for open_series in receiving(session):
        close(session, open_series, NOW)
    ticket = claim_next(session, NOW)
    assert ticket is not None
    result = NewResult(
        key=key, model="m", score=0.7, positive=positive, summary="{}", folder=key, scanner="CT-A"
    )
    keep_results(session, ticket, result, [], destinations=(), now=NOW)


def report(reference: str = "R1", *, days: int = 0, **values: object) -> NewReport:
    at = NOW + days * DAY
    made = NewReport(
        order_key="order",
        reference=reference,
        status="F",
        diagnosis="positive",
        pneumonia="positive",
        covid_19="positive",
        subjects=(STUDY,),
        patient_digests=("pat",),
        birth_digest="birth",
        reported_at=at,
        received_at=at,
    )
    return replace(made, **values)  # type: ignore[arg-type]  # of the test's own making


def said(session: Session) -> list[tuple[str, str]]:
    return [(one.reference, one.diagnosis) for one in reports_of_series(session, [SERIES])]


@pytest.mark.parametrize("subject", [STUDY, "acc"])
@pytest.mark.parametrize("comes_first", ["report", "result"])
def test_a_report_finds_its_study_whichever_comes_first(
    session: Session, subject: str, comes_first: str
) -> None:
    if comes_first == "result":
        keep_result(session)
    assert enter_report(session, report(subjects=("other", subject)))
    if comes_first == "report":
        assert reports_since(session, NOW) == []
        keep_result(session)

    (found,) = reports_of_series(session, [SERIES])
    assert (found.reference, found.result_key, found.scanner) == ("R1", "k1", "CT-A")
    assert reports_of_series(session, None) == [found]
    assert reports_since(session, NOW, sender="CT1") == [found]
    assert reports_since(session, NOW, sender="CT2") == []
    assert reports_since(session, NOW + DAY) == []


def test_found_by_two_numbers_it_counts_once(session: Session) -> None:
    keep_result(session)
    enter_report(session, report(subjects=(STUDY, "acc")))

    assert len(reports_of_series(session, None)) == 1


def test_a_later_report_of_an_order_takes_the_place_of_an_earlier_one_in_any_order(
    session: Session,
) -> None:
    keep_result(session)
    assert enter_report(session, report("R1", days=1, subjects=(STUDY, "x")))
    assert not enter_report(session, report("R0", diagnosis="negative"))
    assert said(session) == [("R1", "positive")]

    assert enter_report(session, report("R2", days=1, diagnosis="negative", status="C"))
    assert enter_report(session, report("R2", days=1, diagnosis="negative", status="C"))

    assert said(session) == [("R2", "negative")]
    assert session.scalars(select(SignedReportSubject.value)).all() == [STUDY]


@pytest.mark.parametrize("statuses", ["FCF", "CF", "FCX", "XCF", "FXC"])
def test_at_equal_times_what_corrects_goes_before_what_it_corrects(
    session: Session, statuses: str
) -> None:
    keep_result(session)
    for status in statuses:
        enter_report(session, report(status, status=status))

    assert said(session) == [(max(statuses, key="FCX".index), "positive")]


def test_what_comes_again_changes_nothing(session: Session) -> None:
    keep_result(session)
    for hours in (0, 1):
        enter_report(session, report(received_at=NOW + timedelta(hours=hours)))

    assert reports_since(session, NOW + timedelta(minutes=1)) == []


def test_of_a_study_that_is_here_the_latest_reports_stay(session: Session) -> None:
    keep_result(session)
    for number in range(MOST_OF_STUDY + 2):
        enter_report(session, report(f"R{number}", days=number, order_key=f"o{number}"))

    assert len(said(session)) == MOST_OF_STUDY
    assert said(session)[0] == ("R2", "positive")


def test_a_canceled_report_says_nothing_any_more(session: Session) -> None:
    keep_result(session)
    enter_report(session, report())
    enter_report(session, report("R2", days=1, status="X", diagnosis=""))

    assert said(session) == []


@pytest.mark.parametrize(
    ("numbers", "birth", "is_other"),
    [
        (("pat",), "birth", False),
        (("national", "pat"), "birth", False),
        ((), "", False),
        (("someone",), "birth", True),
        (("pat",), "another", True),
    ],
)
def test_a_report_of_another_patient_does_not_count(
    session: Session, numbers: tuple[str, ...], birth: str, *, is_other: bool
) -> None:
    keep_result(session)
    enter_report(session, report(patient_digests=numbers, birth_digest=birth))

    (found,) = reports_of_series(session, [SERIES])
    assert found.of_other_patient is is_other
    (line,) = answers_to(session, [SERIES])
    assert line.stands is not is_other


@pytest.mark.parametrize(
    ("positive", "diagnosis", "answer"),
    [
        (True, "positive", "accepted"),
        (False, "negative", "accepted"),
        (True, "negative", "rejected"),
        (False, "positive", "rejected"),
        (None, "positive", "unclear"),
        (True, "unclear", "unclear"),
    ],
)
def test_a_report_is_an_answer_to_the_result(
    session: Session, *, positive: bool | None, diagnosis: str, answer: str
) -> None:
    keep_result(session, positive=positive)
    enter_report(session, report(diagnosis=diagnosis))

    (line,) = answers_since(session, NOW)
    assert (line.answer, line.reason_code, line.observer) == (answer, diagnosis, "report R1")
    assert answer_counts(session, NOW).standing == {answer: 1}


def test_reports_about_what_never_came_are_forgotten(session: Session) -> None:
    keep_result(session)
    enter_report(session, report("known"))
    for number in range(4):
        unknown = report(f"U{number}", days=number, order_key=f"o{number}", subjects=("9",))
        enter_report(session, unknown)

    assert forget_unknown(session, NOW + DAY, MOST) == 1
    assert forget_unknown(session, NOW, 1) == 2

    left = session.scalars(select(SignedReportRow.reference).order_by(SignedReportRow.id)).all()
    assert left == ["known", "U3"]


def test_the_last_series_of_a_study_takes_its_reports_with_it(session: Session) -> None:
    keep_result(session)
    keep_result(session, "2.25.4", key="k2")
    enter_report(session, report(subjects=("acc",)))

    erase_rows(session, SERIES)
    assert len(reports_of_series(session, None)) == 1

    erase_rows(session, "2.25.4")
    assert session.scalar(select(func.count()).select_from(SignedReportRow)) == 0


def test_a_report_of_two_studies_stays_until_the_last_goes(session: Session) -> None:
    keep_result(session)
    keep_result(session, "2.25.4", key="k2", study="2.25.5", accession="")
    enter_report(session, report(subjects=(STUDY, "2.25.5")))

    erase_rows(session, SERIES)
    assert [one.series_instance_uid for one in reports_of_series(session, None)] == ["2.25.4"]

    erase_rows(session, "2.25.4")
    assert session.scalar(select(func.count()).select_from(SignedReportRow)) == 0


def test_reports_go_with_a_lost_key(session: Session) -> None:
    """They are found by digests under it."""
    enter_report(session, report(patient_digests=(), birth_digest=""))
    assert has_identity_digests(session)

    forget_identity_digests(session)

    assert not has_identity_digests(session)
    assert session.scalar(select(func.count()).select_from(SignedReportSubject)) == 0
