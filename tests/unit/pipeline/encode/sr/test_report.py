"""The reports: what they say, what they refer to, and that they never call it a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from highdicom.sr import Comprehensive3DSR
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from pipeline.decision import SETS_POINT, without_lesions
from pipeline.encode.bundle import part10
from pipeline.encode.common.sentences import NOT_REPORTED
from pipeline.encode.heatmap.sop_instances import heatmap
from pipeline.encode.page.sop_instances import pdf
from pipeline.encode.result import codes
from pipeline.encode.result.identity import ReportReference
from pipeline.encode.seg.segmentation import segmentation
from pipeline.encode.sr.report import report
from pipeline.encode.sr.text_report import text_report
from pipeline.low_attenuation import LowAttenuation
from pipeline.types import Analysis, CtSeries, PredictionSet, ScoreClass, Side, Unreported
from tests.support.pdf_text import text_of
from tests.support.samples.encode_samples import (
    EQUIPMENT,
    SeriesSpec,
    analysis,
    context,
    ct_series,
    enhanced_series,
    lesion,
    prior,
)
from tests.support.samples.lobes import all_lobes, left_lobes


def written(series: CtSeries, found: Analysis, **changes: object) -> tuple[Dataset, Dataset]:
    """SEG and SR after a journey through files."""
    chosen = context(**changes)
    seg = segmentation(series, found, chosen)
    return tuple(  # type: ignore[return-value]  # two items
        dcmread(BytesIO(part10(item))) for item in (seg, report(series, found, chosen, seg))
    )


def items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from items(item)


def numbers(dataset: Dataset) -> dict[str, tuple[float, str]]:
    """Value and unit of every NUM, by code of its concept."""
    return {
        item.ConceptNameCodeSequence[0].CodeValue: (
            float(item.MeasuredValueSequence[0].NumericValue),
            item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue,
        )
        for item in items(dataset)
        if item.ValueType == "NUM"
    }


def texts(dataset: Dataset) -> dict[str, str]:
    return {
        item.ConceptNameCodeSequence[0].CodeValue: item.TextValue
        for item in items(dataset)
        if item.ValueType == "TEXT"
    }


def groups(dataset: Dataset) -> list[Dataset]:
    return [
        item
        for item in items(dataset)
        if item.get("ConceptNameCodeSequence")
        and item.ConceptNameCodeSequence[0].CodeValue == "125007"
    ]


def of_template(dataset: Dataset, template: str) -> list[Dataset]:
    return [
        group
        for group in groups(dataset)
        if group.ContentTemplateSequence[0].TemplateIdentifier == template
    ]


def test_score_threshold_and_shares_have_units() -> None:
    _, sr = written(ct_series(), analysis())
    values = numbers(groups(sr)[0])
    assert values["SCORE"] == (0.87, "1")
    assert values["THRESHOLD"] == (0.5, "1")
    assert values["SHARE"] == (6.1, "%")
    assert values["118565006"] == (4000.0, "mL")
    assert values["COUNT"] == (2.0, "1")


@pytest.mark.parametrize(
    ("score", "code"), [(0.87, "ABOVE"), (0.5, "NOT-ABOVE"), (0.1, "NOT-ABOVE")]
)
def test_the_decision_is_about_the_threshold(score: float, code: str) -> None:
    _, sr = written(ct_series(), analysis(score=score))
    decisions = [
        item.ConceptCodeSequence[0]
        for item in items(sr)
        if item.ConceptNameCodeSequence and item.ConceptNameCodeSequence[0].CodeValue == "DECISION"
    ]
    assert [item.CodeValue for item in decisions] == [code]
    assert "threshold" in decisions[0].CodeMeaning


THREE: dict[str, Any] = {
    "indeterminate_from": 0.2059,
    "threshold": 0.4908,
    "operating_point": SETS_POINT,
}


@pytest.mark.parametrize(
    ("score", "code", "said"),
    [
        (0.87, "ABOVE", "score above the indeterminate range"),
        (0.44, "INDETERMINATE", "score indeterminate"),
        (0.1, "BELOW", "score below the indeterminate range"),
    ],
)
def test_one_of_three_answers_stands_in_code_numbers_and_sentence(
    score: float, code: str, said: str
) -> None:
    plain = analysis(score=score)
    called = replace(
        plain.classification,
        indeterminate_from=0.2059,
        threshold=0.4908,
        operating_point=SETS_POINT,
    )
    _, sr = written(ct_series(), replace(plain, classification=called))

    assert [found.CodeValue for found in coded(sr, "DECISION")] == [code]
    values = numbers(groups(sr)[0])
    assert values["THRESHOLD"] == (0.4908, "1")
    assert values["INDET-FROM"] == (0.2059, "1")
    assert f"indeterminate from 0.21 to 0.49 (prediction sets): {said}" in texts(sr)["SENTENCE"]
    assert comments(groups(sr)[0])[1] == "Indet. 0.21-0.49"
    longest = replace(called, score=0.207)
    _, sr = written(ct_series(), replace(plain, classification=longest))
    assert comments(groups(sr)[0])[1] == "Indet. 0.206-0.491"


def test_withheld_changes_stand_in_the_visible_lines_in_numbers_and_as_a_code() -> None:
    """Lines beside the outlines are all that some viewers show, codes all that programs read."""
    withheld = replace(
        without_lesions(analysis(score=0.1)),
        unreported=Unreported(
            share=0.033, right=0.05, left=0.0, largest_ml=12.3, solid_ml=5.2, voxel=(1, 0, 0)
        ),
    )
    _, sr = written(ct_series(), withheld)

    whole, right, left = (comments(group) for group in groups(sr))

    assert whole == [
        "Score 0.10",
        "Threshold 0.50",
        "Changes 3.3 %",
        "not outlined",
        "Research use only",
    ]
    assert right == ["Right lung", "Changes 5.0 %", "not outlined"]
    assert left == ["Left lung", "Opacities not reported"]
    assert [code.CodeValue for code in coded(sr, "CHANGES")] == ["CHANGES-PRESENT"]
    values = numbers(groups(sr)[0])
    assert values["CHANGES-SHARE"] == (3.3, "%")
    assert values["CHANGES-LARGEST"] == (12.3, "mL")
    assert values["CHANGES-SOLID"] == (5.2, "mL")
    _, calm = written(ct_series(), without_lesions(analysis(score=0.1)))
    assert coded(calm, "CHANGES") == []


def test_where_nothing_is_localised_no_result_says_0_percent() -> None:
    plain = analysis(lesions=(), lesion_labels=np.zeros(SeriesSpec().shape, np.uint8))
    lungs = replace(plain.involvement, right=0.0, left=0.0, total=0.0)
    nothing, series = replace(plain, involvement=lungs), ct_series()

    _, sr = written(series, nothing)
    text = text_report(series, nothing, context())
    (first, *_others) = heatmap(series, nothing, context())
    page = text_of(pdf(series, nothing, context()))

    words = [
        " ".join(item.TextValue for item in items(tree) if item.ValueType == "TEXT")
        for tree in (sr, text)
    ]
    for said in (*words, str(first.ImageComments), page):
        assert "0.0 %" not in said
        assert "localised" in said
    assert "SHARE" not in numbers(groups(sr)[0])
    assert numbers(groups(sr)[0])["COUNT"] == (0.0, "1")
    assert [comments(group)[-1] for group in groups(sr)[1:]] == ["No opacity found"] * 2


def test_no_finding_is_the_disease() -> None:
    """COVID-19 (840539006 SCT) must not appear as a code: the score is not a diagnosis."""
    _, sr = written(ct_series(), analysis())
    assert "840539006" not in str(sr)
    (finding,) = coded(groups(sr)[0], "121071")
    assert "not a diagnosis" in finding.CodeMeaning
    assert "not a diagnosis" in codes.DECISION.meaning
    assert "diagnosis" in texts(sr)["NOTICE"]


def test_each_lung_is_a_group_with_its_volume_and_its_voxels() -> None:
    seg, sr = written(ct_series(), analysis())
    described = {item.SegmentNumber: item for item in seg.SegmentSequence}
    *_, right, left = of_template(sr, "1411")
    for group, number, side, site, volume, share in (
        (right, 1, "right", "3341006", 2100.0, 8.0),
        (left, 2, "left", "44029006", 1900.0, 4.0),
    ):
        assert numbers(group)["118565006"] == (volume, "mL")
        assert numbers(group)["SHARE"] == (share, "%")
        assert [item.CodeValue for item in coded(group, "363698007")] == [site]
        assert [item.CodeMeaning.lower() for item in coded(group, "272741003")] == [side]
        assert texts(group)["112039"] == described[number].TrackingID == f"AI {side} lung"
        assert segment_of(group).ReferencedSegmentNumber == number


def test_numbers_have_no_site_of_their_own() -> None:
    """Readers (dcmqi) drop a side that is not the group's."""
    _, sr = written(ct_series(), analysis())
    sites = [
        inside
        for item in items(sr)
        if item.ValueType == "NUM"
        for inside in items(item)
        if inside.ConceptNameCodeSequence[0].CodeValue == "363698007"
    ]
    assert sites == []


def comments(group: Dataset) -> list[str]:
    return [
        item.TextValue
        for item in group.ContentSequence
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeValue == "121106"
    ]


def test_comments_say_what_a_viewer_writes_beside_an_outline() -> None:
    """OHIF 3.13 writes at most five lines, numbers with two decimals, and nothing for a zero."""
    plain = analysis(score=0.443)
    found = replace(
        plain,
        classification=replace(plain.classification, threshold=0.439),
        involvement=replace(plain.involvement, left=0.0),
        lesions=(lesion(1, long_axis_mm=23.4), lesion(2, Side.LEFT)),
    )
    _, sr = written(ct_series(), found)

    said = [comments(group) for group in groups(sr)]

    assert said == [
        ["Score 0.443", "Threshold 0.439", "Opacities 6.1 %", "Research use only"],
        ["Opacity 1, right", "1.5 ml, 23 mm", "-350 HU"],
        ["Opacity 2, left", "0.8 ml", "-350 HU"],
        ["Right lung", "Opacities 8.0 %"],
        ["Left lung", "No opacity found"],
    ]
    assert max(len(line) for lines in said for line in lines) < 20  # the pane ends beyond


@pytest.mark.parametrize(("solid", "kind"), [(500.0, "112120"), (1000.0, "95436008")])
def test_ground_glass_and_consolidation_are_told_apart(solid: float, kind: str) -> None:
    found = analysis(
        lesions=(
            lesion(1, consolidation_mm3=solid, long_axis_mm=23.4),
            lesion(2, Side.LEFT),
        )
    )
    _, sr = written(ct_series(), found)
    first, second, *_ = of_template(sr, "1411")
    assert numbers(first)["GROUND-GLASS"] == ((1500 - solid) / 1000, "mL")
    assert numbers(first)["CONSOLIDATION"] == (solid / 1000, "mL")
    assert numbers(first)["103339001"] == (23.4, "mm")
    assert [item.CodeValue for item in coded(first, "KIND")] == [kind]
    assert not {"GROUND-GLASS", "CONSOLIDATION", "103339001"} & set(numbers(second))
    assert coded(second, "KIND") == []  # it was not measured


def test_low_attenuation_is_said_of_each_lung() -> None:
    low = LowAttenuation(right_ml=20.0, left_ml=0.0)
    _, sr = written(ct_series(), replace(analysis(), low_attenuation=low))
    *_, right, left = of_template(sr, "1411")
    assert numbers(right)["LOW-ATTENUATION"] == (20.0, "mL")
    assert numbers(left)["LOW-ATTENUATION"] == (0.0, "mL")


def test_lobes_are_measured_in_the_group_of_their_lung() -> None:
    _, sr = written(ct_series(), replace(analysis(), lobar=all_lobes()))
    *_, right, left = of_template(sr, "1411")
    sites = {
        (number.ConceptNameCodeSequence[0].CodeValue, site_of(number))
        for group in (right, left)
        for number in group.ContentSequence
        if number.ValueType == "NUM" and site_of(number)
    }

    assert len(sites) == 15, "three numbers of each of five lobes"
    assert numbers_at(right, "Lower lobe of lung", "Right") == {
        "LOBE-VOLUME": 800.0,
        "LOBE-SHARE": 10.0,
        "LOBE-SEVERITY": 2.0,
    }
    assert numbers_at(right, "Middle lobe of right lung", "Right")["LOBE-SEVERITY"] == 0
    assert numbers_at(left, "Lower lobe of lung", "Left")["LOBE-SHARE"] == 0
    assert numbers(of_template(sr, "1501")[0])["SEVERITY"] == (2.0, "1")


def test_the_severity_score_is_left_out_without_all_lobes() -> None:
    _, sr = written(ct_series(), replace(analysis(), lobar=left_lobes()))
    *_, right, left = of_template(sr, "1411")

    assert not any(name.startswith("LOBE") for name in numbers(right))
    assert "LOBE-SHARE" in numbers(left)
    assert "SEVERITY" not in numbers(of_template(sr, "1501")[0])


def site_of(number: Dataset) -> tuple[str, str] | None:
    """Meaning of the finding site of a number, and of its laterality."""
    for item in number.get("ContentSequence", ()):
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Finding Site":
            side = item.ContentSequence[0].ConceptCodeSequence[0].CodeMeaning
            return item.ConceptCodeSequence[0].CodeMeaning, side
    return None


def numbers_at(group: Dataset, site: str, side: str) -> dict[str, float]:
    return {
        item.ConceptNameCodeSequence[0].CodeValue: float(item.MeasuredValueSequence[0].NumericValue)
        for item in group.ContentSequence
        if item.ValueType == "NUM" and site_of(item) == (site, side)
    }


def test_in_every_group_one_number_has_the_outline() -> None:
    _, sr = written(ct_series(), analysis())
    outlined = [
        [
            item.ConceptNameCodeSequence[0].CodeMeaning
            for item in group.ContentSequence
            if item.ValueType == "NUM" and polygons(item)
        ]
        for group in groups(sr)
    ]
    assert outlined == [["Volume"], ["Area"], ["Area"], ["Volume"], ["Volume"]]


def test_names_of_numbers_are_short() -> None:
    _, sr = written(ct_series(), analysis(), priors=(prior(),))
    names = {
        item.ConceptNameCodeSequence[0].CodeMeaning
        for group in groups(sr)
        for item in group.ContentSequence
        if item.ValueType == "NUM"
    }
    assert max(map(len, names)) <= len("Attenuation Coefficient")


def coded(dataset: Dataset, name: str) -> list[Dataset]:
    return [
        item.ConceptCodeSequence[0]
        for item in items(dataset)
        if item.ValueType == "CODE" and item.ConceptNameCodeSequence[0].CodeValue == name
    ]


def segment_of(group: Dataset) -> Dataset:
    (reference,) = [
        item.ReferencedSOPSequence[0]
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "121191"
    ]
    return reference


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        ([code("CTTHNAT", "99KIS", "CT Thorax nativ, für Ä")], "CTTHNAT"),
        ([code("71250", "C4", "CT chest"), code("1", "C4", "CT neck")], "71250"),
        ([Dataset()], "24627-2"),
        ([], "24627-2"),
    ],
)
def test_the_procedure_is_that_of_the_source(sequence: list[Dataset], expected: str) -> None:
    series = ct_series(ProcedureCodeSequence=sequence)
    _, sr = written(series, analysis())
    text = dcmread(BytesIO(part10(text_report(series, analysis(), context()))))
    for document in (sr, text):
        (procedure,) = coded(document, "121058")
        assert procedure.CodeValue == expected
        assert procedure.CodeMeaning == (sequence[0].get("CodeMeaning") if sequence else None) or (
            procedure.CodeMeaning == "CT Chest"
        )


def test_the_image_library_states_the_geometry_that_the_numbers_rest_on() -> None:
    series = ct_series(SeriesSpec(position="oblique"), AcquisitionDate="20261122")
    _, sr = written(series, analysis())
    library = next(
        item for item in sr.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111028"
    )
    values = numbers(library)
    assert values["111026"] == (0.9, "mm")
    assert values["111066"] == (0.7, "mm")
    assert values["112226"] == values["112225"] == (2.5, "mm")
    assert [values[str(110904 + index)][0] for index in range(6)] == [0.6, 0.8, 0, -0.8, 0.6, 0]
    assert values["110910"] == (16, "{pixels}")
    dates = {
        item.ConceptNameCodeSequence[0].CodeValue: str(item.Date)
        for item in items(library)
        if item.ValueType == "DATE"
    }
    assert dates == {"111060": "20261122", "126201": "20261122"}
    assert [
        item.MeasuredValueSequence[0]["NumericValue"].value.original_string
        for item in items(library)
        if item.ValueType == "NUM" and "Pixel Data" in item.ConceptNameCodeSequence[0].CodeMeaning
    ] == ["16", "24"]


def test_the_image_library_lists_the_images_that_the_report_shows() -> None:
    _, sr = written(ct_series(), analysis())
    library, shown = (
        {
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
            for item in items(container)
            if item.ValueType == "IMAGE"
            and "CT" in item.ReferencedSOPSequence[0].ReferencedSOPClassUID.name
        }
        for container in sr.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue in {"111028", "126010"}
    )
    assert library == shown


def test_nothing_runs_into_one_text() -> None:
    _, sr = written(ct_series(), analysis())
    text = dcmread(BytesIO(part10(text_report(ct_series(), analysis(), context()))))
    for document in (sr, text):
        containers = [
            item for item in (document, *items(document)) if item.ValueType == "CONTAINER"
        ]
        assert {item.ContinuityOfContent for item in containers} == {"SEPARATE"}


def test_archives_can_route_and_query_by_anatomy() -> None:
    seg, sr = written(ct_series(BodyPartExamined=None), analysis())
    text = text_report(ct_series(), analysis(), context())
    for result in (seg, sr, text):
        assert result.BodyPartExamined == "CHEST"
        assert result.PrimaryAnatomicStructureSequence[0].CodeValue == "39607008"
    assert [item.PrimaryAnatomicStructureSequence[0].CodeValue for item in seg.SegmentSequence] == [
        "3341006",
        "44029006",
        "3341006",
        "44029006",
    ]


def test_the_lesions_refer_to_their_segments() -> None:
    seg, sr = written(ct_series(), analysis())
    lesions = of_template(sr, "1411")[:2]
    described = {item.SegmentNumber: item for item in seg.SegmentSequence}
    for group, number, volume in zip(lesions, (3, 4), (1.5, 0.75), strict=True):
        reference = segment_of(group)
        assert reference.ReferencedSOPInstanceUID == seg.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == number
        uids = {item.UID for item in items(group) if item.ValueType == "UIDREF"}
        assert uids == {described[number].TrackingUID, "1.2.3.2"}
        assert [item.CodeValue for item in coded(group, "121071")] == ["112001"]
        assert described[number].SegmentedPropertyTypeCodeSequence[0].CodeValue == "112001"
        assert texts(group)["112039"] == described[number].TrackingID
        assert numbers(group)["118565006"] == (volume, "mL")
        assert numbers(group)["112031"] == (-350.5, "[hnsf'U]")
        assert numbers(group)["ACTIVATION"] == (0.75, "1")


def polygons(group: Dataset) -> list[tuple[NDArray[np.float64], Dataset]]:
    """Points of each outline, and the reference to its image."""
    return [
        (
            np.array(item.GraphicData).reshape(-1, 2),
            item.ContentSequence[0].ReferencedSOPSequence[0],
        )
        for item in (group, *items(group))
        if item.get("ValueType") == "SCOORD"
    ]


def test_each_lesion_is_outlined_on_its_key_slice() -> None:
    series, found = ct_series(), analysis()
    _, sr = written(series, found)
    for group, number in zip(of_template(sr, "1411")[:2], (1, 2), strict=True):
        ((points, reference),) = polygons(group)
        source = series.volume.source[2]
        assert source is not None
        assert reference.ReferencedSOPInstanceUID == source.sop_instance_uid
        rows, columns = np.nonzero(found.lesion_labels[2] == number)
        assert points.min(axis=0).tolist() == [columns.min(), rows.min()]
        assert points.max(axis=0).tolist() == [columns.max() + 1, rows.max() + 1]
        assert (points[0] == points[-1]).all()
        assert numbers(group)["42798000"] == (round(rows.size * 0.7 * 0.9, 1), "mm2")
        (illustration,) = [
            item.ReferencedSOPSequence[0]
            for item in group.ContentSequence
            if item.ConceptNameCodeSequence[0].CodeValue == "121200"
        ]
        assert illustration.ReferencedSOPInstanceUID == source.sop_instance_uid


def test_a_lesion_is_outlined_on_a_real_slice_beside_an_interpolated_one() -> None:
    series = ct_series(SeriesSpec(missing=(2,)))
    _, sr = written(series, analysis())
    shown = [
        polygons(group)[0][1].ReferencedSOPInstanceUID for group in of_template(sr, "1411")[:2]
    ]
    near = [item.sop_instance_uid for item in series.volume.source if item is not None]
    assert shown == [near[1], near[2]]  # slices 1 and 3: the second lesion is not on slice 1


def test_frames_of_a_multi_frame_source_are_named() -> None:
    _, sr = written(enhanced_series(), analysis())
    _, reference = polygons(of_template(sr, "1411")[0])[0]
    assert reference.ReferencedFrameNumber == 6 - 2


def test_only_the_volume_of_the_whole_comes_from_the_outlines() -> None:
    """A score, a threshold and a count come from no outline."""
    _, sr = written(ct_series(), analysis())
    counts = {
        item.ConceptNameCodeSequence[0].CodeValue: len(polygons(item))
        for item in items(groups(sr)[0])
        if item.ValueType == "NUM"
    }
    assert counts == {"SCORE": 0, "THRESHOLD": 0, "SHARE": 0, "COUNT": 0, "118565006": 1}


def test_lungs_are_outlined_where_they_are_widest_each_on_a_slice_of_its_own() -> None:
    lungs = np.zeros(SeriesSpec().shape, np.uint8)
    lungs[1:, 2:9, 1:6], lungs[1:, 5:9, 14:23] = 1, 2  # on every slice but the widest
    lungs[3, 2:14, 1:8], lungs[3, 5:12, 13:23] = 1, 2
    lungs[5, 2:11, 1:7] = 1
    series = ct_series(SeriesSpec(source_reversed=True))
    _, sr = written(series, analysis(lungs=lungs))
    uids = [item.sop_instance_uid for item in series.volume.source if item is not None]
    whole = polygons(groups(sr)[0])
    *_, right, left = (polygons(group) for group in of_template(sr, "1411"))
    ((points, image),) = whole
    assert (image.ReferencedSOPInstanceUID, extent(points)) == (uids[3], ([1, 2], [23, 14]))
    assert enclosed(points) == np.count_nonzero(lungs[3])
    ((points, image),) = right
    assert (image.ReferencedSOPInstanceUID, extent(points)) == (uids[5], ([1, 2], [7, 11]))
    ((points, image),) = left
    assert (image.ReferencedSOPInstanceUID, extent(points)) == (uids[1], ([14, 5], [23, 9]))


def enclosed(points: NDArray[np.float64]) -> float:
    """Area inside a closed line, square pixels."""
    x, y = points.T
    return float(abs(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2


def extent(points: NDArray[np.float64]) -> tuple[list[float], list[float]]:
    """Column and row of the upper left and of the lower right corner."""
    return points.min(axis=0).tolist(), points.max(axis=0).tolist()


def test_without_a_segmentation_outlines_stand_for_the_segments() -> None:
    series, found = ct_series(), analysis()
    sr = dcmread(BytesIO(part10(report(series, found, context(), None))))
    first, second, *lungs = of_template(sr, "1411")
    assert [len(polygons(group)) for group in (first, second, *lungs)] == [3, 2, 1, 1]
    assert not coded(first, "121191")
    assert [item.ValueType for item in first.ContentSequence].count("SCOORD") == 3
    assert len(sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence) == 1
    assert numbers(first)["118565006"] == (1.5, "mL")


def test_the_prediction_set_is_said_in_code_and_words() -> None:
    plain = analysis()
    both = PredictionSet(coverage=0.9, classes=tuple(ScoreClass))
    found = replace(plain, classification=replace(plain.classification, prediction_set=both))
    _, sr = written(ct_series(), found)
    (left_open,) = [
        item.ConceptCodeSequence[0].CodeValue
        for item in items(sr)
        if item.ConceptNameCodeSequence[0].CodeValue == "SET"
    ]
    assert left_open == "SET-BOTH"
    assert numbers(groups(sr)[0])["COVERAGE"] == (90.0, "%")
    assert texts(sr)["PROMISE"].startswith("The score: not certain: both possible")


def test_lesions_on_one_segment_are_measured_together() -> None:
    labels = np.zeros(SeriesSpec().shape, np.uint8)
    for number in range(1, 24):
        labels[2, 1, number] = number
    found = analysis(
        lesion_labels=labels,
        lesions=tuple(
            lesion(number, volume_mm3=1000.0, mean_hu=-100.0 * number) for number in range(1, 24)
        ),
    )
    _, sr = written(ct_series(), found)
    last = numbers(of_template(sr, "1411")[-3])
    assert last["118565006"] == (3.0, "mL")
    assert last["112031"] == (-2200.0, "[hnsf'U]")


def test_means_of_several_lesions_are_weighted_by_their_volumes() -> None:
    labels = np.zeros(SeriesSpec().shape, np.uint8)
    for number in range(1, 23):
        labels[2, 1, number] = number
    large = lesion(21, volume_mm3=3000.0, mean_hu=-600.0, activation=0.9)
    small = lesion(22, volume_mm3=1000.0, mean_hu=-200.0, activation=0.1)
    found = analysis(
        lesion_labels=labels, lesions=(*(lesion(number) for number in range(1, 21)), large, small)
    )
    _, sr = written(ct_series(), found)
    last = numbers(of_template(sr, "1411")[-3])
    assert last["118565006"] == (4.0, "mL")
    assert last["112031"] == (-500.0, "[hnsf'U]")
    assert last["ACTIVATION"] == (0.7, "1")


def test_everything_referred_to_is_evidence() -> None:
    seg, sr = written(ct_series(SeriesSpec(missing=(3,))), analysis())
    listed = {
        instance.ReferencedSOPInstanceUID
        for study in sr.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    referred = {
        reference.ReferencedSOPInstanceUID
        for item in items(sr)
        for reference in item.get("ReferencedSOPSequence", [])
    }
    assert referred <= listed
    assert len(listed) == 5 + 1
    assert seg.SOPInstanceUID in listed


def test_a_multi_frame_source_is_listed_once() -> None:
    _, sr = written(enhanced_series(), analysis())
    study = sr.CurrentRequestedProcedureEvidenceSequence[0]
    assert [len(item.ReferencedSOPSequence) for item in study.ReferencedSeriesSequence] == [1, 1]


def test_observer_and_algorithm_are_the_contributing_equipment() -> None:
    _, sr = written(ct_series(), analysis())
    equipment = sr.ContributingEquipmentSequence[0]
    said = texts(sr)
    assert said["121014"] == said["122405"] == equipment.Manufacturer
    assert said["121015"] == said["111001"] == equipment.ManufacturerModelName
    assert said["111003"] == equipment.SoftwareVersions
    observer = next(
        item for item in items(sr) if item.ConceptNameCodeSequence[0].CodeValue == "121012"
    )
    assert observer.UID == equipment.DeviceUID == EQUIPMENT.device_uid


def test_of_its_observer_the_text_report_says_no_more_than_the_name() -> None:
    """Manufacturer (121014), model (121015) and serial number (121016) would come before it."""
    text = text_report(ct_series(), analysis(), context())
    said = {str(item.ConceptNameCodeSequence[0].CodeValue) for item in items(text)}

    assert {"121012", "121013"} <= said
    assert said.isdisjoint({"121014", "121015", "121016"})


def test_parameters_of_the_algorithm_are_stated() -> None:
    _, sr = written(ct_series(), analysis())
    stated = {item.TextValue for item in items(sr) if item.ValueType == "TEXT"}
    assert "threshold=0.5" in stated
    assert "window=-1200 to 700 HU" in stated
    assert f"manifest-sha256={'ab' * 32}" in stated


def test_the_threshold_that_is_stated_is_the_one_in_use() -> None:
    found = analysis()
    chosen = replace(found, provenance=replace(found.provenance, parameters={"threshold": "model"}))
    _, sr = written(ct_series(), chosen)
    stated = [item.TextValue for item in items(sr) if item.ValueType == "TEXT"]
    assert [text for text in stated if text.startswith("threshold=")] == ["threshold=0.5"]


def test_verdicts_and_sentences_are_in_words() -> None:
    series = ct_series(SeriesSpec(frame_of_reference_uid=""))
    _, sr = written(series, analysis(flags=("thick-slices",)))
    said = texts(sr)
    assert said["NOTICE"] == "Research use only. Not for primary diagnosis."
    assert said["COMPLETE"] == "6 slices, 0 missing."
    assert said["OPERATING"] == "screening"
    assert said["LUNG-METHOD"] == "unsupervised"
    quality = [
        item.TextValue
        for item in items(sr)
        if item.ConceptNameCodeSequence[0].CodeValue == "QUALITY"
    ]
    assert quality[0] == "Thick slices."
    assert "Frame of Reference" in quality[1]
    assert "score 0.87, threshold 0.50 (screening): score above threshold." in said["SENTENCE"]


def test_status_is_unverified_and_a_predecessor_is_named() -> None:
    previous = ReportReference(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid="1.9.1",
        series_instance_uid="1.9.2",
        study_instance_uid="1.2.3.1",
    )
    _, sr = written(ct_series(), analysis(), predecessor=previous, generation=2)
    assert (sr.VerificationFlag, sr.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    study = sr.PredecessorDocumentsSequence[0]
    assert study.StudyInstanceUID == "1.2.3.1"
    named = study.ReferencedSeriesSequence[0]
    assert named.SeriesInstanceUID == "1.9.2"
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.9.1"
    _, first = written(ct_series(), analysis())
    assert "PredecessorDocumentsSequence" not in first


def test_a_report_supersedes_all_earlier_documents_and_a_text_its_like() -> None:
    earlier = {
        name: replace(prior().report, sop_instance_uid=f"1.9.{n}", series_instance_uid=f"1.8.{n}")
        for n, name in enumerate(("report", "text-report", "key-images"))
    }
    main = earlier.pop("report")
    superseding = {"predecessor": main, "superseded": earlier, "generation": 2}

    _, sr = written(ct_series(), analysis(), **superseding)
    text = text_report(ct_series(), analysis(), context(**superseding))

    assert superseded(sr) == ["1.9.0", "1.9.2", "1.9.1"]
    assert superseded(text) == ["1.9.1"]


def superseded(document: Dataset) -> list[str]:
    (study,) = document.PredecessorDocumentsSequence
    return [
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    ]


def test_the_request_is_named() -> None:
    request = Dataset()
    request.RequestedProcedureID, request.ScheduledProcedureStepID = "RP1", "SPS1"
    _, sr = written(ct_series(RequestAttributesSequence=[request]), analysis())
    item = sr.ReferencedRequestSequence[0]
    assert item.RequestedProcedureID == "RP1"
    assert item.AccessionNumber == "A-77"
    assert item.StudyInstanceUID == "1.2.3.1"


def test_a_request_is_copied_as_it_is() -> None:
    request, placer, issuer = Dataset(), Dataset(), Dataset()
    placer.LocalNamespaceEntityID, issuer.LocalNamespaceEntityID = "ORDERS", "RIS-2"
    request.AccessionNumber, request.StudyInstanceUID = "A-78", "1.2.3.99"
    request.IssuerOfAccessionNumberSequence = [issuer]
    request.OrderPlacerIdentifierSequence = [placer]
    request.ReasonForTheRequestedProcedure = "Husten"
    _, sr = written(ct_series(RequestAttributesSequence=[request, Dataset()]), analysis())
    own, bare = sr.ReferencedRequestSequence
    assert (own.AccessionNumber, own.StudyInstanceUID) == ("A-78", "1.2.3.99")
    assert own.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS-2"
    assert own.OrderPlacerIdentifierSequence[0].LocalNamespaceEntityID == "ORDERS"
    assert own.ReasonForTheRequestedProcedure == "Husten"
    assert (bare.AccessionNumber, bare.StudyInstanceUID) == ("A-77", "1.2.3.1")
    assert "RequestedProcedureDescription" in bare


def test_highdicom_reads_the_report() -> None:
    _, sr = written(ct_series(), analysis())
    content = Comprehensive3DSR.from_dataset(sr).content
    assert len(content.get_image_measurement_groups()) == 1
    volumes = content.get_volumetric_roi_measurement_groups()
    assert [group.reference_type.meaning for group in volumes] == ["Referenced Segment"] * 4
    assert [group.tracking_identifier for group in volumes] == [
        "AI opacity 1, right lung",
        "AI opacity 2, left lung",
        "AI right lung",
        "AI left lung",
    ]
    assert len(content.get_planar_roi_measurement_groups()) == 0


def test_without_lesions_there_are_groups_of_the_whole_and_of_the_lungs() -> None:
    empty = np.zeros(SeriesSpec().shape, np.uint8)
    _, sr = written(ct_series(), analysis(lesion_labels=empty, lesions=(), score=0.2))
    assert len(groups(sr)) == 3
    assert "No opacity localised." in texts(sr)["SENTENCE"]


def test_what_is_not_reported_is_not_called_absent() -> None:
    negative = without_lesions(analysis(score=0.1))
    _, sr = written(ct_series(), negative)
    assert NOT_REPORTED in texts(sr)["SENTENCE"]
    assert "No opacity found" not in texts(sr)["SENTENCE"]
    assert not {"COUNT", "SHARE"} & set(numbers(sr))
    assert [comments(group)[-1] for group in groups(sr)[1:]] == ["Opacities not reported"] * 2


def test_the_text_report_says_the_same() -> None:
    sr = dcmread(BytesIO(part10(text_report(ct_series(), analysis(), context()))))
    lines = [item.TextValue for item in items(sr) if item.ValueType == "TEXT"]
    assert "Research use only. Not for primary diagnosis." in lines
    assert any("score 0.87" in line and "not a diagnosis" in line for line in lines)
    assert any("6.1 % of both lungs (right 8.0 %, left 4.0 %)" in line for line in lines)
    assert sr.ContentTemplateSequence[0].TemplateIdentifier == "2000"
    title = sr.ConceptNameCodeSequence[0].CodeMeaning
    assert title == "Preliminary text of an AI, not a report"
    said = [line for line in lines if line.endswith(".")]
    assert len(said) == len(set(said))


def text_lines(series: CtSeries, found: Analysis, **changes: object) -> list[str]:
    sr = dcmread(BytesIO(part10(text_report(series, found, context(**changes)))))
    return [item.TextValue for item in items(sr) if item.ValueType == "TEXT"]


def test_the_text_report_describes_each_opacity() -> None:
    lines = text_lines(ct_series(SeriesSpec(source_reversed=True)), analysis())
    assert "Opacity 1: right lung, 1.5 ml, mean -350 HU, image 4." in lines
    assert "Opacity 2: left lung, 0.8 ml, mean -350 HU, image 4." in lines


def test_the_text_report_sums_up_the_smallest_opacities() -> None:
    many = tuple(lesion(number, volume_mm3=1000.0) for number in range(1, 24))
    lines = text_lines(ct_series(), analysis(lesions=many))
    assert sum(line.startswith("Opacity ") for line in lines) == 20
    assert "3 further opacities, 3.0 ml together." in lines


def test_the_text_report_says_what_it_replaces() -> None:
    lines = text_lines(ct_series(), analysis(), predecessor=prior().report, generation=2)
    assert "Revision 2: this replaces an earlier AI report of the series." in lines
    assert not any("Revision" in line for line in text_lines(ct_series(), analysis()))


def test_text_outside_ascii_cannot_break_the_character_set() -> None:
    found = analysis()
    _, sr = written(ct_series(SpecificCharacterSet=None), found)
    assert all(item.TextValue.isascii() for item in items(sr) if item.ValueType == "TEXT")
