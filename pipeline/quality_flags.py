"""Raise the quality flags of an analysis: of the scan, and of its distance from training data."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.classifier.input import NetworkInput
from pipeline.classifier.score import Scored, lung_features
from pipeline.model.loading import Models
from pipeline.reasons import QualityFlag
from pipeline.scan_quality.gates import acquisition_doubts
from pipeline.scan_quality.measure import facts_of
from pipeline.types import CtVolume, Doubt, LungMask
from pipeline.wording import figure


def doubts_of(
    volume: CtVolume, lungs: LungMask, crop: NetworkInput, scored: Scored, models: Models
) -> tuple[Doubt, ...]:
    """Measure the scan and the classifier's features; doubt what is unusual.

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
    return (
        *acquisition_doubts(facts, models.manifest.acquisition),
        *_of_features(scored, crop, models),
    )


def _of_features(scored: Scored, crop: NetworkInput, models: Models) -> Iterator[Doubt]:
    entry = models.manifest.reference
    if entry is None or models.reference is None:
        return
    distance = models.reference.distance(lung_features(scored.features, crop.tensor[0, 1]))
    if not distance <= entry.limit:
        shown = figure(distance, round(entry.limit, 1), digits=1)
        text = (
            f"distance {shown} from what the model was made for, {entry.limit:.1f} or less expected"
        )
        yield Doubt(code=QualityFlag.UNLIKE_TRAINING_DATA, text=text)
