"""Measurement group of both lungs: score, threshold, involvement and volumes (TID 1501).

A measurement is inferred from the outlines of the lungs that it is about (TID 320), on the
slice where the lungs are widest. OHIF 3.13 shows a report only if every group has coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import highdicom.sr as hd
from pydicom.sr.coding import Code

from pipeline.encode.common import sentences
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Prior, derived_uid
from pipeline.encode.source.key_slices import widest_slice
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import (
    algorithm_identification,
    algorithm_parameters,
    coordinates,
    lung_site,
)
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, Analysis, Classification, Side

LABELS: Mapping[Side | None, int] = {
    Side.RIGHT: RIGHT_LUNG,
    Side.LEFT: LEFT_LUNG,
    None: LUNG_OF_OPEN_SIDE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number of the group; of both lungs if there is no side."""

    name: Code
    value: float
    unit: Code
    side: Side | None = None


def whole_group(
    analysis: Analysis, context: ResultContext, slices: tuple[SourceSlice, ...]
) -> hd.MeasurementsAndQualitativeEvaluations:
    """Group of both lungs; the parameters of the algorithm stand once, with the score."""
    parameters = algorithm_identification(context.equipment, algorithm_parameters(analysis))
    brief = algorithm_identification(context.equipment)
    lungs = _outlines(analysis, slices)
    score, *others = _rows(analysis, context.priors)
    return hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(
            derived_uid(context.key, "tracking", "whole"), "AI both lungs"
        ),
        finding_type=codes.CLASSIFIER_OUTPUT,
        finding_sites=[hd.FindingSite(codes.LUNG)],
        measurements=[
            _measurement(score, parameters, lungs),
            *(_measurement(row, brief, lungs) for row in others),
        ],
    )


def _outlines(
    analysis: Analysis, slices: tuple[SourceSlice, ...]
) -> dict[Side | None, hd.CoordinatesForMeasurement]:
    """Outlines on the slice where the lungs are widest; of a lung not on it, where it is widest."""
    labels = analysis.lungs.labels
    common = widest_slice(slices, labels > 0)
    found = {}
    for side, label in LABELS.items():
        own = labels == label
        item = common if own[common.index].any() else widest_slice(slices, own)
        if own[item.index].any():
            found[side] = coordinates(item, own[item.index])
    return found


def _measurement(
    row: _Row,
    algorithm: hd.AlgorithmIdentification,
    lungs: dict[Side | None, hd.CoordinatesForMeasurement],
) -> hd.Measurement:
    return hd.Measurement(
        row.name,
        row.value,
        row.unit,
        algorithm_id=algorithm,
        finding_sites=[lung_site(row.side)],
        referenced_coordinates=[
            outline for side, outline in lungs.items() if row.side in {None, side}
        ]
        or None,
    )


def _rows(analysis: Analysis, priors: tuple[Prior, ...]) -> Iterator[_Row]:
    """Numbers of the group, the weightiest first: OHIF 3.13 shows five.

    Nothing is said of a lung that was not found, nor of both then.
    """
    yield from _classifier_rows(analysis.classification)
    involved = analysis.involvement
    one_lung = not involved.open_ml and not (involved.right_ml and involved.left_ml)
    shares = (
        (codes.SHARE_TOTAL, None if one_lung else involved.total, None),
        (codes.SHARE_RIGHT, involved.right, Side.RIGHT),
        (codes.SHARE_LEFT, involved.left, Side.LEFT),
    )
    for name, share, side in shares:
        if share is not None:
            yield _Row(name=name, value=round(100 * share, 2), unit=codes.PERCENT, side=side)
    volumes = (
        (codes.VOLUME_TOTAL, 0.0 if one_lung else involved.total_ml, None),
        (codes.VOLUME_RIGHT, involved.right_ml, Side.RIGHT),
        (codes.VOLUME_LEFT, involved.left_ml, Side.LEFT),
    )
    for name, volume, side in volumes:
        if volume:
            yield _Row(name=name, value=round(volume, 1), unit=codes.MILLILITRE, side=side)
    if involved.total is not None:
        yield _Row(name=codes.LESION_COUNT, value=len(analysis.lesions), unit=codes.NO_UNITS)
    yield from _coverage_rows(analysis.classification)
    yield from _change_rows(analysis, priors)


def _classifier_rows(classification: Classification) -> Iterator[_Row]:
    yield _Row(name=codes.SCORE, value=round(classification.score, 6), unit=codes.NO_UNITS)
    yield _Row(name=codes.THRESHOLD, value=round(classification.threshold, 6), unit=codes.NO_UNITS)


def _coverage_rows(classification: Classification) -> Iterator[_Row]:
    if classification.prediction_set is not None:
        promised = round(100 * classification.prediction_set.coverage, 2)
        yield _Row(name=codes.COVERAGE, value=promised, unit=codes.PERCENT)


def _change_rows(analysis: Analysis, priors: tuple[Prior, ...]) -> Iterator[_Row]:
    """List changes since the latest earlier result; of the score only within one model."""
    for prior in priors[:1]:
        before, now = prior.total, analysis.involvement.total
        if before is not None and now is not None:
            change = round(100 * (now - before), 2) + 0.0
            yield _Row(name=codes.SHARE_CHANGE, value=change, unit=codes.PERCENT)
        if prior.model == sentences.model_key(analysis.provenance):
            change = analysis.classification.score - prior.score
            yield _Row(name=codes.SCORE_CHANGE, value=round(change, 6) + 0.0, unit=codes.NO_UNITS)
