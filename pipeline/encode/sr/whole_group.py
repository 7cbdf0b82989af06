"""Measurement group of the whole series: score, threshold, involvement, and change (TID 1501).

The numbers of the classifier and the counts come from no outline and have none. The volume of the
lungs has their outlines on the slice where they are widest: OHIF 3.13 shows a report only if every
group has coordinates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom.sr as hd
from pydicom.sr.coding import Code

from pipeline.encode.common import sentences
from pipeline.encode.common.segments import WHOLE
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Prior, derived_uid
from pipeline.encode.source.key_slices import widest_slice
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import (
    Outlined,
    algorithm_identification,
    algorithm_parameters,
    coordinates,
    insert_comments,
    lung_site,
    write_whole,
)
from pipeline.encode.sr.lung_findings import share_line
from pipeline.types import (
    LEFT_LUNG,
    LUNG_OF_OPEN_SIDE,
    RIGHT_LUNG,
    Analysis,
    Classification,
    Involvement,
    Side,
    Unreported,
)

LABELS = (RIGHT_LUNG, LEFT_LUNG, LUNG_OF_OPEN_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number of the group."""

    name: Code
    value: float
    unit: Code


def outlined_lungs(analysis: Analysis, slices: tuple[SourceSlice, ...]) -> tuple[Outlined, ...]:
    """Lungs on the slice where they are widest together, one outline for each."""
    labels = analysis.lungs.labels
    item = widest_slice(slices, labels)
    masks = (labels[item.index] == label for label in LABELS)
    return tuple(Outlined(item=item, mask=mask) for mask in masks if mask.any())


def whole_group(
    analysis: Analysis, context: ResultContext, lungs: tuple[Outlined, ...]
) -> hd.MeasurementsAndQualitativeEvaluations:
    """Make the group; the parameters of the algorithm stand once, with the score."""
    parameters = algorithm_identification(context.equipment, algorithm_parameters(analysis))
    brief = algorithm_identification(context.equipment)
    score, *others = _rows(analysis, context.priors)
    group = hd.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.TrackingIdentifier(
            derived_uid(context.key, "tracking", WHOLE), "AI lungs"
        ),
        finding_type=codes.CLASSIFIER_OUTPUT,
        finding_sites=[lung_site(_only_side(analysis.involvement))],
        measurements=[
            _measurement(score, parameters),
            *(_measurement(row, brief) for row in others),
            hd.Measurement(
                codes.VOLUME,
                round(analysis.involvement.total_ml, 1),
                codes.MILLILITRE,
                algorithm_id=brief,
                referenced_coordinates=[coordinates(*lungs)] if lungs else None,
            ),
        ],
    )
    insert_comments(group, _comments(analysis))
    return group


def _only_side(involved: Involvement) -> Side | None:
    """Side of the lung if only one was found: nothing is said of the other, nor of both."""
    if involved.open_ml or (involved.right_ml and involved.left_ml):
        return None
    return Side.RIGHT if involved.right_ml else Side.LEFT


def _comments(analysis: Analysis) -> Iterator[str]:
    """Lines for viewers, with as many digits as tell the score from the threshold."""
    found = analysis.classification
    digits = sentences.digits_of(found)
    threshold = sentences.number(found.threshold, digits)
    yield _("Score {score}", score=sentences.number(found.score, digits))
    if found.indeterminate_from is None:
        yield _("Threshold {threshold}", threshold=threshold)
    else:
        low = sentences.number(found.indeterminate_from, digits)
        yield _("Indet. {low}-{high}", low=low, high=threshold)
    if analysis.involvement.total is not None:
        yield share_line(analysis.involvement.total)
    elif analysis.unreported is None:
        yield share_line(None)
    if analysis.unreported is not None:
        yield sentences.changes_line(analysis.unreported.share)
        if analysis.involvement.total is None:  # else that would be a line too many
            yield _(sentences.NOT_OUTLINED)
    yield _("Research use only")


def _measurement(row: _Row, algorithm: hd.AlgorithmIdentification) -> hd.Measurement:
    measurement = hd.Measurement(row.name, row.value, row.unit, algorithm_id=algorithm)
    if isinstance(row.value, int):
        write_whole(measurement[0])
    return measurement


def _rows(analysis: Analysis, priors: tuple[Prior, ...]) -> Iterator[_Row]:
    """Numbers of the group, the weightiest first."""
    yield from _classifier_rows(analysis.classification)
    total = analysis.involvement.total
    if total:
        yield _Row(name=codes.SHARE, value=round(100 * total, 2), unit=codes.PERCENT)
    if total is not None:
        yield _Row(name=codes.LESION_COUNT, value=len(analysis.lesions), unit=codes.NO_UNITS)
    if analysis.lobar is not None and analysis.lobar.severity is not None:
        yield _Row(name=codes.SEVERITY, value=analysis.lobar.severity, unit=codes.NO_UNITS)
    yield from _unreported_rows(analysis.unreported)
    if sentences.coverage_holds(analysis):
        yield from _coverage_rows(analysis.classification)
    yield from _change_rows(analysis, priors)


def _classifier_rows(classification: Classification) -> Iterator[_Row]:
    yield _Row(name=codes.SCORE, value=round(classification.score, 6), unit=codes.NO_UNITS)
    yield _Row(name=codes.THRESHOLD, value=round(classification.threshold, 6), unit=codes.NO_UNITS)
    low = classification.indeterminate_from
    if low is not None:
        yield _Row(name=codes.INDETERMINATE_FROM, value=round(low, 6), unit=codes.NO_UNITS)


def _unreported_rows(found: Unreported | None) -> Iterator[_Row]:
    """Measure what is not outlined, where it is so much that a reader must know."""
    if found is None:
        return
    share, largest, solid = round(100 * found.share, 2), found.largest_ml, found.solid_ml
    yield _Row(name=codes.CHANGES_SHARE, value=share, unit=codes.PERCENT)
    yield _Row(name=codes.CHANGES_LARGEST, value=round(largest, 1), unit=codes.MILLILITRE)
    if solid:
        yield _Row(name=codes.CHANGES_SOLID, value=round(solid, 1), unit=codes.MILLILITRE)


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
