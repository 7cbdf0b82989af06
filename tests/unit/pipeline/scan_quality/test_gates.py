"""Acquisition properties are measured on pixels, and unusual ones are flagged with a figure."""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from pipeline.cases.volumes import read_volume
from pipeline.errors import UnsuitableSeries
from pipeline.lungs.coarse_grid import coarsen, refine
from pipeline.lungs.unsupervised import segment_unsupervised
from pipeline.reasons import QualityFlag
from pipeline.scan_quality.gates import GATES, acquisition_doubts
from pipeline.scan_quality.measure import AcquisitionFacts, facts_of

SHAPE, SPACING = (20, 200, 240), (2.0, 0.75, 0.75)
USUAL = AcquisitionFacts(
    slice_mm=1.5,
    pixel_mm=0.7,
    noise_hu=20.0,
    noise_frequency=0.35,
    soft_tissue_hu=45.0,
    mediastinum_hu=45.0,
    cut=0.0,
)
Chest = tuple[np.ndarray, np.ndarray]


def chest(
    *,
    noise_hu: float = 20.0,
    blur: float = 0.0,
    blood_hu: float = 40.0,
    spine_hu: float = 200.0,
    first_slice: int = 2,
) -> Chest:
    """A block of soft tissue with two boxes of lung, blood between them, a spine behind."""
    hu = np.full(SHAPE, 40.0)
    labels = np.zeros(SHAPE, np.uint8)
    labels[first_slice:18, 50:150, 30:90] = 1
    labels[first_slice:18, 50:150, 150:210] = 2
    hu[:, 60:110, 95:145] = blood_hu
    hu[:, 115:150, 100:140] = spine_hu
    hu[labels > 0] = -850
    grain = np.random.default_rng(1).standard_normal(SHAPE)
    if blur:
        grain = ndimage.gaussian_filter(grain, (0, blur, blur))
    return (hu + noise_hu * grain / grain.std()).astype(np.int16), labels


def measured(made: Chest) -> AcquisitionFacts:
    return facts_of(*made, SPACING)


def codes(facts: AcquisitionFacts) -> list[str]:
    return [doubt.code for doubt in acquisition_doubts(facts, {})]


@pytest.mark.parametrize("noise_hu", [5.0, 20.0, 60.0])
def test_noise_is_measured_whatever_the_anatomy(noise_hu: float) -> None:
    assert measured(chest(noise_hu=noise_hu)).noise_hu == pytest.approx(noise_hu, rel=0.12)


def test_frequency_of_white_noise_is_that_of_theory() -> None:
    """Over the disc of frequencies f up to F the mean of f is 2 F / 3."""
    nyquist = 0.5 / SPACING[1]

    assert measured(chest()).noise_frequency == pytest.approx(2 * nyquist / 3, rel=0.05)


def test_the_softer_the_kernel_the_lower_the_frequency() -> None:
    found = [measured(chest(blur=blur)).noise_frequency for blur in (0.0, 0.6, 1.0, 2.0)]

    assert found == sorted(found, reverse=True)
    assert found[-1] < found[0] / 2


@pytest.mark.parametrize("blood_hu", [40.0, 150.0, 300.0])
def test_blood_is_measured_and_the_spine_is_not(blood_hu: float) -> None:
    assert measured(chest(blood_hu=blood_hu)).mediastinum_hu == pytest.approx(blood_hu, abs=8)


@pytest.mark.parametrize(("first_slice", "cut"), [(2, 0.0), (0, 1.0)])
def test_lungs_that_end_on_a_slice_are_cut(first_slice: int, cut: float) -> None:
    assert measured(chest(first_slice=first_slice)).cut == cut


def test_spacing_is_that_of_the_grid() -> None:
    facts = measured(chest())

    assert (facts.slice_mm, facts.pixel_mm) == (2.0, 0.75)


def test_usual_scans_raise_no_doubt() -> None:
    assert codes(measured(chest(blur=0.6))) == []
    assert codes(USUAL) == []


@pytest.mark.parametrize(
    ("figure", "value", "code", "text"),
    [
        ("slice_mm", 7.0, "unusual-spacing", "between slices 7 mm, 0.4 to 5 expected"),
        ("pixel_mm", 1.6, "unusual-spacing", "between pixels 1.6 mm, 0.4 to 1 expected"),
        ("noise_hu", 74.0, "unusual-noise", "noise in soft tissue 74 HU, 2 to 50 expected"),
        ("noise_frequency", 0.52, "unusual-kernel", "0.52 per mm, 0.12 to 0.46 expected"),
        ("soft_tissue_hu", 5.0, "unusual-attenuation", "soft tissue 5 HU, 10 to 120 expected"),
        ("mediastinum_hu", 142.0, "contrast-medium", "mediastinum 142 HU, 90 or less expected"),
        ("cut", 0.5, "truncated-lungs", "largest area, 0.5, 0.1 or less expected"),
    ],
)
def test_a_doubt_names_its_figure(figure: str, value: float, code: str, text: str) -> None:
    (doubt,) = acquisition_doubts(replace(USUAL, **{figure: value}), {})

    assert doubt.code == code
    assert doubt.text.endswith(text)


def test_the_bounds_of_a_model_stand_in_for_the_usual_ones() -> None:
    noisy = replace(USUAL, noise_hu=60.0)

    assert acquisition_doubts(noisy, {"noise_hu": (5, 70)}) == ()
    (doubt,) = acquisition_doubts(USUAL, {"noise_hu": (30, 70)})
    assert doubt.text == "noise in soft tissue 20 HU, 30 to 70 expected"


@pytest.mark.parametrize(("figure", "value"), [("slice_mm", 12.0), ("noise_hu", 400.0)])
def test_what_is_out_of_all_reason_is_refused(figure: str, value: float) -> None:
    with pytest.raises(UnsuitableSeries, match=f"{value:g}"):
        acquisition_doubts(replace(USUAL, **{figure: value}), {})


@pytest.mark.parametrize(
    ("figure", "low", "high"),
    [
        ("slice_mm", 0.4, 5.0),
        ("pixel_mm", 0.4, 1.0),
        ("noise_hu", 2.0, 50.0),
        ("noise_frequency", 0.12, 0.46),
        ("soft_tissue_hu", 10.0, 120.0),
        ("mediastinum_hu", -math.inf, 90.0),
        ("cut", -math.inf, 0.1),
    ],
)
def test_a_bound_itself_is_expected_and_what_lies_beyond_is_not(
    figure: str, low: float, high: float
) -> None:
    for bound, beyond in ((low, math.nextafter(low, -1e9)), (high, math.nextafter(high, 1e9))):
        if math.isfinite(bound):
            assert codes(replace(USUAL, **{figure: bound})) == []
            assert len(codes(replace(USUAL, **{figure: beyond}))) == 1


@pytest.mark.parametrize(
    ("figure", "low", "high"), [("slice_mm", 0.1, 10.0), ("noise_hu", 0.0, 300.0)]
)
def test_a_bound_itself_is_possible_and_what_lies_beyond_is_not(
    figure: str, low: float, high: float
) -> None:
    for bound, beyond in ((low, math.nextafter(low, -1e9)), (high, math.nextafter(high, 1e9))):
        assert len(codes(replace(USUAL, **{figure: bound}))) == 1
        with pytest.raises(UnsuitableSeries):
            codes(replace(USUAL, **{figure: beyond}))


def test_what_cannot_be_measured_is_said() -> None:
    hu, labels = chest()
    hu[labels == 0] = -1000  # nothing but lung and air

    (doubt,) = acquisition_doubts(facts_of(hu, labels, SPACING), {})

    assert doubt.code == QualityFlag.ACQUISITION_UNMEASURED
    assert "noise in soft tissue" in doubt.text
    assert "mediastinum" in doubt.text


def test_every_gate_looks_at_another_figure() -> None:
    figures = {gate.figure for gate in GATES}

    assert figures == set(AcquisitionFacts.__slots__)
    assert len(figures) == len(GATES)


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("normal-01", ()),
        ("covid-01", ()),
        ("tumour-01", ("unusual-noise", "unusual-kernel", "contrast-medium")),
    ],
)
def test_real_scans_are_known_for_what_they_are(
    real_ct: Path, name: str, expected: Iterable[str]
) -> None:
    """Tumour: kernel B70f, contrast medium; the others: kernel D40s, none."""
    volume = read_volume(real_ct / name)
    coarse = coarsen(volume.hu, volume.spacing_mm)
    labels = refine(segment_unsupervised(coarse.hu, coarse.spacing_mm), coarse)

    assert tuple(codes(facts_of(volume.hu, labels, volume.spacing_mm))) == expected


@pytest.mark.parametrize("pixel_mm", [(0.5, 1.0), (1.0, 0.5), (0.7, 0.7)])
@pytest.mark.parametrize("axis", [1, 2])
def test_the_frequency_of_noise_is_measured_in_millimetres(
    pixel_mm: tuple[float, float], axis: int
) -> None:
    shape = (3, 256, 256)
    at = np.arange(256).reshape((1, -1, 1) if axis == 1 else (1, 1, -1)) * pixel_mm[axis - 1]
    wave = np.broadcast_to(40 + 20 * np.cos(2 * np.pi * 0.25 * at), shape)
    labels = np.zeros(shape, np.uint8)
    labels[:, :, :9] = 1

    facts = facts_of(np.rint(wave).astype(np.int16), labels, (5.0, *pixel_mm))

    assert facts.noise_frequency == pytest.approx(0.25, rel=0.1)
