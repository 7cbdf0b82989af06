"""Identity: keys and UIDs repeat, patient and study are those of the source to the byte."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.datadict import keyword_dict
from pydicom.uid import SecondaryCaptureImageStorage

from pipeline.encode.bundle import check, encode, part10
from pipeline.encode.common.modules import local_time, new_object
from pipeline.encode.result.identity import Equipment, derived_uid, inputs_digest
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.series_numbers import ResultNumbering
from pipeline.encode.source.copied_attributes import PATIENT, SOP_COMMON, STUDY, TYPE_2
from pipeline.errors import ConformanceError, PipelineError
from pipeline.types import CtSeries
from tests.support.samples.encode_samples import CREATED, EQUIPMENT, analysis, context, ct_series

INSTANCES = [("1.2.1", "aa"), ("1.2.2", "bb"), ("1.2.3", "cc")]
IDENTITY = (*SOP_COMMON, *PATIENT, *STUDY)

JAPANESE = {
    "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
    "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "StudyDescription": "胸部",
}
CHINESE = {"SpecificCharacterSet": "GB18030", "PatientName": "Wang^XiaoDong=王^小东"}
UNICODE = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Œuvre^Ǎi=王^小东"}


def written(series: CtSeries, **changes: object) -> Dataset:
    result = new_object(
        series.headers[0], context(**changes), ResultKind.HEATMAP, SecondaryCaptureImageStorage
    )
    return dcmread(BytesIO(part10(result)))


def raw(dataset: Dataset, keyword: str) -> object:
    element = dataset.get_item(keyword_dict[keyword])
    return element and (element.value or None)


@given(st.permutations(INSTANCES))
def test_the_order_of_instances_does_not_change_the_key(instances: list[tuple[str, str]]) -> None:
    expected = inputs_digest("1.2", INSTANCES, "m", {"a": "1", "b": "2"})
    assert inputs_digest("1.2", instances, "m", {"b": "2", "a": "1"}) == expected


@pytest.mark.parametrize(
    "other",
    [
        ("1.3", INSTANCES, "m", {"a": "1"}),
        ("1.2", INSTANCES[:2], "m", {"a": "1"}),
        ("1.2", [*INSTANCES[:2], ("1.2.3", "cd")], "m", {"a": "1"}),
        ("1.2", INSTANCES, "m2", {"a": "1"}),
        ("1.2", INSTANCES, "m", {"a": "2"}),
        ("1.2", INSTANCES, "m", {}),
    ],
)
def test_whatever_decides_a_result_changes_its_key(
    other: tuple[str, list[tuple[str, str]], str, dict[str, str]],
) -> None:
    assert inputs_digest(*other) != inputs_digest("1.2", INSTANCES, "m", {"a": "1"})


def test_derived_uids_repeat_differ_and_are_valid() -> None:
    uids = [derived_uid("k", "a", 1), derived_uid("k", "a", 11), derived_uid("k", "a1", 1)]
    assert len(set(uids)) == 3
    assert all(uid.is_valid and uid.startswith("2.25.") for uid in uids)
    assert derived_uid("k", "a", 1) == uids[0]
    assert derived_uid("k", "a", 1) == "2.25.175968274801010491678697093460905136357"


@pytest.mark.parametrize("identity", [{}, JAPANESE, CHINESE, UNICODE])
def test_patient_and_study_are_copied_to_the_byte(identity: dict[str, object]) -> None:
    header = ct_series(**identity).headers[0]
    result = written(ct_series(**identity))
    for keyword in IDENTITY:
        assert raw(result, keyword) == raw(header, keyword), keyword
    assert result.PatientName == header.PatientName
    if identity:
        assert str(result.PatientName) == identity["PatientName"]


@pytest.mark.parametrize("character_set", [None, "ISO_IR 192", "ISO_IR 100"])
def test_bytes_that_the_character_set_does_not_explain_are_kept(character_set: str | None) -> None:
    series = ct_series(SpecificCharacterSet=character_set)
    for header in series.headers:
        element = header.get_item("PatientName")
        header["PatientName"] = element._replace(value=b"\xcd\xf5^\xd0\xa1 ", length=6)
    assert raw(written(series), "PatientName") == b"\xcd\xf5^\xd0\xa1 "


def test_issuers_and_other_identifiers_come_along() -> None:
    other, issuer = Dataset(), Dataset()
    other.PatientID, other.IssuerOfPatientID = "X9", "Elsewhere"
    issuer.LocalNamespaceEntityID = "RIS"
    series = ct_series(
        OtherPatientIDsSequence=[other],
        OtherPatientIDs=["X9", "X10"],
        IssuerOfAccessionNumberSequence=[issuer],
    )
    result = written(series)
    assert result.IssuerOfPatientID == "Klinik"
    assert result.OtherPatientIDsSequence[0].PatientID == "X9"
    assert list(result.OtherPatientIDs) == ["X9", "X10"]
    assert result.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"


def test_missing_attributes_stay_empty() -> None:
    absent = dict.fromkeys(TYPE_2)
    result = written(ct_series(**absent))
    for keyword in TYPE_2:
        assert keyword in result
        assert not result[keyword].value


def test_without_a_study_there_is_no_result() -> None:
    with pytest.raises(PipelineError, match="Study Instance UID"):
        written(ct_series(StudyInstanceUID=None))


def test_equipment_is_contributing_equipment_too() -> None:
    result = written(ct_series())
    item = result.ContributingEquipmentSequence[0]
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert item.PurposeOfReferenceCodeSequence[0].CodingSchemeDesignator == "DCM"
    assert item.DeviceUID == EQUIPMENT.device_uid
    for keyword in ("Manufacturer", "ManufacturerModelName", "SoftwareVersions"):
        assert item[keyword].value == result[keyword].value
    assert result.Manufacturer == EQUIPMENT.manufacturer
    assert result.ContentQualification == "RESEARCH"


def test_times_are_in_the_time_zone_of_the_source() -> None:
    result = written(ct_series(TimezoneOffsetFromUTC="-0930"))
    assert (result.InstanceCreationDate, result.InstanceCreationTime) == (
        "20261122",
        "010015.250000",
    )
    assert result.SeriesDate == result.ContentDate == "20261122"
    assert result.TimezoneOffsetFromUTC == "-0930"


@pytest.mark.parametrize("offset", [None, "", "0100", "+9999", "+01:0"])
def test_without_a_time_zone_the_nodes_is_used_and_named(offset: str | None) -> None:
    series = ct_series(TimezoneOffsetFromUTC=None)
    for header in series.headers:
        if offset is not None:
            header.TimezoneOffsetFromUTC = offset
    here = CREATED.astimezone(timezone(timedelta(hours=2)))
    result = written(series, created=here)
    assert local_time(series.headers[0], context(created=here)) == CREATED
    assert (result.ContentTime, result.TimezoneOffsetFromUTC) == ("123015.250000", "+0200")


def test_a_result_in_another_time_zone_than_its_source_does_not_leave() -> None:
    series = ct_series()
    bundle = encode(series, analysis(), context())
    bundle.objects[-1].dataset.TimezoneOffsetFromUTC = "+0200"
    with pytest.raises(ConformanceError, match="time zone"):
        check(bundle, series)


def test_series_are_numbered_and_named_stably() -> None:
    result = written(ct_series(), numbering=ResultNumbering(first=700), generation=2)
    assert result.SeriesNumber == 704
    assert result.SeriesDescription.startswith("AI")
    assert result.SeriesDescription.endswith("revision 2")
    assert len(result.SeriesDescription) <= 64


def test_a_context_needs_an_aware_time_and_a_key() -> None:
    with pytest.raises(ValueError, match="aware"):
        context(created=datetime(2026, 1, 1))  # noqa: DTZ001 -- naive on purpose
    with pytest.raises(ValueError, match="key"):
        context(key="")


def test_equipment_needs_every_value() -> None:
    with pytest.raises(ValueError, match="device_uid"):
        replace(EQUIPMENT, device_uid="")
    assert isinstance(EQUIPMENT, Equipment)
