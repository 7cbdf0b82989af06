"""Notices, reruns and comparisons: from kept files to requests, and to what is sent."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.not_analysed_notices import Wanted
from dicom_node.analysis.request_builder import RequestBuilder, kept_analysis
from dicom_node.analysis.rerun import request_rerun
from dicom_node.analysis.result_rows import KEPT
from dicom_node.analysis.worker.inputs import inputs_of
from dicom_node.analysis.worker.messages import Analysed, Unsuitable
from dicom_node.errors import CannotRepeat
from dicom_node.resources import Resources
from pipeline.analysis_file import to_bytes
from pipeline.encode.result.identity import Prior, stands
from pipeline.errors import ModelError
from pipeline.options import METHOD
from storage.database.schema import Series
from storage.series.lifecycle import claim_next
from storage.series.rerun import (
    ended_series,
    mark_for_rerun,
    prospective_ticket,
    start_reruns,
)
from storage.states import DeliveryState, Rerun
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources
from tests.support.samples.encode_samples import analysis
from tests.support.samples.lobes import all_lobes
from tests.support.samples.received_series import SERIES, STUDY, notices, receive

FEW = Unsuitable(code="too-few-slices", text="30 slices or more expected, got 3")


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    return open_resources(tmp_path)


def request(resources: Resources, what: Rerun, series: str = SERIES) -> None:
    with resources.sessions.begin() as session:
        mark_for_rerun(session, series, what)
        start_reruns(session, NOW)


def words(report: Dataset) -> str:
    """All text of a report."""
    return " ".join(str(e.value) for e in report.iterall() if e.keyword == "TextValue")


def test_results_of_the_series_of_a_study_share_no_series_number(resources: Resources) -> None:
    for number, at in (("9", "1.2.3.2"), ("9001", "1.2.3.3"), ("9", "1.2.3.4")):
        receive(resources, SeriesInstanceUID=at, SeriesNumber=number)
    dispatcher(resources, Workers(FEW, FEW, FEW)).dispatch()

    made = notices(resources)
    assert sorted(int(notice.SeriesNumber) for notice in made) == [9015, 9025, 9035]
    assert len({str(notice.SeriesDescription) for notice in made}) == 3


def test_a_notice_names_what_most_instances_say(resources: Resources) -> None:
    def first_is_another(headers: list[Dataset]) -> None:
        headers[0].PatientName, headers[0].AccessionNumber = "Other^Person", ""

    receive(resources, change=first_is_another)
    dispatcher(resources, Workers(FEW)).dispatch()

    (notice,) = notices(resources)
    assert (notice.PatientName, notice.AccessionNumber) == ("Muster^Mia", "A-77")


def test_a_series_that_is_not_analysed_says_so_in_its_study(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(FEW)).dispatch()

    (notice,) = notices(resources)
    assert "30 slices or more expected, got 3" in words(notice)
    assert (notice.PatientID, notice.StudyInstanceUID) == ("P-1", STUDY)
    seen_line = line(resources)
    assert (seen_line.state, seen_line.score, seen_line.revision) == ("unsuitable", None, 1)
    assert seen_line.deliveries == {DeliveryState.PENDING: 1}


def test_a_notice_stands_while_series_and_reason_do_and_no_other_has_its_uid(
    tmp_path: Path,
) -> None:
    uids = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        resources = open_resources(tmp_path / name)
        receive(resources)
        dispatcher(resources, Workers(FEW)).dispatch()
        request(resources, Rerun.REPROCESS)
        dispatcher(resources, Workers(FEW)).dispatch()
        uids += [notice.SOPInstanceUID for notice in notices(resources)]
    assert len(uids) == len(set(uids)) == 2


def test_another_reason_supersedes_the_notice(resources: Resources) -> None:
    receive(resources)
    for code in ("gap", "other"):
        dispatcher(resources, Workers(Unsuitable(code=code, text="x"))).dispatch()
        request(resources, Rerun.REPROCESS)

    first, second = sorted(
        notices(resources), key=lambda each: "PredecessorDocumentsSequence" in each
    )
    named = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert "revision 2" in second.SeriesDescription


@pytest.mark.parametrize(
    ("wanted", "code", "count"),
    [
        ("relevant", "too-few-slices", 1),
        ("relevant", "localizer", 0),
        ("relevant", "own-result", 0),
        ("all", "localizer", 1),
        ("all", "own-result", 0),  # it could go round and round
        ("no", "too-few-slices", 0),
    ],
)
def test_notices_are_as_the_site_wants_them(
    resources: Resources,
    wanted: Wanted,
    code: str,
    count: int,
) -> None:
    receive(resources)
    dispatcher(resources, Workers(Unsuitable(code=code, text="x")), wanted=wanted).dispatch()

    assert len(notices(resources)) == count
    assert line(resources).state == "unsuitable"


def test_the_notice_of_a_failure_quotes_nothing(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(ModelError("weights of Muster^Mia"))).dispatch()

    (notice,) = notices(resources)
    assert line(resources).state == "failed"
    assert "The model of the AI could not be used" in words(notice)
    assert "Muster" not in words(notice)


def three_patients(headers: list[Dataset]) -> None:
    for number, header in enumerate(headers):
        header.PatientID = f"P-{number}"


def test_no_notice_where_nobody_knows_whose_it_is(resources: Resources) -> None:
    receive(resources, change=three_patients)
    dispatcher(resources, Workers(FEW)).dispatch()

    assert (line(resources).state, line(resources).result_key) == ("unsuitable", None)


def test_a_series_ends_also_when_its_headers_cannot_be_read(resources: Resources) -> None:
    receive(resources)
    for path in resources.folder.root.glob("incoming/*/*.dcm"):
        path.write_bytes(b"rot")
    dispatcher(resources, Workers(FEW)).dispatch()

    assert (line(resources).state, line(resources).result_key) == ("unsuitable", None)


def test_an_analysis_names_the_notice_before_it(resources: Resources) -> None:
    receive(resources)
    workers = Workers(FEW, RESULT)
    dispatcher(resources, workers).dispatch()
    request(resources, Rerun.REPROCESS)
    dispatcher(resources, workers).dispatch()

    (notice,) = notices(resources)
    before = workers.requests[1].predecessor
    assert before is not None
    assert (before.sop_instance_uid, before.study_instance_uid) == (notice.SOPInstanceUID, STUDY)
    assert (workers.requests[1].revision, line(resources).score) == (2, 0.7)


def test_a_wish_that_fails_leaves_the_earlier_result_standing(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    request(resources, Rerun.REPROCESS)
    dispatcher(resources, Workers(ModelError("x"))).dispatch()

    assert (line(resources).state, line(resources).result_key, line(resources).wish) == (
        "failed",
        "k1",
        None,
    )
    assert notices(resources) == []


def test_a_series_that_another_command_was_first_to_ask_for_is_no_error(
    resources: Resources,
) -> None:
    """It would end the command, and the series after it would be left out."""
    receive(resources)
    asked = dispatcher(resources, Workers(RESULT))
    asked.dispatch()
    with resources.sessions() as session:
        (ended,) = ended_series(session)
    request(resources, Rerun.REPROCESS)

    outcome = request_rerun(resources.sessions, asked.request_builder, ended, Rerun.REPROCESS)

    assert not outcome.refused
    assert outcome.text == "nothing to do: a new analysis of it has begun just now"


KEPT_ANALYSIS = to_bytes(analysis(), "source", METHOD)


def test_without_a_fitting_analysis_nothing_is_issued_again(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(replace(RESULT, kept=KEPT_ANALYSIS))).dispatch()
    request(resources, Rerun.REISSUE)
    workers = Workers()
    dispatcher(resources, workers).dispatch()

    assert workers.requests == []
    assert line(resources).reason.startswith("reissue: what is kept is of the model DeCoVNet 1.0.0")


@pytest.mark.parametrize(
    ("kept", "message"),
    [(None, "no readable analysis"), (b"rot", "no readable analysis"), (KEPT_ANALYSIS, "DeCoVNet")],
)
def test_what_is_kept_must_be_readable_and_of_the_model_set_now(
    resources: Resources, kept: bytes | None, message: str
) -> None:
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    with resources.sessions() as session:
        (ended,) = ended_series(session)
    path = resources.folder.root / str(ended.folder) / KEPT
    path.unlink() if kept is None else path.write_bytes(kept)

    with pytest.raises(CannotRepeat, match=message):
        kept_analysis(ended, resources.folder, analysis_config_of(Settings()).model.sha256)


def test_lobes_are_issued_again_where_they_were_looked_for(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    with resources.sessions() as session:
        (ended,) = ended_series(session)
    path = resources.folder.root / str(ended.folder) / KEPT
    sha256 = analysis_config_of(Settings()).model.sha256
    made_by = replace(analysis().provenance, weights_sha256=sha256)

    found = replace(analysis(), provenance=made_by)
    path.write_bytes(to_bytes(found, "source", METHOD))
    with pytest.raises(CannotRepeat, match="no lobes, which are asked for now: use reprocess"):
        kept_analysis(ended, resources.folder, sha256, lobes=True)
    assert kept_analysis(ended, resources.folder, sha256) == path

    path.write_bytes(to_bytes(replace(found, lobar=all_lobes()), "source", METHOD))
    assert kept_analysis(ended, resources.folder, sha256, lobes=True) == path


def test_a_notice_cannot_be_issued_again(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(FEW)).dispatch()
    with resources.sessions() as session:
        (ended,) = ended_series(session)

    with pytest.raises(CannotRepeat, match="use reprocess"):
        kept_analysis(ended, resources.folder, analysis_config_of(Settings()).model.sha256)


def test_instances_that_are_gone_are_said_to_be(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(RESULT)).dispatch()
    for path in resources.folder.root.glob("incoming/*/*.dcm"):
        path.unlink()
    request(resources, Rerun.REPROCESS)
    dispatcher(resources, Workers()).dispatch()

    assert line(resources).reason == "reprocess: its instances are not kept any more"


@pytest.mark.parametrize("answer", [RESULT, FEW])
def test_a_result_whose_files_are_gone_is_made_anew(
    resources: Resources, answer: Analysed | Unsuitable
) -> None:
    receive(resources)
    dispatcher(resources, Workers(answer)).dispatch()
    builder = RequestBuilder(resources, analysis_config_of(Settings()), compare=False)
    with resources.sessions() as session:
        ticket = replace(prospective_ticket(session, SERIES), rerun=Rerun.REPROCESS)
    whole = builder.build(ticket)
    next(resources.folder.root.glob("results/*/*.dcm")).unlink()

    request_again = builder.build(ticket)

    assert whole.earlier != ("",)
    assert (request_again.earlier, request_again.revision) == (("",), 2)
    assert not stands(inputs_of(request_again), request_again.earlier)


def test_a_notice_whose_file_is_gone_is_made_anew_and_supersedes(resources: Resources) -> None:
    receive(resources)
    dispatcher(resources, Workers(FEW)).dispatch()
    (gone,) = notices(resources)
    for path in resources.folder.root.glob("results/*/*.dcm"):
        path.unlink()
    request(resources, Rerun.REPROCESS)

    dispatcher(resources, Workers(FEW)).dispatch()

    assert line(resources).revision == 2
    (made,) = [
        dcmread(path) for path in sorted(resources.folder.root.glob("results/*/*-notice.dcm"))
    ]
    assert made.SOPInstanceUID != gone.SOPInstanceUID
    assert "revision 2" in made.SeriesDescription


FOUND = {
    "score": 0.4,
    "threshold": 0.3,
    "indeterminate_from": 0.1,
    "involvement": {"right": 0.1, "left": 0.2, "total": 0.15},
}


def priors(
    resources: Resources,
    *,
    compare: bool = True,
    kept_date: str = "20250301",
    found: dict[str, object] = FOUND,
    **identity: str,
) -> tuple[Prior, ...]:
    """What an analysis of a second study would be compared with."""
    receive(resources, StudyDate="20250301")
    dispatcher(resources, Workers(replace(RESULT, summary=found))).dispatch()
    with resources.sessions.begin() as session:  # earlier versions kept dates of any kind
        session.execute(update(Series).values(study_date=kept_date))
    receive(
        resources, **{"StudyInstanceUID": "1.2.4.1", "SeriesInstanceUID": "1.2.4.2", **identity}
    )
    with resources.sessions.begin() as session:
        ticket = claim_next(session, NOW)
    assert ticket is not None
    return (
        RequestBuilder(resources, analysis_config_of(Settings()), compare=compare)
        .build(ticket)
        .priors
    )


def test_earlier_results_of_the_patient_are_compared_with(resources: Resources) -> None:
    (prior,) = priors(resources)

    assert (prior.study_date.isoformat(), prior.score, prior.threshold) == ("2025-03-01", 0.4, 0.3)
    assert prior.indeterminate_from == 0.1
    assert (prior.right, prior.left, prior.total, prior.model) == (0.1, 0.2, 0.15, "m 1")
    assert prior.report.sop_instance_uid == "2.25.101"
    assert prior.report.study_instance_uid == STUDY
    assert (prior.ground_glass_ml, prior.consolidation_ml) == (None, None)  # not kept then


def test_volumes_of_earlier_opacities_are_those_kept(resources: Resources) -> None:
    opacities = {"ground_glass": 21.5, "consolidation": 3.25}

    (prior,) = priors(resources, found={**FOUND, "opacities_ml": opacities})

    assert (prior.ground_glass_ml, prior.consolidation_ml) == (21.5, 3.25)


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P-2"},
        {"PatientID": ""},
        {"IssuerOfPatientID": "Other"},
        {"PatientBirthDate": "19610101"},
        {"StudyDate": "20240101"},
        {"StudyDate": "yesterday"},
    ],
)
def test_others_are_not(resources: Resources, other: dict[str, str]) -> None:
    assert priors(resources, **other) == ()


def test_an_unknown_birth_date_is_no_conflict(resources: Resources) -> None:
    assert len(priors(resources, PatientBirthDate="")) == 1


def test_an_earlier_study_of_no_day_of_the_calendar_stops_no_analysis(
    resources: Resources,
) -> None:
    receive(resources, StudyDate="20251399")
    with resources.sessions() as session:
        assert session.scalar(select(Series.study_date)) == ""

    assert priors(resources, kept_date="20251399") == ()


def test_a_site_may_want_no_comparison(resources: Resources) -> None:
    assert priors(resources, compare=False) == ()
