"""The bundle: order, sanity check, repeatability, validity, and the summary."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import UID, ExplicitVRLittleEndian

from pipeline.decision import without_lesions
from pipeline.encode.bundle import check, encode, part10, summary
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm, Products
from pipeline.encode.result.result_objects import ResultBundle
from pipeline.errors import PipelineError
from pipeline.lobar_extent import LobarExtent
from pipeline.low_attenuation import LowAttenuation
from pipeline.series.common_header import common_header
from pipeline.types import Completeness, CtSeries, Gap, Side, Unreported
from tests.support.samples.encode_samples import (
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
)
from tests.support.samples.lobes import all_lobes, left_lobes

HYPHENATED = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


def of_kind(bundle: ResultBundle, kind: ResultKind) -> list[Dataset]:
    return [item.dataset for item in bundle.objects if item.kind is kind]


def test_the_page_goes_first_then_the_reports_the_segmentation_and_the_heatmap() -> None:
    bundle = encode(ct_series(), analysis(), context())
    kinds = [item.kind for item in bundle.objects]
    assert kinds == [
        ResultKind.SUMMARY,
        ResultKind.REPORT,
        ResultKind.TEXT_REPORT,
        ResultKind.SEGMENTATION,
        *[ResultKind.HEATMAP] * 3,
    ]
    assert bundle.key == context().key
    numbers = [item.dataset.SeriesNumber for item in bundle.objects]
    assert numbers == [9000, 9002, 9003, 9001, *[9004] * 3]


def test_the_text_report_can_be_left_out() -> None:
    bundle = encode(ct_series(), analysis(), context(products=Products(text_report=False)))
    assert not of_kind(bundle, ResultKind.TEXT_REPORT)


def test_the_heatmap_can_be_left_out() -> None:
    bundle = encode(ct_series(), analysis(), context(products=Products(heatmap=HeatmapForm.NONE)))
    assert not of_kind(bundle, ResultKind.HEATMAP)


def test_every_series_is_described_by_a_code_of_a_named_scheme() -> None:
    for item in encode(ct_series(), analysis(), context()).objects:
        (code,) = item.dataset.SeriesDescriptionCodeSequence
        (scheme,) = item.dataset.CodingSchemeIdentificationSequence
        assert code.CodingSchemeDesignator in {"DCM", "LN", scheme.CodingSchemeDesignator}
        assert code.CodeMeaning.isascii()


def test_the_same_input_gives_the_same_bytes() -> None:
    first = [part10(item.dataset) for item in encode(ct_series(), analysis(), context()).objects]
    again = [part10(item.dataset) for item in encode(ct_series(), analysis(), context()).objects]
    assert first == again


def test_another_key_gives_other_uids() -> None:
    uids = [
        {item.dataset[name].value for item in bundle.objects}
        for bundle in (
            encode(ct_series(), analysis(), context()),
            encode(ct_series(), analysis(), context(key="1" * 64)),
        )
        for name in ("SOPInstanceUID", "SeriesInstanceUID")
    ]
    assert not (uids[0] & uids[2])
    assert not (uids[1] & uids[3])


def test_files_are_part_10_and_explicit_little_endian() -> None:
    for item in encode(ct_series(), analysis(), context()).objects:
        data = part10(item.dataset)
        assert data[128:132] == b"DICM"
        meta = dcmread(BytesIO(data)).file_meta
        assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert meta.MediaStorageSOPInstanceUID == item.dataset.SOPInstanceUID
        assert UID(meta.ImplementationClassUID).is_valid


def test_what_was_judged_leaves_as_the_same_bytes() -> None:
    for item in encode(ct_series(), analysis(), context()).objects:
        elements = [item.dataset.get_item(tag) for tag in item.dataset.keys()]  # noqa: SIM118  # else values
        sequences = [element for element in elements if element.VR == "SQ"]

        assert sequences
        assert all(isinstance(element, RawDataElement) for element in sequences)


def test_odd_identifiers_of_the_source_are_kept() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom complains about what the test is about
        series = ct_series(
            SeriesSpec(frame_of_reference_uid=""),
            StudyInstanceUID=HYPHENATED,
            SeriesInstanceUID=HYPHENATED,
            PatientSex="X",
            PatientName="a^b^c^d^e^f",
        )
        bundle = encode(series, analysis(), context())
        for item in bundle.objects:
            assert dcmread(BytesIO(part10(item.dataset))).StudyInstanceUID == HYPHENATED


def test_encoding_odd_identifiers_warns_of_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        series = ct_series(StudyInstanceUID=HYPHENATED, SeriesInstanceUID=HYPHENATED)
    assert encode(series, analysis(), context()).objects  # warnings are errors here


def _rename(bundle: ResultBundle) -> None:
    bundle.objects[1].dataset.PatientID = "P-2"


def _refer_elsewhere(bundle: ResultBundle) -> None:
    capture = of_kind(bundle, ResultKind.HEATMAP)[0]
    capture.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.404"


def _last_refers_elsewhere(bundle: ResultBundle) -> None:
    """An instance that is otherwise like those that were judged before."""
    capture = of_kind(bundle, ResultKind.HEATMAP)[-1]
    capture.SourceImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.404"


def _last_of_another_patient(bundle: ResultBundle) -> None:
    of_kind(bundle, ResultKind.HEATMAP)[-1].PatientID = "P-2"


def _last_lacks_rows(bundle: ResultBundle) -> None:
    del of_kind(bundle, ResultKind.HEATMAP)[-1].Rows


def _last_has_two_values(bundle: ResultBundle) -> None:
    of_kind(bundle, ResultKind.HEATMAP)[-1].Modality = ["OT", "SC"]


def _move_frame(bundle: ResultBundle) -> None:
    frame = of_kind(bundle, ResultKind.SEGMENTATION)[0].PerFrameFunctionalGroupsSequence[0]
    frame.PlanePositionSequence[0].ImagePositionPatient = ["-12.5", "7.25", "-308.9"]


def _last_frame_refers_elsewhere(bundle: ResultBundle) -> None:
    frame = of_kind(bundle, ResultKind.SEGMENTATION)[0].PerFrameFunctionalGroupsSequence[-1]
    image = frame.DerivationImageSequence[0].SourceImageSequence[0]
    image.ReferencedSOPInstanceUID = "1.2.3.404"


def _last_frame_is_in_two_stacks(bundle: ResultBundle) -> None:
    frame = of_kind(bundle, ResultKind.SEGMENTATION)[0].PerFrameFunctionalGroupsSequence[-1]
    frame.FrameContentSequence[0].StackID = ["1", "2"]


def _other_frame_of_reference(bundle: ResultBundle) -> None:
    of_kind(bundle, ResultKind.SEGMENTATION)[0].FrameOfReferenceUID = "1.2.3.405"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_rename, "PatientID of the report differs"),
        (_refer_elsewhere, "the heatmap refers to 1 instances outside"),
        (_last_refers_elsewhere, "the heatmap refers to 1 instances outside"),
        (_last_of_another_patient, "PatientID of the heatmap differs"),
        (_last_lacks_rows, "no Rows"),
        (_last_has_two_values, "Modality has 2 values"),
        (_last_frame_refers_elsewhere, "the segmentation refers to 1 instances outside"),
        (_last_frame_is_in_two_stacks, "StackID has 2 values"),
        (_move_frame, "mm from the nearest source slice"),
        (_other_frame_of_reference, "expected one frame of reference"),
    ],
)
def test_a_bundle_that_does_not_fit_is_refused(
    spoil: Callable[[ResultBundle], None], message: str
) -> None:
    series = ct_series()
    bundle = encode(series, analysis(), context())
    spoil(bundle)
    with pytest.raises(PipelineError, match=message) as raised:
        check(bundle, series)
    assert "P-2" not in str(raised.value)


@pytest.mark.parametrize("keyword", ["PatientID", "IssuerOfPatientID"])
def test_a_series_of_two_patients_is_refused(keyword: str) -> None:
    series = ct_series()
    setattr(series.headers[4], keyword, "P-2")
    series = replace(series, common=common_header(series.headers))
    with pytest.raises(PipelineError, match=f"{keyword} differs in 1 of 6") as raised:
        encode(series, analysis(), context())
    assert "P-2" not in str(raised.value)


def test_an_analysis_of_another_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an analysis of shape"):
        encode(ct_series(), analysis((5, 16, 24)), context())


@pytest.mark.parametrize(("given", "expected"), [("HEAD", "HEAD"), (None, "CHEST")])
def test_the_body_part_is_that_of_the_source(given: str | None, expected: str) -> None:
    bundle = encode(ct_series(BodyPartExamined=given), analysis(flags=("body-part",)), context())
    shown = {item.dataset.get("BodyPartExamined") for item in bundle.objects}
    assert shown == {expected}  # reports too: archives route on it


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="dicom3tools is not installed")
@pytest.mark.parametrize(
    "series",
    [
        ct_series(SeriesSpec(missing=(2,))),
        enhanced_series(),
        ct_series(BodyPartExamined=None, PatientAge=None, ReferringPhysicianName=None),
    ],
    ids=["classic", "enhanced", "bare"],
)
def test_dciodvfy_finds_no_error(series: CtSeries, tmp_path: Path) -> None:
    bundle = encode(series, analysis(flags=("thick-slices",)), context(generation=2))
    for number, item in enumerate(bundle.objects[:5]):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(part10(item.dataset))
        done = subprocess.run(
            ["dciodvfy", "-new", str(path)], check=False, capture_output=True, text=True
        )
        said = done.stdout + done.stderr
        assert said.strip(), "the validator said nothing"
        assert "Error" not in said, said


def test_the_summary_is_json_without_the_patient() -> None:
    series = ct_series()
    series = replace(
        series,
        geometry=replace(
            series.geometry,
            gaps=(Gap(after_slice=2, missing=1, position_mm=-305.0),),
            completeness=Completeness.INCOMPLETE,
        ),
    )
    values = summary(series, analysis(flags=("thick-slices",)))
    text = json.dumps(values)
    for secret in ("Muster", "P-1", "A-77", "19600101", "1.2.3.1", "Klinik"):
        assert secret not in text
    assert values["score"] == 0.87
    assert values["decision"] == "score above threshold"
    assert values["geometry"]["gaps"] == [{"after_slice": 2, "missing": 1, "position_mm": -305.0}]
    assert values["geometry"]["completeness"] == "incomplete"
    assert [item["side"] for item in values["lesions"]] == ["right", "left"]
    assert values["flags"] == ["thick-slices"]
    assert values["provenance"]["seconds"] == 12.0
    assert values["lungs_ml"]["total"] == 4000
    assert values["opacities_ml"] == {"ground_glass": None, "consolidation": None}
    assert values["low_attenuation_ml"] is None


def test_the_summary_tells_lobes_and_how_well_fissures_are_seen() -> None:
    found = summary(ct_series(), replace(analysis(), lobar=all_lobes()))["lobes"]
    without = summary(ct_series(), replace(analysis(), lobar=left_lobes()))["lobes"]

    assert found["severity"] == 2
    assert [one["share"] for one in found["lobes"]] == [0, 0, 0.1, 0, 0]
    assert without["severity"] is None
    assert [one["lobe"] for one in without["lobes"]] == ["left upper lobe", "left lower lobe"]
    assert [one["seen"] for one in without["fissures"]] == [False, True]
    assert summary(ct_series(), analysis())["lobes"] is None


@pytest.mark.parametrize("lobar", [all_lobes(), left_lobes()])
def test_results_with_lobes_pass_the_check(lobar: LobarExtent) -> None:
    series, found = ct_series(), replace(analysis(), lobar=lobar)
    check(encode(series, found, context()), series)


def test_the_summary_tells_ground_glass_consolidation_and_low_attenuation() -> None:
    measured = (
        lesion(1, consolidation_mm3=500.0, long_axis_mm=21.5),
        lesion(2, Side.LEFT, consolidation_mm3=0.0, long_axis_mm=9.0),
    )
    found = replace(
        analysis(lesions=measured), low_attenuation=LowAttenuation(right_ml=30.0, left_ml=12.0)
    )

    values = summary(ct_series(), found)

    assert values["opacities_ml"] == {"ground_glass": 1.75, "consolidation": 0.5}
    assert values["low_attenuation_ml"] == {"right": 30.0, "left": 12.0, "total": 42.0}
    assert [item["long_axis_mm"] for item in values["lesions"]] == [21.5, 9.0]
    assert [item["consolidation_ml"] for item in values["lesions"]] == [0.5, 0.0]
    assert values["unreported"] is None
    named = Unreported(share=0.02, right=0.03, largest_ml=9.0, solid_ml=5.2, voxel=(1, 5, 5))
    changed = summary(ct_series(), replace(found, unreported=named))["unreported"]
    assert (changed["largest_ml"], changed["solid_ml"], changed["slice_from_below"]) == (9, 5.2, 2)
    assert summary(ct_series(), without_lesions(found))["opacities_ml"] == {
        "ground_glass": None,
        "consolidation": None,
    }
