"""Findings of the opacities: volume, attenuation, activation, and the area on the key slice."""

from __future__ import annotations

from collections.abc import Iterator

import highdicom.sr as hd

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
            volume, hu, activation = _totals(segment.lesions)
            area = enclosed_area(outlines[0]) * pixel_mm2
            yield SegmentFinding(
                segment=segment,
                finding=codes.OPACITY,
                comments=(
                    _name(segment),
                    f"{sentences.millilitres(volume)}, {sentences.number(hu, 0)} HU",
                ),
                measurements=_measurements(volume, hu, activation, algorithm),
                outlined=hd.Measurement(
                    codes.AREA, round(area, 1), codes.SQUARE_MILLIMETRE, algorithm_id=algorithm
                ),
                outlines=outlines,
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


def _totals(lesions: tuple[Lesion, ...]) -> tuple[float, float, float]:
    """Volume (mm3), and the means of attenuation (HU) and activation weighted by volume."""
    volume = sum(lesion.volume_mm3 for lesion in lesions)
    hu = sum(lesion.mean_hu * lesion.volume_mm3 for lesion in lesions) / volume
    activation = sum(lesion.activation * lesion.volume_mm3 for lesion in lesions) / volume
    return volume, hu, activation


def _measurements(
    volume: float, hu: float, activation: float, algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    return [
        hd.Measurement(
            codes.VOLUME, round(volume / 1000, 3), codes.MILLILITRE, algorithm_id=algorithm
        ),
        hd.Measurement(
            codes.ATTENUATION,
            round(hu, 1),
            codes.HOUNSFIELD,
            derivation=codes.MEAN,
            algorithm_id=algorithm,
        ),
        hd.Measurement(
            codes.ACTIVATION,
            round(activation, 3),
            codes.NO_UNITS,
            derivation=codes.MEAN,
            algorithm_id=algorithm,
        ),
    ]
