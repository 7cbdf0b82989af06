"""Findings of the opacities: volumes, attenuation, activation; area and axis on the key slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import highdicom.sr as hd
from pydicom.sr.coding import Code

from pipeline.encode.common import sentences
from pipeline.encode.common.segments import Segment
from pipeline.encode.language.translation import _, ngettext
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source.key_slices import key_slice, lesion_mask
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import Outlined, algorithm_identification, enclosed_area
from pipeline.encode.sr.segment_group import SegmentFinding
from pipeline.types import Analysis, CtSeries, Lesion, Side


def opacity_findings(
    series: CtSeries,
    analysis: Analysis,
    context: ResultContext,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
    *,
    only_key: bool,
) -> Iterator[SegmentFinding]:
    """Describe every segment of lesions that lies on a source slice.

    Parameters
    ----------
    only_key
        Whether the outline on the key slice is enough: a segmentation has the others.
    """
    algorithm = algorithm_identification(context.equipment)
    pixel_mm2 = series.volume.spacing_mm[1] * series.volume.spacing_mm[2]
    for segment in chosen:
        outlines = _outlines(analysis, segment, slices, only_key=only_key)
        if outlines:
            total = _total(segment.lesions)
            area = enclosed_area(outlines[0]) * pixel_mm2
            yield SegmentFinding(
                segment=segment,
                finding=codes.OPACITY,
                comments=(_name(segment), *_comments(total)),
                measurements=list(_measurements(total, algorithm)),
                outlined=hd.Measurement(
                    codes.AREA, round(area, 1), codes.SQUARE_MILLIMETRE, algorithm_id=algorithm
                ),
                outlines=outlines,
                evaluations=_evaluations(total),
            )


def _name(segment: Segment) -> str:
    """Name the segment by number and side, briefly: viewers write it beside the outline."""
    first, *others = segment.lesions
    if others:
        return ngettext("{n} further opacity", "{n} further opacities", len(segment.lesions))
    if segment.side is Side.RIGHT:
        return _("Opacity {number}, right", number=first.number)
    if segment.side is Side.LEFT:
        return _("Opacity {number}, left", number=first.number)
    return _("Opacity {number}", number=first.number)


def _outlines(
    analysis: Analysis, segment: Segment, slices: tuple[SourceSlice, ...], *, only_key: bool
) -> tuple[Outlined, ...]:
    """Masks on the slices with the lesions, on the key slice first; none of a lung."""
    key = key_slice(analysis, segment.lesions, slices) if segment.lesions else None
    if key is None:
        return ()
    others = () if only_key else (item for item in slices if item.index != key.index)
    masks = ((item, lesion_mask(analysis, segment.lesions, item)) for item in (key, *others))
    return tuple(Outlined(item=item, mask=mask) for item, mask in masks if mask.any())


def _total(lesions: tuple[Lesion, ...]) -> Lesion:
    """Sum up the opacities of a segment: means are weighted by volume, one alone is as it is.

    Several have no long axis, and are consolidated in part only if that was measured of each.
    """
    first, *others = lesions
    if not others:
        return first
    volume = sum(lesion.volume_mm3 for lesion in lesions)
    solid = [lesion.consolidation_mm3 for lesion in lesions]
    return replace(
        first,
        volume_mm3=volume,
        mean_hu=sum(lesion.mean_hu * lesion.volume_mm3 for lesion in lesions) / volume,
        activation=sum(lesion.activation * lesion.volume_mm3 for lesion in lesions) / volume,
        long_axis_mm=None,
        consolidation_mm3=(
            None if None in solid else sum(part for part in solid if part is not None)
        ),
    )


def _comments(total: Lesion) -> Iterator[str]:
    volume = sentences.millilitres(total.volume_mm3)
    if total.long_axis_mm is None:
        yield volume
    else:
        yield f"{volume}, {sentences.number(total.long_axis_mm, 0)} mm"
    yield _("{value} HU", value=sentences.number(total.mean_hu, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One number of an opacity; without a value if it was not measured."""

    name: Code
    value: float | None
    unit: Code
    derivation: Code | None = None


def _rows(total: Lesion) -> tuple[_Row, ...]:
    return (
        _Row(name=codes.VOLUME, value=_ml(total.volume_mm3), unit=codes.MILLILITRE),
        _Row(
            name=codes.GROUND_GLASS_VOLUME,
            value=_ml(total.ground_glass_mm3),
            unit=codes.MILLILITRE,
        ),
        _Row(
            name=codes.CONSOLIDATION_VOLUME,
            value=_ml(total.consolidation_mm3),
            unit=codes.MILLILITRE,
        ),
        _Row(
            name=codes.ATTENUATION,
            value=round(total.mean_hu, 1),
            unit=codes.HOUNSFIELD,
            derivation=codes.MEAN,
        ),
        _Row(
            name=codes.ACTIVATION,
            value=round(total.activation, 3),
            unit=codes.NO_UNITS,
            derivation=codes.MEAN,
        ),
        _Row(
            name=codes.LONG_AXIS,
            value=None if total.long_axis_mm is None else round(total.long_axis_mm, 1),
            unit=codes.MILLIMETRE,
        ),
    )


def _ml(volume_mm3: float | None) -> float | None:
    return None if volume_mm3 is None else round(volume_mm3 / 1000, 3)


def _measurements(total: Lesion, algorithm: hd.AlgorithmIdentification) -> Iterator[hd.Measurement]:
    for row in _rows(total):
        if row.value is not None:
            yield hd.Measurement(
                row.name, row.value, row.unit, derivation=row.derivation, algorithm_id=algorithm
            )


def _evaluations(total: Lesion) -> tuple[hd.QualitativeEvaluation, ...]:
    """Tell what makes up most of the volume, by attenuation, if it was measured."""
    if total.consolidation_mm3 is None:
        return ()
    kind = codes.CONSOLIDATION if total.solid else codes.GROUND_GLASS
    return (hd.QualitativeEvaluation(codes.OPACITY_KIND, kind),)
