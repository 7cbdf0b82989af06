"""Raise the quality flags of an analysis: of the scan, and of its distance from training data."""

from __future__ import annotations

import math
from collections.abc import Iterator

from pipeline.classifier.input import NetworkInput
from pipeline.classifier.neighbours import neighbour_correlation
from pipeline.classifier.score import Scored, lung_features
from pipeline.model.loading import Models
from pipeline.reasons import QualityFlag
from pipeline.scan_quality.gates import acquisition_doubts
from pipeline.scan_quality.measure import air_hu, facts_of
from pipeline.types import CtVolume, Doubt, LungMask, ScanFigures
from pipeline.wording import figure

MIN_NEIGHBOUR_CORRELATION = 0.5
"""Correlation of neighbouring pixels within the lungs, at least. Measured: 0.73 to 0.85 in six real
series (0.70 and more with noise of 100 HU added), 0.71 or more in 80 validation cases, and 0.13 to
0.35 in the real ones with the voxels of their lungs shuffled."""


def judged_scan(
    volume: CtVolume, lungs: LungMask, crop: NetworkInput, scored: Scored, models: Models
) -> tuple[tuple[Doubt, ...], ScanFigures]:
    """Measure the scan and the classifier's features; doubt what is unusual, and give the figures.

    Parameters
    ----------
    volume, lungs
        Canonical, on one grid.

    Raises
    ------
    UnsuitableSeries
        If the scan is out of all reason.
    """
    facts = facts_of(volume.hu, lungs.labels, volume.spacing_mm)
    distance = _distance(scored, crop, models)
    doubts = (
        *acquisition_doubts(facts, models.manifest.acquisition),
        *_of_features(distance, models),
        *_of_picture(crop),
    )
    return doubts, ScanFigures(
        noise_hu=_measured(facts.noise_hu),
        slice_mm=_measured(facts.slice_mm),
        pixel_mm=_measured(facts.pixel_mm),
        mediastinum_hu=_measured(facts.mediastinum_hu),
        air_hu=_measured(air_hu(volume.hu, lungs.labels)),
        distance=None if distance is None else _measured(distance),
    )


def _of_picture(crop: NetworkInput) -> Iterator[Doubt]:
    grey, lungs = crop.tensor[0]
    alike = neighbour_correlation(grey, lungs > 0)
    if alike < MIN_NEIGHBOUR_CORRELATION:
        shown = figure(alike, MIN_NEIGHBOUR_CORRELATION, digits=2)
        text = (
            f"neighbouring pixels of the lungs correlate by {shown},"
            f" {MIN_NEIGHBOUR_CORRELATION:.2f} or more expected"
        )
        yield Doubt(code=QualityFlag.UNLIKE_TRAINING_DATA, text=text)


def _measured(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _distance(scored: Scored, crop: NetworkInput, models: Models) -> float | None:
    if models.reference is None:
        return None
    return models.reference.distance(lung_features(scored.features, crop.tensor[0, 1]))


def _of_features(distance: float | None, models: Models) -> Iterator[Doubt]:
    entry = models.manifest.reference
    if entry is None or distance is None:
        return
    if not distance <= entry.limit:
        shown = figure(distance, round(entry.limit, 1), digits=1)
        text = (
            f"distance {shown} from what the model was made for, {entry.limit:.1f} or less expected"
        )
        yield Doubt(code=QualityFlag.UNLIKE_TRAINING_DATA, text=text)
