"""Series that are flagged as unlike any lungs, or refused, with the bundled model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydicom import dcmread

from pipeline.analyse import find
from pipeline.cases.classifier_input import prepared_input
from pipeline.cases.prepared import Prepared
from pipeline.classifier.neighbours import neighbour_correlation
from pipeline.classifier.score import lung_features
from pipeline.errors import UnsuitableSeries
from pipeline.model.loading import Models, load
from pipeline.model.manifest import BUNDLED
from pipeline.networks.explainable import Explained
from pipeline.options import AnalysisOptions
from pipeline.series.volume import assemble
from pipeline.synthetic.disease.canvases import phantom_canvas
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import CtSeries

UNLIKE = "unlike-training-data"
Hu = NDArray[np.int16]
Lungs = NDArray[np.bool_]


@pytest.fixture(scope="module")
def models() -> Models:
    return load(BUNDLED, torch.device("cpu"))


@pytest.fixture(scope="module")
def healthy(models: Models) -> Prepared:
    return phantom_canvas(7, models.manifest.networks.classifier.input)


def noise(case: Prepared) -> Prepared:
    rng = np.random.default_rng(1)
    return replace(case, hu=rng.integers(-1024, 1000, case.hu.shape).astype(np.int16))


def inverted(case: Prepared) -> Prepared:
    return replace(case, hu=(-1024 - case.hu).astype(np.int16))


def inverted_lungs(case: Prepared) -> Prepared:
    return replace(case, hu=np.where(case.lungs, -300 - case.hu, case.hu).astype(np.int16))


def unchanged(case: Prepared) -> Prepared:
    return case


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "flagged"),
    [
        (noise, True),
        (inverted, True),
        (inverted_lungs, True),
        (unchanged, False),
    ],
)
def test_what_is_grossly_wrong_is_flagged(
    healthy: Prepared, models: Models, change: object, flagged: bool
) -> None:
    assert callable(change)
    seen = prepared_input(change(healthy), models.manifest.networks.classifier.input).tensor[0]
    assert isinstance(models.classifier, Explained)
    with torch.no_grad():
        features = models.classifier.features(torch.from_numpy(seen[np.newaxis]))

    assert models.reference is not None
    assert models.manifest.reference is not None
    distance = models.reference.distance(lung_features(features, seen[1]))
    assert (distance > models.manifest.reference.limit) is flagged


def as_it_is(hu: Hu, _: Lungs) -> Hu:
    return hu


def upside_down(hu: Hu, _: Lungs) -> Hu:
    return hu[::-1].copy()


def shuffled(hu: Hu, lungs: Lungs) -> Hu:
    mixed = hu.copy()
    mixed[lungs] = np.random.default_rng(1).permutation(hu[lungs])
    return mixed


def lungs_of_water(hu: Hu, lungs: Lungs) -> Hu:
    return np.where(lungs, water(hu, lungs), hu).astype(np.int16)


def water(hu: Hu, _: Lungs) -> Hu:
    return np.random.default_rng(1).normal(0, 20, hu.shape).astype(np.int16)


def outcome(
    series: CtSeries, change: Callable[[Hu, Lungs], Hu], lungs: Lungs, models: Models
) -> set[str]:
    """Flags of an altered series, or the reason for which it is refused."""
    volume = replace(series.volume, hu=change(series.volume.hu, lungs))
    try:
        found = find(replace(series, volume=volume), models, AnalysisOptions(), lambda *_: None)
    except UnsuitableSeries as reason:
        return {str(reason.code)}
    return set(found.flags)


def check_absurd_scans(series: CtSeries, models: Models) -> None:
    found = find(series, models, AnalysisOptions(), lambda *_: None)
    lungs = found.lungs.labels > 0

    assert not {UNLIKE, "orientation"} & set(found.flags)
    assert "orientation" in outcome(series, upside_down, lungs, models)
    assert UNLIKE in outcome(series, shuffled, lungs, models)
    assert outcome(series, lungs_of_water, lungs, models) == {"lungs-not-found"}
    assert outcome(series, water, lungs, models) == {"implausible-hu"}


@pytest.mark.slow
def test_absurd_scans_are_flagged_or_refused(models: Models) -> None:
    phantom = make_phantom(PhantomSpec(slices=60, size=256, spacing_mm=5.0))

    check_absurd_scans(assemble(phantom_datasets(phantom, seed=1)), models)


@pytest.mark.real
@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["cap-01", "covid-01", "mass-01", "normal-01", "tumour-01", "tumour-02"]
)
def test_absurd_real_scans_are_flagged_or_refused(real_ct: Path, name: str, models: Models) -> None:
    check_absurd_scans(assemble([dcmread(path) for path in (real_ct / name).iterdir()]), models)


def test_neighbours_of_noise_do_not_correlate_and_those_of_a_slope_do() -> None:
    lungs = np.ones((2, 20, 20), np.bool_)
    noise = np.random.default_rng(1).random(lungs.shape, np.float32)
    slope = np.broadcast_to(np.linspace(0, 1, 20, dtype=np.float32), lungs.shape)

    assert abs(neighbour_correlation(noise, lungs)) < 0.2
    assert neighbour_correlation(slope, lungs) > 0.9


def test_what_cannot_be_told_is_not_a_number() -> None:
    grey = np.ones((2, 20, 20), np.float32)

    assert np.isnan(neighbour_correlation(grey, np.ones(grey.shape, np.bool_)))
    assert np.isnan(neighbour_correlation(grey, np.zeros(grey.shape, np.bool_)))
