"""The images that make the volume of a series, and those left out: voxels against the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from pipeline.errors import UnsuitableSeries
from pipeline.series.eligibility import NOT_MEANT
from pipeline.series.image_rules import SelectionRules
from pipeline.series.selection import left_out_doubts
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import decimals, phantom_datasets, set_pixels
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.eligibility import why_not
from tests.support.samples.phantom_enhanced import enhanced_dataset
from tests.support.samples.phantom_odd import stored_pixels, with_values

PHANTOM = make_phantom(PhantomSpec(size=32, slices=48, spacing_mm=4.0, lesions=1))
BRIGHTER = replace(PHANTOM, hu=np.clip(PHANTOM.hu + 50, -1024, 3071))
RULES = SelectionRules()
Series = list[Dataset]


@pytest.fixture
def series() -> Series:
    return phantom_datasets(PHANTOM, seed=1)


def another(series: Series, *, brighter: int = 50, mm: float = 0.0, **values: object) -> Series:
    """The same stretch once more: brighter, moved along the body, with UIDs of its own."""
    made = with_values(series, **values)
    for ds in made:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=[str(ds.SOPInstanceUID), str(values), str(mm)]
        )
        set_pixels(ds, stored_pixels(ds) + brighter)
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        ds.ImagePositionPatient = decimals([x, y, z + mm])
    return made


SCOUT = {
    "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
    "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
}
STRAYS: list[tuple[str, dict[str, object]]] = [
    ("localizer", SCOUT),
    ("localizer", {"ImageType": ["DERIVED", "PRIMARY", "LOCALIZER"], "Rows": 64}),
    ("not-original", {"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}),
    ("not-original", {"ImageType": ["DERIVED", "PRIMARY", "MIP"]}),
    ("not-axial", {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "MIP"]}),
    ("not-ct", {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}),
    ("not-ct", {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}),
    (
        "no-plane",
        {"ImagePositionPatient": None, "ImageOrientationPatient": None, "PixelSpacing": None},
    ),
    ("missing-attribute", {"ImagePositionPatient": None, "ImageOrientationPatient": None}),
    ("missing-attribute", {"ImagePositionPatient": "", "ImageOrientationPatient": ""}),
    ("missing-attribute", {"ImagePositionPatient": None}),
    ("missing-attribute", {"ImageOrientationPatient": None}),
    ("missing-attribute", {"PixelSpacing": None}),
    ("missing-attribute", {"Modality": None}),
    ("missing-attribute", {"SOPClassUID": None}),
    ("missing-attribute", {**SCOUT, "ImageType": None}),
    ("missing-attribute", {"RescaleSlope": None, "RescaleIntercept": None}),
    ("missing-attribute", {"Rows": None}),
    ("bad-orientation", {"ImagePositionPatient": [0] * 3, "ImageOrientationPatient": [0] * 6}),
    ("bad-spacing", {"PixelSpacing": [0, 0]}),
    ("bad-position", {"ImagePositionPatient": [0, 0, 20000]}),
    ("bad-rescale", {"RescaleSlope": 0}),
    ("not-hounsfield", {"RescaleType": "US"}),
    ("not-hounsfield", {"RescaleType": "MGML"}),
    ("pixel-data", {"PixelData": None}),
    ("pixel-data", {"PixelData": b""}),
    ("not-axial", {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}),
    ("mixed-size", {"Rows": 16}),
    ("mixed-size", {"Columns": 64}),
    ("mixed-pixel-spacing", {"PixelSpacing": ["1", "1"]}),
    ("mixed-frame-of-reference", {"FrameOfReferenceUID": "1.2.3"}),
]


@pytest.mark.parametrize(("code", "values"), STRAYS)
def test_an_image_that_is_no_slice_is_left_out_and_told(
    series: Series, code: str, values: dict[str, object]
) -> None:
    mixed = [*series[:7], *another(series[20:21]), *series[7:]]
    for keyword, value in values.items():
        if value is None:
            del mixed[7][keyword]
        else:
            setattr(mixed[7], keyword, value)
    uid = mixed[7].SOPInstanceUID

    assert why_not(mixed, RULES) is None
    result = assemble(mixed, RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)
    (part,) = result.geometry.left_out
    assert (part.code, part.images, part.sop_instance_uids) == (code, 1, (uid,))
    assert f"1 image left out: 1 {code}." in result.geometry.statement
    assert result.geometry.completeness == "complete, proved"
    assert result.instance_count == 49
    doubted = code not in NOT_MEANT
    assert [doubt.code for doubt in left_out_doubts(result.geometry.left_out)] == (
        ["images-left-out"] if doubted else []
    )


NAMES = frozenset({"SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"})


def test_an_image_that_is_nothing_but_named_is_left_out(series: Series) -> None:
    (bare,) = another(series[20:21])
    for element in list(bare):
        if element.keyword not in NAMES:
            del bare[element.tag]

    result = assemble([bare, *series], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert [(part.code, part.images) for part in result.geometry.left_out] == [
        ("missing-attribute", 1)
    ]


def test_a_slice_with_a_fault_leaves_a_gap(series: Series) -> None:
    spoilt = [*series[:20], *with_values(series[20:21], RescaleType="US"), *series[21:]]

    result = assemble(spoilt, RULES)

    assert [gap.after_slice for gap in result.geometry.gaps] == [19]
    assert [part.code for part in result.geometry.left_out] == ["not-hounsfield"]
    assert np.array_equal(result.volume.hu[21:], PHANTOM.hu[21:])


@pytest.mark.parametrize("faulty", [3, 24, 48])
def test_a_fault_of_more_than_a_few_images_is_one_of_the_series(
    series: Series, faulty: int
) -> None:
    spoilt = with_values(series[:faulty], ImagePositionPatient=None)

    reason = why_not([*series[faulty:], *spoilt], RULES)

    assert reason is not None
    assert (reason.code, reason.text) == (
        "missing-attribute",
        "3 numbers expected in ImagePositionPatient, got 0.",
    )


LOW, STEP = float(PHANTOM.affine[2, 3]), 4.0
X, Y = float(PHANTOM.affine[0, 3]), float(PHANTOM.affine[1, 3])
OUTLIERS: list[tuple[str, tuple[float, float, float]]] = [
    ("off-axis", (0, 0, 5000)),
    ("off-axis", (0, 0, 0)),
    ("off-axis", (0, 0, LOW + 20 * STEP)),
    ("off-axis", (X + 30, Y, LOW + 3 * STEP + 1)),
    ("bad-position", (X, Y, 5000)),
    ("bad-position", (X, Y, LOW + 1000 * STEP)),
    ("bad-position", (X, Y, -5000)),
    ("uneven-spacing", (X, Y, LOW + 20.5 * STEP)),
    ("uneven-spacing", (X, Y, LOW + 0.1 * STEP)),
    ("uneven-spacing", (X, Y, LOW + 46.9 * STEP)),
    ("uneven-spacing", (X, Y, LOW - 0.5 * STEP)),
    ("uneven-spacing", (X, Y, LOW + 47.6 * STEP)),
]


@pytest.mark.parametrize(("code", "position"), OUTLIERS)
def test_an_axial_image_beside_the_stack_is_left_out_and_told(
    series: Series, code: str, position: tuple[float, float, float]
) -> None:
    stray = another(series[20:21], InstanceNumber=0)
    stray[0].ImagePositionPatient = decimals(position)

    result = assemble([*series, *stray], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)
    assert result.geometry.gaps == ()
    left_out = {(p.code, p.sop_instance_uids) for p in result.geometry.left_out}
    same_place = result.geometry.duplicates == (stray[0].SOPInstanceUID,)
    assert left_out == {(code, (stray[0].SOPInstanceUID,))} or same_place
    assert same_place or [d.code for d in left_out_doubts(result.geometry.left_out)] == [
        "images-left-out"
    ]


@pytest.mark.parametrize("by", [(0.0, 30.0, 0.0), (0.0, 0.0, 1.5)])
def test_a_slice_beside_the_stack_leaves_a_gap(
    series: Series, by: tuple[float, float, float]
) -> None:
    at = [float(value) + mm for value, mm in zip(series[9].ImagePositionPatient, by, strict=True)]
    series[9].ImagePositionPatient = decimals(at)

    result = assemble(series, RULES)

    assert [(gap.after_slice, gap.missing) for gap in result.geometry.gaps] == [(8, 1)]
    assert np.array_equal(result.volume.hu[10:], PHANTOM.hu[10:])
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)


@pytest.mark.parametrize("mm", [8.0, 9.5, 20.0, 60.0])
def test_what_is_left_out_hides_no_gap(series: Series, mm: float) -> None:
    last = another(series[-2:], mm=mm)

    with pytest.raises(UnsuitableSeries) as info:
        assemble([*series[:-2], *last], RULES)

    assert info.value.code in ("gap", "uneven-spacing")


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("step", [20.0, 20.4])
@pytest.mark.parametrize("one_number", [False, True])
def test_images_that_wait_for_the_contrast_agent_are_left_out(
    series: Series, count: int, step: float, one_number: bool
) -> None:
    waiting = []
    for n in range(count):
        (image,) = another(
            series[20:21],
            brighter=n + 1,
            mm=(step - 20) * STEP,
            AcquisitionNumber=0 if one_number else 100 + n,
            AcquisitionTime=f"09{n:02}00",
        )
        waiting.append(image)

    result = assemble([*waiting, *series], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)
    left_out = sum(part.images for part in result.geometry.left_out)
    assert left_out + len(result.geometry.duplicates) == count
    if count > 2:
        assert [part.code for part in result.geometry.left_out] == ["two-volumes"]


def test_a_second_view_is_left_out(series: Series) -> None:
    coronal = another(series[:40], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])

    result = assemble([*coronal, *series], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert [(part.code, part.images) for part in result.geometry.left_out] == [("not-axial", 40)]


def test_what_remains_must_be_a_chest_and_the_reason_is_not_silent(series: Series) -> None:
    few = [*series[:20], *another(series[:2], **SCOUT)]

    reason = why_not(few, RULES)

    assert reason is not None
    assert reason.code == "too-few-slices"
    assert reason.code not in NOT_MEANT


def test_a_frame_of_another_kind_in_a_multi_frame_image_is_left_out() -> None:
    dataset = enhanced_dataset(PHANTOM, seed=1)
    frame_type = Dataset()
    frame_type.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    dataset.PerFrameFunctionalGroupsSequence[0].CTImageFrameTypeSequence = [frame_type]

    result = assemble([dataset], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu[1:])
    assert [(part.code, part.images) for part in result.geometry.left_out] == [("localizer", 1)]


def test_a_localizer_beside_a_multi_frame_image_is_left_out(series: Series) -> None:
    image = enhanced_dataset(PHANTOM, seed=1)
    scout = another(series[:1], SeriesInstanceUID=image.SeriesInstanceUID, **SCOUT)

    result = assemble([*scout, image], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert len(result.headers) == 1


RECONSTRUCTIONS: list[dict[str, object]] = [
    {"ConvolutionKernel": "SOFT"},
    {"ReconstructionDiameter": "300"},
    {"SeriesDescription": "Mediastinum", "SeriesNumber": 3},
    {"ContentTime": "101112", "ConvolutionKernel": "SOFT"},
    {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "OTHER"]},
]


@pytest.mark.parametrize("values", RECONSTRUCTIONS)
@pytest.mark.parametrize("mm", [0.0, 2.0, 0.05])
def test_one_reconstruction_is_taken_as_a_whole(
    series: Series, values: dict[str, object], mm: float
) -> None:
    other = another(series, mm=mm, **values)

    result = assemble([s for pair in zip(other, series, strict=True) for s in pair], RULES)

    base = {source.sop_instance_uid for source in result.volume.source if source}
    ours = {str(ds.SOPInstanceUID) for ds in series}
    brighter = 0 if base == ours else 50
    assert base in (ours, {str(ds.SOPInstanceUID) for ds in other})
    assert np.array_equal(result.volume.hu, np.clip(PHANTOM.hu + brighter, -1024, 3071))
    assert result.volume.affine[2, 3] == pytest.approx(PHANTOM.affine[2, 3] + mm * bool(brighter))
    assert [(part.code, part.images) for part in result.geometry.left_out] == [("two-volumes", 48)]
    assert "of 2 volumes of the same stretch, told apart by" in result.geometry.statement
    assert [doubt.code for doubt in left_out_doubts(result.geometry.left_out)] == [
        "images-left-out"
    ]


ACQUISITIONS: list[tuple[str, dict[str, object]]] = [
    ("AcquisitionNumber", {"AcquisitionNumber": 2}),
    ("AcquisitionTime", {"AcquisitionTime": "101112"}),
    ("KVP", {"KVP": "80"}),
    ("TemporalPositionIdentifier", {"TemporalPositionIdentifier": 2}),
    ("ContrastBolusAgent", {"ContrastBolusAgent": "IODINE"}),
    ("NominalPercentageOfCardiacPhase", {"NominalPercentageOfCardiacPhase": 70}),
]


@pytest.mark.parametrize(("told_by", "values"), ACQUISITIONS)
@pytest.mark.parametrize("mm", [0.0, 2.0, 0.05])
def test_phases_refuse_the_series(
    series: Series, told_by: str, values: dict[str, object], mm: float
) -> None:
    with pytest.raises(UnsuitableSeries, match=told_by) as info:
        assemble([*series, *another(series, mm=mm, **values)], RULES)

    assert info.value.code == "two-volumes"
    assert len(info.value.text) < 200


def renumbered(series: Series, first: int) -> Series:
    return [with_values([ds], InstanceNumber=first + index)[0] for index, ds in enumerate(series)]


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("mm", [0.0, 1.5])
def test_numbers_that_run_on_tell_volumes_apart(series: Series, mm: float, backwards: bool) -> None:
    other = another(series, mm=mm)
    both = [*series, *renumbered(other[::-1] if backwards else other, 49)]

    with pytest.raises(UnsuitableSeries, match="InstanceNumber") as info:
        assemble(both, RULES)

    assert info.value.code == "two-volumes"


def test_times_of_single_slices_tell_volumes_apart(series: Series) -> None:
    other = another(series)
    for second, ds in enumerate([*series, *other]):
        ds.AcquisitionTime = f"10{second // 60:02}{second % 60:02}"

    with pytest.raises(UnsuitableSeries, match="AcquisitionTime") as info:
        assemble([*series, *other], RULES)
    assert info.value.code == "two-volumes"


def test_volumes_that_nothing_tells_apart_refuse_the_series(series: Series) -> None:
    with pytest.raises(UnsuitableSeries, match="nothing tells their volumes apart") as info:
        assemble([*series, *another(series)], RULES)
    assert info.value.code == "two-volumes"


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_fields_of_view_one_is_taken_whatever_the_order(series: Series, first: int) -> None:
    wide = another(series, PixelSpacing=["13", "13"], InstanceNumber=0)
    both = [series, wide] if first == 0 else [wide, series]

    result = assemble([*both[0], *both[1]], RULES)

    assert result.volume.spacing_mm == pytest.approx((4.0, 13.0, 13.0))  # numbered first
    assert [(part.code, part.images) for part in result.geometry.left_out] == [
        ("mixed-pixel-spacing", 48)
    ]


def test_two_fields_of_view_of_other_times_refuse_the_series(series: Series) -> None:
    wide = another(series, PixelSpacing=["13", "13"], AcquisitionTime="101112")

    with pytest.raises(UnsuitableSeries, match="AcquisitionTime") as info:
        assemble([*series, *wide], RULES)
    assert info.value.code == "two-volumes"


def test_the_same_pictures_twice_are_no_choice(series: Series) -> None:
    result = assemble([*series, *another(series, brighter=0)], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert len(result.geometry.duplicates) == 48


UNLIKE: list[dict[str, object]] = [
    {"RescaleIntercept": "-1000"},
    {"RescaleSlope": "1.1"},
    {"PixelPaddingValue": 0},
    {"BitsStored": 16, "HighBit": 15},
    {"PixelRepresentation": 1},
    {"PixelSpacing": ["11.251", "11.251"]},
]


@pytest.mark.parametrize("images", [48, 1])
@pytest.mark.parametrize("values", UNLIKE)
def test_the_same_stored_values_that_mean_others_are_another_image(
    series: Series, values: dict[str, object], images: int
) -> None:
    others = with_values(another(series[:images], brighter=0), **values)

    with pytest.raises(UnsuitableSeries, match="two different ones") as info:
        assemble([*series, *others], RULES)
    assert info.value.code == "two-volumes"


@pytest.mark.parametrize("images", [48, 1])
def test_the_same_picture_aside_is_another_image(series: Series, images: int) -> None:
    aside = another(series[:images], brighter=0)
    for ds in aside:
        x, y, z = (float(value) for value in ds.ImagePositionPatient)
        ds.ImagePositionPatient = decimals([x + 10, y, z])

    with pytest.raises(UnsuitableSeries) as info:
        assemble([*series, *aside], RULES)
    assert info.value.code == "two-volumes"


@pytest.mark.parametrize("numbers", ["same", "on", "backwards", "overlapping"])
def test_a_volume_between_the_slices_of_another_refuses_the_series(
    series: Series, numbers: str
) -> None:
    between = another(series, mm=2.0)
    if numbers == "backwards":
        between = renumbered(between[::-1], 1)
    elif numbers != "same":
        between = renumbered(between, {"on": 49, "overlapping": 21}[numbers])

    with pytest.raises(UnsuitableSeries, match="InstanceNumber") as info:
        assemble([*series, *between], RULES)
    assert info.value.code == "two-volumes"


def test_times_of_single_slices_tell_volumes_in_turn_apart(series: Series) -> None:
    both = [*series, *another(series, mm=2.0)]
    for second, ds in enumerate(both):
        ds.AcquisitionTime = f"10{second // 60:02}{second % 60:02}"
        del ds.InstanceNumber

    with pytest.raises(UnsuitableSeries, match="AcquisitionTime") as info:
        assemble(both, RULES)
    assert info.value.code == "two-volumes"


@pytest.mark.parametrize("number", [None, 7])
def test_numbers_that_say_nothing_divide_nothing(series: Series, number: int | None) -> None:
    result = assemble(with_values(series, InstanceNumber=number), RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("mm", [0.05, 1.0])
def test_images_in_pairs_are_two_volumes(series: Series, mm: float, missing: int) -> None:
    both = [*series, *another(series, mm=mm)[missing:]]

    with pytest.raises(UnsuitableSeries, match=f"in pairs {mm:.2f} mm apart") as info:
        assemble(with_values(both, InstanceNumber=None), RULES)
    assert info.value.code == "two-volumes"


def test_slices_in_number_are_not_missing_between_images_at_two_places(series: Series) -> None:
    far = another(series[:12], mm=2000.0)

    with pytest.raises(UnsuitableSeries, match="to 1812") as info:
        assemble([*series, *far], RULES)
    assert info.value.code == "gap"


ALTERNATING = [
    ("ConvolutionKernel", "", "LUNG"),
    ("ConvolutionKernel", "Lung ", "LUNG"),
    ("SliceThickness", "4.25", "4.5"),
    ("ContrastBolusAgent", "", "IODINE"),
    ("SeriesDescription", "Thorax", "Thorax ax"),
]


@pytest.mark.parametrize(("keyword", "even", "odd"), ALTERNATING)
def test_one_stack_that_states_an_attribute_in_two_ways_is_one_volume(
    series: Series, keyword: str, even: str, odd: str
) -> None:
    for index, ds in enumerate(series):
        setattr(ds, keyword, odd if index % 2 else even)

    result = assemble(series, RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert result.geometry.left_out == ()


def test_a_fragment_of_another_acquisition_leaves_the_whole(series: Series) -> None:
    fragment = another(series[10:22], AcquisitionNumber=0, AcquisitionTime="080000")

    result = assemble([*fragment, *series], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert "the only whole one of 2 volumes" in result.geometry.statement


def test_acquisitions_one_behind_the_other_are_one_volume(series: Series) -> None:
    parts = [*series[:24], *with_values(series[24:], AcquisitionNumber=2, KVP="100")]

    result = assemble(parts, RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert result.geometry.left_out == ()


def test_of_a_few_doubled_slices_that_of_the_volume_is_taken(series: Series) -> None:
    twin = another(series[7:8], ConvolutionKernel="SOFT", AcquisitionNumber=0, InstanceNumber=1)

    result = assemble([*twin, *series], RULES)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert result.geometry.duplicates == (twin[0].SOPInstanceUID,)


def test_a_phase_of_a_multi_frame_image_is_no_slice_of_another() -> None:
    dataset = enhanced_dataset(PHANTOM, seed=1)
    frames = dataset.PerFrameFunctionalGroupsSequence
    later = enhanced_dataset(BRIGHTER, seed=1)
    for index, groups in ((1, frames), (2, later.PerFrameFunctionalGroupsSequence)):
        for frame in groups:
            frame.FrameContentSequence[0].TemporalPositionIndex = index
    dataset.PerFrameFunctionalGroupsSequence = [*frames, *later.PerFrameFunctionalGroupsSequence]
    dataset.NumberOfFrames = 96
    dataset.PixelData = dataset.PixelData + later.PixelData

    with pytest.raises(UnsuitableSeries, match="TemporalPositionIndex") as info:
        assemble([dataset], RULES)
    assert info.value.code == "two-volumes"


SPOILT: list[tuple[str, Callable[[Series], Series]]] = [
    ("gap", lambda s: [ds for index, ds in enumerate(s) if index % 4]),
    ("uneven-spacing", lambda s: another(s, mm=0.3)[::2] + s[1::2]),
]


@pytest.mark.parametrize(("code", "spoil"), SPOILT)
def test_reasons_are_short_and_show_the_difference(
    series: Series, code: str, spoil: Callable[[Series], Series]
) -> None:
    with pytest.raises(UnsuitableSeries) as info:
        assemble(spoil(series), RULES)

    assert info.value.code == code
    assert len(info.value.text) <= 300
    assert "more" in info.value.text
