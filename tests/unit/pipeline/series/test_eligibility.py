"""Eligibility: each rule alone, their order, and the codes of ill-made series."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from pydicom import DataElement, Dataset, Sequence
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from pipeline.errors import UnsuitableSeries
from pipeline.series.eligibility import implausible
from pipeline.series.image_rules import SelectionRules
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import CtVolume, SourceFrame
from tests.support.eligibility import why_not
from tests.support.samples.phantom_enhanced import enhanced_dataset
from tests.support.samples.phantom_odd import oblique, tilted, with_values, without
from tests.support.samples.raw_elements import as_read

PHANTOM = make_phantom(PhantomSpec(size=32, slices=60, spacing_mm=4.0, lesions=0))
OWN = "2.25.4711"
RULES = SelectionRules(own_uids=frozenset({OWN}), exclude_description="mip|topo")


@pytest.fixture
def series() -> list[Dataset]:
    return phantom_datasets(PHANTOM, seed=1)


def test_chest_is_ours(series: list[Dataset]) -> None:
    assert why_not(series, RULES) is None
    assert why_not(with_values(series, PixelData=None), RULES) is None
    assert why_not(series, SelectionRules()) is None
    assert why_not([enhanced_dataset(PHANTOM, seed=1)], RULES) is None


def equipment(uid: str) -> Sequence:
    item = Dataset()
    item.Manufacturer, item.DeviceUID = "someone", uid
    return Sequence([item])


def raw(series: list[Dataset], **values: bytes) -> list[Dataset]:
    """Instances with elements of these very bytes."""
    changed = with_values(series)
    for dataset in changed:
        for keyword, value in values.items():
            dataset[keyword_dict[keyword]] = as_read(keyword, value)
    return changed


def multi_frame(unit: str) -> Dataset:
    """An enhanced image whose functional group names a unit."""
    dataset = enhanced_dataset(PHANTOM, seed=1)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    shared.PixelValueTransformationSequence[0].RescaleType = unit
    return dataset


ODD_BUT_HARMLESS: dict[str, bytes] = {
    "ImageType": b" ORIGINAL \\primary\\AXIAL ",
    "Modality": b"ct",
    "SOPClassUID": CTImageStorage.encode() + b"\0\0",
    "FrameOfReferenceUID": b" 1.2.3\0",
    "RescaleType": b" hu ",
    "PhotometricInterpretation": b"monochrome2 \0",
    "RescaleSlope": b" 1.0000000000000000000 ",
    "InstanceNumber": b"1A",
    "AcquisitionNumber": b"one",
    "ImagesInAcquisition": b"1e999 ",
    "NumberOfFrames": b"none",
    "GantryDetectorTilt": b"0\\0 ",
    "PixelPaddingValue": b"abc",
    "PixelPaddingRangeLimit": b"\0\0\0",
    "SliceThickness": b"thin",
    "SeriesNumber": b"1.5 ",
}


def test_odd_values_without_which_one_can_do_refuse_nothing(series: list[Dataset]) -> None:
    odd = raw(series, **ODD_BUT_HARMLESS)

    with disable_value_validation():
        assert why_not(odd, RULES) is None
        assert assemble(odd).volume.shape == (60, 32, 32)


@pytest.mark.parametrize("value", [Sequence([Dataset()]), b"\xff\xfe odd"])
def test_a_sequence_or_bytes_in_place_of_a_value_raise_nothing_unforeseen(
    value: object, series: list[Dataset]
) -> None:
    vr = "SQ" if isinstance(value, Sequence) else "OB"
    for keyword in (*ODD_BUT_HARMLESS, "Rows", "PixelSpacing", "SOPInstanceUID", "PixelData"):
        odd = with_values(series[:2])
        for dataset in odd:
            dataset[keyword_dict[keyword]] = DataElement(keyword_dict[keyword], vr, value)

        with disable_value_validation(), suppress(UnsuitableSeries):
            assert why_not(odd, RULES) is not None
            assemble(odd)


Spoil = Callable[[list[Dataset]], list[Dataset]]
CASES: list[tuple[str, Spoil]] = [
    ("no-instances", lambda s: []),
    ("own-result", lambda s: with_values(s, ContributingEquipmentSequence=equipment(OWN))),
    ("own-result", lambda s: with_values(s, DeviceUID=OWN)),
    ("own-result", lambda s: with_values(s, InstanceCreatorUID=OWN)),
    ("not-ct", lambda s: with_values(s, Modality="MR")),
    ("not-ct", lambda s: with_values(s, SOPClassUID=SecondaryCaptureImageStorage)),
    ("localizer", lambda s: with_values(s, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    ("localizer", lambda s: with_values(s, ImageType=["DERIVED", "PRIMARY", "LOCALIZER"])),
    ("not-original", lambda s: with_values(s, ImageType=["DERIVED", "SECONDARY", "AXIAL"])),
    ("localizer", lambda s: raw(s, ImageType=b"ORIGINAL\\PRIMARY \\ localizer")),
    ("not-original", lambda s: raw(s, ImageType=b" derived \\PRIMARY\\AXIAL ")),
    ("not-hounsfield", lambda s: with_values(s, RescaleType="Z_EFF")),
    ("not-hounsfield", lambda s: raw(s, RescaleType=b"mgml\0")),
    ("not-hounsfield", lambda s: with_values(s[:9], RescaleType="US") + s[9:]),
    ("not-hounsfield", lambda s: [multi_frame("ED")]),
    ("bad-spacing", lambda s: with_values(s, PixelSpacing=[1e300, 1e300])),
    ("excluded-description", lambda s: with_values(s, SeriesDescription="Lung MIP 8 mm")),
    ("not-axial", lambda s: with_values(s, ImageType=["ORIGINAL", "PRIMARY", "MPR"])),
    ("not-axial", lambda s: oblique(s, 90.0)),
    ("not-axial", lambda s: oblique(s, 30.0)),
    ("too-few-slices", lambda s: s[:29]),
    ("too-few-slices", lambda s: s[:20] * 3),
    ("mixed-size", lambda s: [*s[:-9], *with_values(s[-9:], Rows=64)]),
    ("mixed-orientation", lambda s: [*s[:9], *tilted(s[9:], 3.0)]),
    ("mixed-pixel-spacing", lambda s: [*s[:9], *with_values(s[9:], PixelSpacing=[2, 2])]),
    ("too-little-coverage", lambda s: s[:38]),
    ("slices-too-far-apart", lambda s: s[::2]),
]


@pytest.mark.parametrize(("code", "spoil"), CASES)
def test_other_series_are_not_and_the_reason_says_why(
    series: list[Dataset], code: str, spoil: Spoil
) -> None:
    rules = SelectionRules(
        own_uids=frozenset({OWN}), exclude_description="mip", min_slices=30, max_spacing_mm=5.0
    )

    reason = why_not(spoil(series), rules)

    assert reason is not None
    assert reason.code == code
    assert reason.text.endswith(".")


def test_limits_themselves_are_allowed(series: list[Dataset]) -> None:
    assert why_not(series[:31], SelectionRules(min_slices=31, min_coverage_mm=120.0)) is None
    assert why_not(series, SelectionRules(max_spacing_mm=4.0)) is None


def test_one_missing_slice_does_not_make_the_spacing_too_wide(series: list[Dataset]) -> None:
    assert why_not(without(series, {30}), RULES) is None


def test_derived_images_may_be_wanted(series: list[Dataset]) -> None:
    derived = with_values(series, ImageType=["DERIVED", "SECONDARY", "AXIAL"])

    assert why_not(derived, SelectionRules(require_original=False)) is None


def test_same_words_from_another_device_are_not_our_result(series: list[Dataset]) -> None:
    other = with_values(
        series, ContributingEquipmentSequence=equipment("2.25.9"), Manufacturer="dicom-node"
    )

    assert why_not(other, RULES) is None


@pytest.mark.parametrize(
    "keyword",
    [
        "SOPClassUID",
        "Modality",
        "ImageType",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "PixelSpacing",
        "Rows",
        "Columns",
        "RescaleSlope",
        "RescaleIntercept",
    ],
)
@pytest.mark.parametrize("empty", [False, True])
def test_missing_or_empty_attribute_is_named(
    series: list[Dataset], keyword: str, empty: bool
) -> None:
    spoilt = with_values(series[-9:], **{keyword: None})
    for dataset in spoilt if empty else ():
        setattr(dataset, keyword, None)

    reason = why_not([*series[:-9], *spoilt], RULES)

    assert reason is not None
    assert reason.code == "missing-attribute"
    assert keyword in reason.text


def volume_of(hu: np.ndarray) -> CtVolume:
    source = SourceFrame(sop_class_uid="1", sop_instance_uid="2")
    return CtVolume(
        hu=hu.astype(np.int16), affine=np.eye(4), frame_of_reference_uid="",
        source=(source,) * len(hu),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_chests_are_plausible(seed: int) -> None:
    phantom = make_phantom(PhantomSpec(seed=seed, size=96, slices=40, spacing_mm=6.0))

    assert implausible(volume_of(phantom.hu)) is None


@pytest.mark.parametrize(
    ("hu", "words"),
    [
        (np.zeros_like(PHANTOM.hu), "0 HU throughout"),
        (PHANTOM.hu.astype(int) + 1024, "-1024 to 3071|voxels of air"),  # intercept forgotten
        (np.maximum(PHANTOM.hu, -200), "voxels of air"),
        (np.where(PHANTOM.hu > -940, 40, -1000), "voxels of lung"),
        (np.minimum(PHANTOM.hu, -100), "voxels of soft tissue"),
        (PHANTOM.hu.astype(int) * 4, "-1024 to 3071 HU expected"),
    ],
)
def test_what_is_no_chest_in_hounsfield_units_is_told(hu: np.ndarray, words: str) -> None:
    reason = implausible(volume_of(hu))

    assert reason is not None
    assert reason.code == "implausible-hu"
    assert any(word in reason.text for word in words.split("|"))
