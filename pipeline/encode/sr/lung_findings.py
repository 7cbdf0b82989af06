"""Findings of the lungs one by one: volume, share taken by opacities, low attenuation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import highdicom.sr as hd

from pipeline.encode.common import sentences
from pipeline.encode.common.segments import Segment
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source.key_slices import widest_slice
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import (
    Outlined,
    algorithm_identification,
    lobe_site,
    write_whole,
)
from pipeline.encode.sr.segment_group import SegmentFinding
from pipeline.lobar_extent import LobarExtent, Lobe, LobeExtent
from pipeline.low_attenuation import LowAttenuation
from pipeline.types import Analysis, Involvement, Side

LOBES_OF: Mapping[Side | None, tuple[Lobe, ...]] = {
    Side.RIGHT: (Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE, Lobe.RIGHT_LOWER),
    Side.LEFT: (Lobe.LEFT_UPPER, Lobe.LEFT_LOWER),
}


def lung_findings(
    analysis: Analysis,
    context: ResultContext,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
    taken: Collection[int],
) -> Iterator[SegmentFinding]:
    """Describe every lung that was found.

    Parameters
    ----------
    taken
        Slices on which other findings are outlined: viewers would write one text over another.
    """
    algorithm = algorithm_identification(context.equipment)
    occupied = set(taken)
    for segment in chosen:
        if segment.lesions:
            continue
        volume, share = _numbers(analysis.involvement, segment.side)
        widest = _widest(analysis, segment, slices, occupied)
        occupied.add(widest.item.index)
        yield SegmentFinding(
            segment=segment,
            finding=codes.ORGAN,
            comments=(segment.label, *_lines(analysis, segment.side, share)),
            measurements=[
                *_shares(share, algorithm),
                *_low(analysis.low_attenuation, segment.side, algorithm),
                *_lobes(analysis.lobar, segment.side, algorithm),
            ],
            outlined=hd.Measurement(
                codes.VOLUME, round(volume, 1), codes.MILLILITRE, algorithm_id=algorithm
            ),
            outlines=(widest,),
        )


def share_line(share: float | None) -> str:
    """Share of a lung that opacities take, in words."""
    if share is None:
        return _("Opacities not reported")
    if share == 0:
        return _("No opacity found")
    return _("Opacities {share}", share=sentences.percent(share))


def _lines(analysis: Analysis, side: Side | None, share: float | None) -> Iterator[str]:
    """Say what takes a lung: opacities that are reported, changes that are not outlined."""
    found = analysis.unreported
    changed = found and {Side.RIGHT: found.right, Side.LEFT: found.left, None: found.share}[side]
    if share is not None or not changed:
        yield share_line(share)
    if changed:
        yield sentences.changes_line(changed)
        yield _(sentences.NOT_OUTLINED)


def _numbers(involved: Involvement, side: Side | None) -> tuple[float, float | None]:
    """Volume (ml) and share of the lung of a side; of all lung where the side is open."""
    return {
        Side.RIGHT: (involved.right_ml, involved.right),
        Side.LEFT: (involved.left_ml, involved.left),
        None: (involved.open_ml, involved.total),
    }[side]


def _shares(share: float | None, algorithm: hd.AlgorithmIdentification) -> list[hd.Measurement]:
    if not share:
        return []
    return [
        hd.Measurement(codes.SHARE, round(100 * share, 2), codes.PERCENT, algorithm_id=algorithm)
    ]


def _low(
    low: LowAttenuation | None, side: Side | None, algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    """Volume of low attenuation, if the scan allowed to measure it."""
    if low is None:
        return []
    volume = {Side.RIGHT: low.right_ml, Side.LEFT: low.left_ml, None: low.open_ml}[side]
    return [
        hd.Measurement(
            codes.LOW_ATTENUATION, round(volume, 1), codes.MILLILITRE, algorithm_id=algorithm
        )
    ]


def _lobes(
    found: LobarExtent | None, side: Side | None, algorithm: hd.AlgorithmIdentification
) -> Iterator[hd.Measurement]:
    """Measure the lobes of a lung, each number with its lobe as finding site.

    They have no group of their own: that needs voxels or an outline, and lobes are not segmented.
    """
    for one in () if found is None else found.lobes:
        if one.lobe in LOBES_OF.get(side, ()):
            yield from _lobe(one, algorithm)


def _lobe(one: LobeExtent, algorithm: hd.AlgorithmIdentification) -> Iterator[hd.Measurement]:
    site = lobe_site(one.lobe)
    rows = (
        (codes.LOBE_VOLUME, round(one.volume_ml, 1), codes.MILLILITRE),
        (codes.LOBE_SHARE, round(100 * one.share, 2), codes.PERCENT),
        (codes.LOBE_SEVERITY, one.severity, codes.NO_UNITS),
    )
    for name, value, unit in rows:
        measurement = hd.Measurement(
            name, value, unit, algorithm_id=algorithm, finding_sites=[site]
        )
        if isinstance(value, int):
            write_whole(measurement[0])
        yield measurement


def _widest(
    analysis: Analysis, segment: Segment, slices: tuple[SourceSlice, ...], taken: Collection[int]
) -> Outlined:
    """Slice where a lung is widest, of those that are free if it lies on any."""
    labels, lung = analysis.lungs.labels, segment.values[0]
    free = tuple(
        item for item in slices if item.index not in taken and (labels[item.index] == lung).any()
    )
    item = widest_slice(free or slices, labels, lung)
    return Outlined(item=item, mask=labels[item.index] == lung)
