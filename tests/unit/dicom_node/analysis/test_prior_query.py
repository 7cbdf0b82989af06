"""The query for prior studies asks for what the choice among the matches looks at."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from dicom_node.analysis.prior_query import earlier, query_for, rank
from tests.support.peers.stand_in_archive import described


def study(uid: str = "1.2.9", **changes: str) -> Dataset:
    values = {
        "PatientID": "P1",
        "IssuerOfPatientID": "HOSPITAL A",
        "PatientBirthDate": "19600101",
        "StudyInstanceUID": uid,
        "StudyDate": "20261101",
        "StudyTime": "120000",
    }
    ds = Dataset()
    for keyword, value in (values | changes).items():
        setattr(ds, keyword, value)
    return ds


def chosen(*held: Dataset, here: Dataset | None = None) -> list[str]:
    """Choose among matches that hold what was asked for, and nothing else (PS3.4 C.2.2.1.3)."""
    here = here or study()
    answers = [described([one], query_for(here)) for one in held]
    return [str(one.StudyInstanceUID) for one in earlier(here, answers)]


@pytest.mark.parametrize(
    ("keyword", "other"),
    [
        ("PatientID", "P2"),
        ("IssuerOfPatientID", "HOSPITAL B"),
        ("PatientBirthDate", "19010101"),
        ("StudyDate", "20261102"),
        ("StudyTime", "130000"),
        ("StudyTime", "120000"),
        ("StudyDate", ""),
        ("StudyInstanceUID", "1.2.9"),
    ],
)
def test_another_patient_a_later_study_and_the_study_itself_are_left_out(
    keyword: str, other: str
) -> None:
    before = study("1.2.1", StudyTime="110000")
    assert chosen(before) == ["1.2.1"]
    before[keyword].value = other
    assert chosen(before) == []


@pytest.mark.parametrize("keyword", ["IssuerOfPatientID", "PatientBirthDate"])
@pytest.mark.parametrize("ours", [True, False])
def test_what_only_one_side_knows_of_the_patient_decides_nothing(keyword: str, ours: bool) -> None:
    here, before = study(), study("1.2.1", StudyTime="110000")
    (here if ours else before)[keyword].value = ""
    assert chosen(before, here=here) == ["1.2.1"]


def test_the_latest_study_comes_first() -> None:
    days = {"1.2.1": "20250101", "1.2.2": "20261001", "1.2.3": "20260101"}
    assert chosen(*(study(uid, StudyDate=day) for uid, day in days.items())) == [
        "1.2.2",
        "1.2.3",
        "1.2.1",
    ]


def test_the_query_bounds_day_and_modality_and_keeps_the_letters_of_the_patient() -> None:
    query = query_for(study(SpecificCharacterSet="ISO_IR 100"))
    assert (query.QueryRetrieveLevel, query.PatientID) == ("STUDY", "P1")
    assert (query.StudyDate, query.ModalitiesInStudy) == ("-20261101", "CT")
    assert query.SpecificCharacterSet == "ISO_IR 100"
    assert "SpecificCharacterSet" not in query_for(study())


def series(uid: str, count: str, modality: str = "CT") -> Dataset:
    ds = Dataset()
    ds.SeriesInstanceUID, ds.Modality, ds.NumberOfSeriesRelatedInstances = uid, modality, count
    return ds


def test_series_are_ranked_by_the_ratio_of_their_sizes() -> None:
    """150 are closer to 100 than 60 are; what has no size comes last, in the order of UIDs."""
    held = [
        series("1.5", ""),
        series("1.4", "60"),
        series("1.3", "150"),
        series("1.2", "100"),
        series("1.1", "40"),
        series("1.0", "39"),
        series("1.6", "100", "MR"),
    ]
    assert rank(held, instances=100, min_slices=40) == ["1.2", "1.3", "1.4", "1.1", "1.5"]
