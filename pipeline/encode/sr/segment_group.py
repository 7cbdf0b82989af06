"""Measurement group of one segment, a lung or an opacity (TID 1411): one group for each finding.

Its Referenced Segment has the voxels that the numbers come from, and Tracking UID, number and side
are those of the segment. A group has either a segment or regions (TID 1411 rows 5 and 7), but
viewers draw nothing but outlines, and OHIF 3.13 shows no report in which a group has none: so the
outline on the slice that shows the finding best belongs to one number of the group (TID 320), and
that slice illustrates it (row 13).
"""

from __future__ import annotations

from dataclasses import dataclass

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from pipeline.encode.common.segments import Segment
from pipeline.encode.sr.content import (
    Outlined,
    coordinates,
    illustration,
    image_region,
    insert_comments,
    lung_site,
)
from pipeline.series.attributes import text
from pipeline.types import CtSeries

SegmentGroup = hd.VolumetricROIMeasurementsAndQualitativeEvaluations


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SegmentFinding:
    """All that the report says of one segment.

    Attributes
    ----------
    comments
        The numbers in words.
    measurements
        Numbers of the whole segment.
    outlined
        The number that the first outline stands beside.
    outlines
        The slice that shows it best, then the others.
    evaluations
        Codes of what it looks like.
    """

    segment: Segment
    finding: Code
    comments: tuple[str, ...]
    measurements: list[hd.Measurement]
    outlined: hd.Measurement
    outlines: tuple[Outlined, ...]
    evaluations: tuple[hd.QualitativeEvaluation, ...] = ()


def segment_group(
    series: CtSeries, found: SegmentFinding, segmentation: Dataset | None
) -> SegmentGroup:
    """Make the group of a segment.

    Parameters
    ----------
    segmentation
        The SEG that has the segment; None if the outlines stand for its voxels.
    """
    segment = found.segment
    regions = None if segmentation else [image_region(outlined) for outlined in found.outlines]
    group = SegmentGroup(
        tracking_identifier=hd.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=_referenced(series, segmentation, segment),
        referenced_regions=regions,
        finding_type=found.finding,
        finding_sites=[lung_site(segment.side)],
        measurements=found.measurements,
        qualitative_evaluations=found.evaluations or None,
    )
    key, (number,) = found.outlines[0], found.outlined
    if segmentation:
        number.ContentSequence.insert(0, coordinates(key))
    group[0].ContentSequence.extend([illustration(key.item), number])
    insert_comments(group, found.comments)
    return group


def _referenced(
    series: CtSeries, segmentation: Dataset | None, segment: Segment
) -> hd.ReferencedSegment | None:
    if segmentation is None:
        return None
    return hd.ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        segment.number,
        source_series=hd.SourceSeriesForSegmentation(
            text(series.common.header, "SeriesInstanceUID")
        ),
    )
