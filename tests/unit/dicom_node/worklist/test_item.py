"""Work items are read with whatever they hold, and results named where they can be retrieved."""

from datetime import datetime, timedelta, timezone

import pytest
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag

from dicom_node.worklist.decision import FAILURE
from dicom_node.worklist.item import (
    MAXIMUM_SERIES,
    WANTED_TAGS,
    Retrieval,
    Selection,
    discontinuation,
    in_order,
    inputs_of,
    named_series,
    performance,
    search_keys,
)
from storage.delivery.work_item_inputs import ArrivedObject
from storage.delivery.work_items import WorkItemInput, WorkItemRow
from storage.states import WorkItemState
from tests.support.peers.worklist_manager import item, work_item

NOW = datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1)))
ROW = WorkItemRow(
    sop_instance_uid="2.25.1",
    transaction_uid="2.25.2",
    state=WorkItemState.COMPLETING,
    claimed_at=NOW,
    since=NOW,
    told=0,
    attempts=0,
    next_at=NOW,
    cancel_requested_at=None,
    code="",
    reason="x\\y\nz",
    inputs=(),
)


@pytest.mark.parametrize(
    ("selection", "fits"),
    [
        (Selection(workitem_code="110005", scheme="DCM"), True),
        (Selection(workitem_code="110005", scheme="99X"), False),
        (Selection(station_name="AINODE"), True),
        (Selection(station_name="OTHER"), False),
        (Selection(workitem_code="110005", scheme="DCM", station_name="OTHER"), False),
    ],
)
def test_what_is_for_this_node_fits_all_that_is_asked(selection: Selection, *, fits: bool) -> None:
    assert selection.fits(work_item("2.25.1")) is fits


@pytest.mark.parametrize(
    ("name", "value"),
    [("ProcedureStepState", "IN PROGRESS"), ("InputReadinessState", "UNAVAILABLE")],
)
def test_what_does_not_wait_fits_nobody(name: str, value: str) -> None:
    ds = work_item("2.25.1")
    setattr(ds, name, value)

    assert not Selection(station_name="AINODE").fits(ds)
    assert not Selection(station_name="AINODE").fits(Dataset())


def test_a_query_names_what_is_asked_for_and_wants_the_rest() -> None:
    keys = search_keys(Selection(station_name="AINODE"))

    assert (keys.ProcedureStepState, keys.InputReadinessState) == ("SCHEDULED", "READY")
    assert keys.ScheduledStationNameCodeSequence[0].CodeValue == "AINODE"
    assert len(keys.ScheduledWorkitemCodeSequence) == 0
    assert "SOPInstanceUID" in keys


def test_the_most_urgent_comes_first_then_the_earliest_and_what_has_no_uid_not_at_all() -> None:
    def match(uid: str, priority: str, start: str) -> Dataset:
        return item(
            SOPInstanceUID=uid,
            ScheduledProcedureStepPriority=priority,
            ScheduledProcedureStepStartDateTime=start,
        )

    matches = [
        match("1.1", "LOW", "2026"),
        match("1.2", "HIGH", "2027"),
        match("1.3", "HIGH", "2026"),
        match("1.4", "", ""),
        match("1.3", "HIGH", "2026"),
        Dataset(),
    ]

    assert in_order(matches) == ["1.3", "1.2", "1.1", "1.4"]


def test_series_and_instances_are_named_once_and_what_is_no_uid_is_passed_over() -> None:
    ds = work_item(
        "2.25.1",
        ("1.1", "1.2", ["1.3", "1.4", "1.3"]),
        ("1.1", "1.2", ["1.5"]),
        ("1.1", "", ["1.6"]),
        ("1.1", "1.7", []),
    )

    named = named_series(ds)

    assert named == {("1.1", "1.2"): ("1.3", "1.4", "1.5"), ("1.1", "1.7"): ()}
    assert inputs_of(named) == [
        WorkItemInput(
            study_instance_uid="1.1", series_instance_uid="1.2", named=("1.3", "1.4", "1.5")
        ),
        WorkItemInput(study_instance_uid="1.1", series_instance_uid="1.7"),
    ]
    assert named_series(Dataset()) == {}


def test_only_series_of_ct_are_its_input() -> None:
    ds = work_item("2.25.1", ("1.1", "1.2", ["1.3"]), ("1.1", "1.4", ["1.5"]))
    report = ds.InputInformationSequence[0].ReferencedSOPSequence[0]
    report.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"

    assert set(named_series(ds)) == {("1.1", "1.4")}


def test_very_many_series_are_refused() -> None:
    many = [("1.1", f"1.2.{number}", ()) for number in range(MAXIMUM_SERIES + 1)]

    with pytest.raises(ValueError, match="at most 100 series expected, got 101"):
        named_series(work_item("2.25.1", *many))


def test_results_are_named_by_series_with_every_place_that_has_them() -> None:
    def arrived(uid: str, destination: str, series: str = "1.2") -> ArrivedObject:
        return ArrivedObject(
            study_instance_uid="1.1",
            series_instance_uid=series,
            sop_class_uid="1.9",
            sop_instance_uid=uid,
            destination=destination,
        )

    ds = performance(
        ROW,
        work_item("2.25.1"),
        [
            arrived("1.3", "PACS"),
            arrived("1.3", "WEB"),
            arrived("1.4", "PACS"),
            arrived("1.4", "WEB"),
            arrived("1.5", "PACS", series="1.6"),
        ],
        {"PACS": Retrieval(ae_title="ARCHIVE"), "WEB": Retrieval(url="https://x/y")},
        ae_title="AINODE",
        now=NOW,
    )

    (step,) = ds.UnifiedProcedureStepPerformedProcedureSequence
    both, one = step.OutputInformationSequence
    assert [ref.ReferencedSOPInstanceUID for ref in both.ReferencedSOPSequence] == ["1.3", "1.4"]
    assert both.DICOMRetrievalSequence[0].RetrieveAETitle == "ARCHIVE"
    assert both.WADORSRetrievalSequence[0].RetrieveURL == "https://x/y/studies/1.1/series/1.2"
    assert [ref.ReferencedSOPInstanceUID for ref in one.ReferencedSOPSequence] == ["1.5"]
    assert "WADORSRetrievalSequence" not in one
    assert step.PerformedProcedureStepEndDateTime == "20260301120000.000000+0000"
    assert ds.TransactionUID == "2.25.2"


def test_what_was_performed_has_a_code_though_none_is_scheduled() -> None:
    ds = work_item("2.25.1")
    ds.ScheduledWorkitemCodeSequence = []

    made = performance(ROW, ds, [], {}, ae_title="AINODE", now=NOW)

    (step,) = made.UnifiedProcedureStepPerformedProcedureSequence
    assert [one.CodeValue for one in step.PerformedWorkitemCodeSequence] == ["110001"]


def test_the_meaning_of_a_code_is_handed_on_with_its_character_set() -> None:
    ds = work_item("2.25.1")
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ScheduledWorkitemCodeSequence[0].CodeMeaning = "Auswertung f\u00fcr Thorax"

    made = performance(ROW, ds, [], {}, ae_title="AINODE", now=NOW)

    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert "SpecificCharacterSet" in [keyword_for_tag(tag) for tag in WANTED_TAGS]


def test_a_reason_is_plain_text_in_one_line() -> None:
    ds = discontinuation(ROW, FAILURE, NOW)

    (told,) = ds.ProcedureStepProgressInformationSequence
    assert told.ReasonForCancellation == "x/y z"
    code = told.ProcedureStepDiscontinuationReasonCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == ("110501", "DCM")
    assert code.CodeMeaning == "Equipment failure"
