"""Why an analysis may deserve less trust: the scan, and the model's own material."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.classifier.input import NetworkInput
from pipeline.classifier.score import Scored, lung_features
from pipeline.model.loading import Models
from pipeline.scan_quality.gates import acquisition_doubts
from pipeline.scan_quality.measure import facts_of
from pipeline.types import CtVolume, Doubt, LungMask

UNLIKE = "unlike-training-data"


def doubts_of(
    volume: CtVolume, lungs: LungMask, seen: NetworkInput, scored: Scored, models: Models
) -> tuple[Doubt, ...]:
    """Every doubt that can be measured.

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
        *_of_features(scored, seen, models),
    )


def _of_features(scored: Scored, seen: NetworkInput, models: Models) -> Iterator[Doubt]:
    entry = models.manifest.reference
    if entry is None or models.reference is None:
        return
    distance = models.reference.distance(lung_features(scored.features, seen.tensor[0, 1]))
    if not distance <= entry.limit:
        text = (
            f"distance {distance:.1f} from what the model was made for, "
            f"{entry.limit:.1f} or less expected"
        )
        yield Doubt(code=UNLIKE, text=text)
