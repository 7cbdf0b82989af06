"""The header that speaks for a series: what most instances say, completed from all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGBaseline8Bit

from pipeline.encode.bundle import encode
from pipeline.reasons import QualityFlag
from pipeline.series.common_header import common_doubts, common_header
from pipeline.series.image_rules import SelectionRules
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.eligibility import why_not
from tests.support.samples.encode_samples import (
    SeriesSpec,
    analysis,
    context,
    header_of,
    read_back,
)
from tests.support.samples.encode_samples import ct_series as sample
from tests.support.samples.phantom_odd import with_values

PHANTOM = make_phantom(PhantomSpec(size=32, slices=48, spacing_mm=4.0, lesions=0))


def instances(*changes: dict[str, object], charset: str = "ISO_IR 100") -> list[Dataset]:
    """Headers as read from files, the changes in each; None removes an attribute."""
    found = []
    for number, changed in enumerate(changes):
        with disable_value_validation():
            header = header_of(SeriesSpec(), **{"SpecificCharacterSet": charset, **changed})
            header.SOPClassUID, header.SOPInstanceUID = CTImageStorage, f"1.2.3.{number}"
            found.append(read_back(header))
    return found


@pytest.mark.parametrize("odd", [0, 2])
def test_one_odd_instance_does_not_speak_for_the_series(odd: int) -> None:
    changes: list[dict[str, object]] = [{}, {}, {}]
    changes[odd] = {"AccessionNumber": "B-1", "StudyDate": "20200101"}

    common = common_header(instances(*changes))

    assert common.header.AccessionNumber == "A-77"
    assert dict(common.differing) == {"AccessionNumber": 1, "StudyDate": 1}
    (doubt,) = common_doubts(common)
    assert doubt.code == "identity-differs"
    assert doubt.text == (
        "of 3 instances some differ from most: AccessionNumber in 1, StudyDate in 1"
    )


def test_what_is_absent_or_empty_comes_from_the_others_as_it_was_read() -> None:
    found = instances(
        {"AccessionNumber": "", "PatientName": None, "StudyDescription": ""},
        {"AccessionNumber": "", "PatientName": None, "StudyDescription": ""},
        {},
    )

    common = common_header(found)

    element = common.header.get_item("PatientName")
    assert isinstance(element, RawDataElement)
    assert element.value == b"Muster^Mia"
    assert common.header.AccessionNumber == "A-77"
    assert not common.differing
    assert "PatientName" not in found[0]


def test_text_of_another_character_set_is_not_mixed_in() -> None:
    plain = instances(*[{"StudyDescription": None, "AdmissionID": "1", "KVP": "120"}] * 2)
    other = instances({"StudyDescription": "Zürich", "StudyID": "S1"}, charset="ISO_IR 192")

    common = common_header([*plain, *other])

    assert "StudyDescription" not in common.header
    assert common.header.PatientName == "Muster^Mia"


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [
        ("PatientName", "Muster^Mia", "MUSTER^MIA^^ "),
        ("PatientBirthDate", "19600101", "1960.01.01"),
        ("StudyTime", "093000", "093000.0000"),
        ("SliceThickness", "2.5", "2.500"),
        ("AccessionNumber", "A-77", "A-77 "),
        ("PatientName", "Mu\u0308ller^Mia", "Müller^Mia"),
        ("PatientName", "Ｗａｎｇ^Wei", "Wang^Wei"),
        ("PatientName", "Muster  Maier^Mia", "Muster Maier^Mia"),
        ("PatientSex", "f", "F"),
        ("PatientSex", "FEMALE", "F"),
        ("PatientSex", "U", "F"),
        ("PatientBirthDate", "00000000", "19700131"),
        ("PatientBirthDate", "1970", "19700131"),
    ],
)
def test_another_spelling_is_no_other_value(keyword: str, one: str, other: str) -> None:
    found = instances({keyword: one}, {keyword: other}, charset="ISO_IR 192")

    assert not common_header(found).differing


def test_names_that_sound_alike_are_told_apart_by_their_ideographs() -> None:
    names = ["Li^Wei=王^小东", "Li^Wei=王^小东", "Li^Wei", "Li^Wei=李^伟"]
    found = instances(*[{"PatientName": name} for name in names], charset="ISO_IR 192")

    assert common_header(found[:3]).differing == {}
    assert "PatientName" in common_header(found).differing


@pytest.mark.parametrize("lossy", [0, 1, 2])
def test_a_loss_in_any_image_is_one_of_the_series(lossy: int) -> None:
    changes: list[dict[str, object]] = [{"LossyImageCompression": "00"} for _ in range(3)]
    changes[lossy] = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "9.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }

    header = common_header(instances(*changes)).header

    assert header.LossyImageCompression == "01"
    assert header.LossyImageCompressionRatio == 9.5
    assert header.LossyImageCompressionMethod == "ISO_10918_1"


def test_a_transfer_syntax_that_loses_is_a_loss_whatever_the_header_says() -> None:
    found = instances({"LossyImageCompression": "00"}, {})
    for header, syntax in zip(found, (ExplicitVRLittleEndian, JPEGBaseline8Bit), strict=True):
        header.file_meta = FileMetaDataset()
        header.file_meta.TransferSyntaxUID = syntax

    assert common_header(found).header.LossyImageCompression == "01"


def test_another_kernel_in_some_images_is_a_doubt_of_its_own() -> None:
    common = common_header(instances(*[{"ConvolutionKernel": "B30f"}] * 3, {"KVP": "80"},
                                     {"ConvolutionKernel": "B70f"}))  # fmt: skip

    assert [(doubt.code, doubt.text) for doubt in common_doubts(common)] == [
        (
            "technique-differs",
            "of 5 instances some differ from most: ConvolutionKernel in 1",
        )
    ]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientName", "Other^Person"),
        ("PatientID", "OTHER"),
        ("IssuerOfPatientID", "Elsewhere"),
        ("PatientBirthDate", "19990101"),
        ("PatientSex", "F"),
        ("StudyInstanceUID", "1.2.9"),
    ],
)
def test_an_instance_of_another_patient_refuses_the_series(keyword: str, value: str) -> None:
    series = with_values(phantom_datasets(PHANTOM, seed=1), IssuerOfPatientID="Here")
    series = [*with_values(series[:1], **{keyword: value}), *series[1:]]

    reason = why_not(series, SelectionRules())

    assert reason is not None
    assert reason.code == "mixed-identity"
    assert reason.text == f"One {keyword} expected, got 2."


def test_an_instance_without_identity_refuses_nothing() -> None:
    series = phantom_datasets(PHANTOM, seed=1)
    series = [*with_values(series[:1], PatientID="", PatientName=None), *series[1:]]

    assert why_not(series, SelectionRules()) is None


def test_results_name_what_most_instances_say() -> None:
    series = sample()
    for header in series.headers[:2]:
        header.AccessionNumber = ""
        header.StudyDescription = "Other"
    series = replace(series, common=common_header(series.headers))

    for item in encode(series, analysis(), context()).objects:
        assert item.dataset.AccessionNumber == "A-77"
        assert item.dataset.StudyDescription == "CT Thorax"


@pytest.mark.parametrize(
    ("uid", "is_valid"),
    [("1.2.840.1", True), ("2.25.0", True), ("1.02.3", False), ("4f2c-ab", False), ("1..2", False)],
)
def test_a_uid_that_is_none_is_taken_and_doubted(uid: str, is_valid: bool) -> None:
    """PS3.5 9.1."""
    header = Dataset()
    with disable_value_validation():
        header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3", uid
    doubts = [(one.code, one.text) for one in common_doubts(common_header([header]))]
    words = "no valid UID (PS3.5 9.1): SeriesInstanceUID"
    assert doubts == ([] if is_valid else [(QualityFlag.INVALID_UID, words)])
