"""Assembling a series: order, duplicates, gaps, refusals, multi-frame, completeness."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom import Dataset
from pydicom.uid import generate_uid

from pipeline.errors import InvalidGeometry, UnsuitableSeries
from pipeline.series import volume as volume_module
from pipeline.series.eligibility import implausible
from pipeline.series.image_rules import SelectionRules
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import Completeness, Gap
from tests.support.eligibility import why_not
from tests.support.paths import DATA
from tests.support.samples.phantom_enhanced import enhanced_dataset
from tests.support.samples.phantom_odd import (
    doubled,
    numbered_backwards,
    oblique,
    padded,
    rescaled,
    tilted,
    with_values,
    without,
)

SPEC = PhantomSpec(size=32, slices=48, spacing_mm=4.0, lesions=1)
PHANTOM = make_phantom(SPEC)


@pytest.fixture
def series() -> list[Dataset]:
    return phantom_datasets(PHANTOM, seed=1)


def test_volume_is_the_phantom(series: list[Dataset]) -> None:
    result = assemble(series)

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)
    assert result.volume.spacing_mm == pytest.approx((4.0, 11.25, 11.25))
    assert [s.sop_instance_uid for s in result.volume.source if s] == [
        d.SOPInstanceUID for d in series
    ]
    assert result.volume.frame_of_reference_uid == series[0].FrameOfReferenceUID
    assert result.instance_count == 48


def test_rows_and_columns_may_lie_apart_differently() -> None:
    oblong = make_phantom(replace(SPEC, depth_mm=280.0))

    for datasets in (phantom_datasets(oblong, seed=1), [enhanced_dataset(oblong, seed=1)]):
        volume = assemble(datasets).volume

        assert volume.spacing_mm == pytest.approx((4.0, 8.75, 11.25))
        assert np.allclose(volume.affine, oblong.affine, atol=1e-5)
        assert np.array_equal(volume.hu, oblong.hu)


def test_headers_are_in_order_and_without_pixels(series: list[Dataset]) -> None:
    uids = [d.SOPInstanceUID for d in series]

    result = assemble(series[::-1])

    assert [h.SOPInstanceUID for h in result.headers] == uids
    assert not any("PixelData" in header for header in result.headers)


def test_instance_numbers_do_not_matter(series: list[Dataset]) -> None:
    assert np.array_equal(assemble(numbered_backwards(series)).volume.hu, PHANTOM.hu)


def test_duplicate_position_is_left_out_and_named(series: list[Dataset]) -> None:
    spoilt = doubled(series, 7)
    twin = spoilt[-1].SOPInstanceUID

    result = assemble(spoilt[::-1])

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert result.geometry.duplicates == (twin,)
    assert "1 left out: another image has the same position." in result.geometry.statement
    assert len(result.headers) == 48
    assert result.instance_count == 49


def test_earlier_acquisition_wins(series: list[Dataset]) -> None:
    later = with_values(series[7:8], AcquisitionNumber=9)
    spoilt = doubled([*series[:7], *later, *series[8:]], 7, acquisition=3)

    result = assemble(spoilt)

    assert result.geometry.duplicates == (series[7].SOPInstanceUID,)


def test_missing_slice_is_interpolated_and_reported(series: list[Dataset]) -> None:
    result = assemble(without(series, {20}))

    assert result.geometry.gaps == (
        Gap(after_slice=19, missing=1, position_mm=pytest.approx(-300 + 19 * 4.0)),
    )
    assert result.volume.source[20] is None
    assert result.geometry.completeness is Completeness.INCOMPLETE
    assert "1 missing after slice 20 (at -224.0 mm)" in result.geometry.statement
    middle = (PHANTOM.hu[19].astype(float) + PHANTOM.hu[21]) / 2
    assert np.abs(result.volume.hu[20] - middle).max() <= 0.5
    assert np.array_equal(np.delete(result.volume.hu, 20, 0), np.delete(PHANTOM.hu, 20, 0))
    assert len(result.headers) == 47


def test_several_missing_slices_in_a_row_go_from_one_neighbour_to_the_other() -> None:
    thin = make_phantom(replace(SPEC, slices=80, spacing_mm=2.5))
    missing = [20, 21, 22]  # 10 mm from slice to slice, the widest that is taken

    result = assemble(without(phantom_datasets(thin, seed=1), missing))

    assert [(gap.after_slice, gap.missing) for gap in result.geometry.gaps] == [(19, 3)]
    below, above = thin.hu[19].astype(float), thin.hu[23].astype(float)
    for index in missing:
        share = (index - 19) / 4
        expected = below + share * (above - below)
        assert np.abs(result.volume.hu[index] - expected).max() <= 0.5


def test_one_slice_in_twenty_may_be_missing(series: list[Dataset]) -> None:
    geometry = assemble(without(series[:40], {10, 30})).geometry
    assert [gap.after_slice for gap in geometry.gaps] == [9, 29]

    with pytest.raises(InvalidGeometry, match="at most 5% of 39 slices missing") as info:
        assemble(without(phantom_datasets(PHANTOM, seed=1)[:39], {10, 30}))
    assert info.value.code == "gap"


@pytest.mark.parametrize(
    ("missing", "where"),
    [
        ({20, 21}, r"2 missing after slice 20 \(at -224.0 mm\)"),  # 12 mm wide
        ({5, 15, 25}, r"after slice 5 .* after slice 15 .* after slice 25"),  # 6 %
    ],
)
def test_too_much_missing_is_refused_and_placed(
    series: list[Dataset], missing: set[int], where: str
) -> None:
    with pytest.raises(InvalidGeometry, match=where) as info:
        assemble(without(series, missing))
    assert info.value.code == "gap"


def shifted(series: list[Dataset], index: int, by: tuple[float, float, float]) -> list[Dataset]:
    position = [float(v) + d for v, d in zip(series[index].ImagePositionPatient, by, strict=True)]
    return [*series[:index], *with_values([series[index]], ImagePositionPatient=position),
            *series[index + 1:]]  # fmt: skip


def several_shifted(series: list[Dataset], by: tuple[float, float, float]) -> list[Dataset]:
    for index in (9, 17, 30):
        series = shifted(series, index, by)
    return series


SPOILT: list[tuple[str, Callable[[list[Dataset]], list[Dataset]]]] = [
    ("uneven-spacing", lambda s: several_shifted(s, (0, 0, 0.3))),
    ("off-axis", lambda s: several_shifted(s, (0, 30, 0))),
    ("gantry-tilt", lambda s: tilted(s, 8.0)),
    ("gantry-tilt", lambda s: tilted(s, -1.0)),
    ("mixed-orientation", lambda s: [*s[:9], *tilted(s[9:], 2.0)]),
    ("mixed-size", lambda s: [*s[:9], *with_values(s[9:], Rows=16)]),
    ("mixed-pixel-spacing", lambda s: [*s[:9], *with_values(s[9:], PixelSpacing=[1, 1])]),
    (
        "mixed-frame-of-reference",
        lambda s: [*s[:9], *with_values(s[9:], FrameOfReferenceUID=generate_uid())],
    ),
]


@pytest.mark.parametrize(("code", "spoil"), SPOILT)
def test_what_is_no_regular_volume_is_refused(
    series: list[Dataset], code: str, spoil: Callable[[list[Dataset]], list[Dataset]]
) -> None:
    spoilt = spoil(series)

    with pytest.raises(InvalidGeometry) as info:
        assemble(spoilt)
    assert info.value.code == code
    assert all("PixelData" in dataset for dataset in spoilt)


def test_tilt_is_told_in_degrees(series: list[Dataset]) -> None:
    with pytest.raises(InvalidGeometry, match=r"got 8\.0 degrees"):
        assemble(tilted(series, 8.0))


def test_rounded_positions_are_no_fault(series: list[Dataset]) -> None:
    for dataset in series:
        x, y, z = (float(value) for value in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [f"{x:.2f}", f"{y:.2f}", f"{z + 0.004:.2f}"]

    assert assemble(series).geometry.spacing_mm == pytest.approx(4.0, abs=1e-3)


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("no-instances", lambda s: []),
        ("too-few-slices", lambda s: s[:1]),
        ("too-few-slices", lambda s: doubled(s[:1], 0)),
        ("not-axial", lambda s: oblique(s, 25.0)),
        ("missing-attribute", lambda s: with_values(s, ImagePositionPatient=None)),
        ("missing-attribute", lambda s: with_values(s, RescaleSlope=None)),
        ("bad-orientation", lambda s: with_values(s, ImageOrientationPatient=[1, 0, 0, 1, 0, 0])),
        ("bad-spacing", lambda s: with_values(s, PixelSpacing=[0, 1])),
        ("bad-rescale", lambda s: with_values(s, RescaleSlope="0")),
        ("pixel-data", lambda s: with_values(s, PixelData=b"\0\0")),
        ("too-large", lambda s: with_values(s, Rows=65535, Columns=65535)),
    ],
)
def test_what_is_no_series_for_us_is_refused(
    series: list[Dataset], code: str, spoil: Callable[[list[Dataset]], list[Dataset]]
) -> None:
    with pytest.raises(UnsuitableSeries) as info:
        assemble(spoil(series))
    assert info.value.code == code


def test_oblique_but_nearly_axial_series_is_taken(series: list[Dataset]) -> None:
    result = assemble(oblique(series, 12.0))

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert result.volume.affine[1, 0] == pytest.approx(-4.0 * np.sin(np.deg2rad(12.0)), abs=1e-4)


def test_rescale_may_differ_from_slice_to_slice(series: list[Dataset]) -> None:
    mixed = [*series[:16], *rescaled(series[16:32], 0.5, -1200.5), *rescaled(series[32:], 1, -2000)]

    assert np.abs(assemble(mixed).volume.hu - PHANTOM.hu.astype(int)).max() <= 1
    assert np.array_equal(assemble(rescaled(phantom_datasets(PHANTOM, seed=1), 1, -3000)).volume.hu,
                          PHANTOM.hu)  # fmt: skip


def test_padding_becomes_air(series: list[Dataset]) -> None:
    hu = assemble(padded(series, value=1500)).volume.hu  # a value that no clipping would hide

    assert np.all(hu[:, 0, 0] == -1024)
    assert np.array_equal(hu[:, 16, :], np.where(hu[:, 16] == -1024, -1024, PHANTOM.hu[:, 16]))
    assert hu.min() == -1024


@pytest.mark.parametrize("head_first", [False, True])
def test_enhanced_instance_is_the_same_volume(head_first: bool) -> None:
    dataset = enhanced_dataset(PHANTOM, seed=1, head_first=head_first)

    result = assemble([dataset])

    assert np.array_equal(result.volume.hu, PHANTOM.hu)
    assert np.allclose(result.volume.affine, PHANTOM.affine, atol=1e-5)
    numbers = [source.frame_number for source in result.volume.source if source]
    assert numbers == list(range(48, 0, -1) if head_first else range(1, 49))
    assert result.geometry.completeness is Completeness.PROVED
    assert len(result.headers) == 1


def test_enhanced_instance_without_its_frames_is_refused() -> None:
    dataset = enhanced_dataset(PHANTOM, seed=1)
    del dataset.PerFrameFunctionalGroupsSequence[-1]

    with pytest.raises(UnsuitableSeries, match=r"48 items expected .* got 47"):
        assemble([dataset])


def test_announced_count_proves_completeness(series: list[Dataset]) -> None:
    assert assemble(series).geometry.completeness is Completeness.PROVED


def test_fewer_than_announced_is_incomplete_though_there_is_no_gap(series: list[Dataset]) -> None:
    geometry = assemble(series[:-3]).geometry

    assert geometry.completeness is Completeness.INCOMPLETE
    assert geometry.gaps == ()
    assert "45 of 48 announced images came" in geometry.statement


def test_one_frame_in_each_image_announces_nothing(series: list[Dataset]) -> None:
    geometry = assemble(with_values(series, ImagesInAcquisition=None, NumberOfFrames=1)).geometry

    assert geometry.completeness is Completeness.QUIET


def test_nothing_announced_is_quiet(series: list[Dataset]) -> None:
    geometry = assemble(with_values(series, ImagesInAcquisition=None)).geometry

    assert geometry.completeness is Completeness.QUIET
    assert geometry.coverage_mm == pytest.approx(47 * 4.0)


def test_bound_on_voxels_holds_a_thousand_slices_of_1024() -> None:
    assert volume_module.MAX_VOXELS >= 1000 * 1024 * 1024


REAL = {
    "cap-01": ((168, 512, 512), (2.0, 0.58984375, 0.58984375)),
    "covid-01": ((148, 512, 512), (2.0, 0.748046875, 0.748046875)),
    "normal-01": ((154, 512, 512), (2.0, 0.634765625, 0.634765625)),
    "tumour-01": ((99, 512, 512), (3.0, 0.564453125, 0.564453125)),
}


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_series(name: str) -> None:
    folder = DATA / "ct" / name
    if not folder.is_dir():
        pytest.skip(f"shared real CT series not found: set DICOM_NODE_TEST_DATA ({folder})")
    paths = sorted(folder.glob("*.dcm"), reverse=True)
    datasets = [pydicom.dcmread(path) for path in paths]
    by_uid = {d.SOPInstanceUID: path for d, path in zip(datasets, paths, strict=True)}
    shape, spacing = REAL[name]

    assert why_not(datasets, SelectionRules()) is None
    result = assemble(datasets)

    assert result.volume.shape == shape
    assert result.volume.spacing_mm == pytest.approx(spacing)
    assert result.geometry.gaps == ()
    assert implausible(result.volume) is None
    for place in (0, shape[0] // 2, shape[0] - 1):
        source = result.volume.source[place]
        assert source is not None
        # a second, independent decoder: pydicom's plugins here cannot read JPEG Lossless
        expected = SimpleITK.GetArrayFromImage(
            SimpleITK.ReadImage(str(by_uid[source.sop_instance_uid]))
        )
        assert np.array_equal(result.volume.hu[place], np.clip(expected[0], -1024, 3071))
