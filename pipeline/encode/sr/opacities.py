"""Measurement groups of the opacities: two for an opacity, by its segment and by its outline.

The volumetric group (TID 1411) measures the opacity; the planar one (TID 1410) has the outline
on its key slice. Both have the Tracking UID of the opacity. Viewers that know nothing of
segments jump by the outline; OHIF 3.13 joins the two groups and shows no report without it.
"""

from __future__ import annotations

from collections.abc import Iterator

import highdicom.sr as hd
from pydicom import Dataset

from pipeline.encode.common.segments import Segment
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source.key_slices import key_slice, lesion_mask
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import algorithm_identification, area, image_region, lung_site
from pipeline.series.attributes import text
from pipeline.types import Analysis, CtSeries, Lesion

Volumetric = hd.VolumetricROIMeasurementsAndQualitativeEvaluations
Planar = hd.PlanarROIMeasurementsAndQualitativeEvaluations
Place = hd.ReferencedSegment | list[hd.ImageRegion]


def opacity_groups(
    series: CtSeries,
    analysis: Analysis,
    context: ResultContext,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
    segmentation: Dataset | None,
) -> Iterator[Volumetric | Planar]:
    """Make two groups for every segment of lesions.

    Parameters
    ----------
    segmentation
        The SEG with these segments; None if outlines on all slices stand for them.
    """
    algorithm = algorithm_identification(context.equipment)
    pixel_mm2 = series.volume.spacing_mm[1] * series.volume.spacing_mm[2]
    for segment in chosen:
        regions = _regions(analysis, segment, slices, only_key=segmentation is not None)
        if regions:
            place = regions if segmentation is None else _referenced(series, segmentation, segment)
            yield _volumetric(segment, place, algorithm)
            yield _planar(segment, regions[0], pixel_mm2, algorithm)


def _regions(
    analysis: Analysis, segment: Segment, slices: tuple[SourceSlice, ...], *, only_key: bool
) -> list[hd.ImageRegion]:
    """Outline the largest area on every slice with lesions, on the key slice first."""
    key = key_slice(analysis, segment.lesions, slices) if segment.lesions else None
    if key is None:
        return []
    others = () if only_key else (item for item in slices if item.index != key.index)
    masks = ((item, lesion_mask(analysis, segment.lesions, item)) for item in (key, *others))
    return [image_region(item, mask) for item, mask in masks if mask.any()]


def _referenced(series: CtSeries, segmentation: Dataset, segment: Segment) -> hd.ReferencedSegment:
    return hd.ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        segment.number,
        source_series=hd.SourceSeriesForSegmentation(
            text(series.common.header, "SeriesInstanceUID")
        ),
    )


def _volumetric(
    segment: Segment, place: Place, algorithm: hd.AlgorithmIdentification
) -> Volumetric:
    return Volumetric(
        tracking_identifier=hd.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_segment=place if isinstance(place, hd.ReferencedSegment) else None,
        referenced_regions=place if isinstance(place, list) else None,
        finding_type=codes.LESION,
        finding_sites=[lung_site(segment.side)],
        measurements=_measurements(segment.lesions, algorithm),
    )


def _planar(
    segment: Segment,
    region: hd.ImageRegion,
    pixel_mm2: float,
    algorithm: hd.AlgorithmIdentification,
) -> Planar:
    enclosed = hd.Measurement(
        codes.AREA,
        round(area(region) * pixel_mm2, 1),
        codes.SQUARE_MILLIMETRE,
        algorithm_id=algorithm,
    )
    return Planar(
        tracking_identifier=hd.TrackingIdentifier(segment.tracking_uid, segment.tracking_id),
        referenced_region=region,
        finding_type=codes.LESION,
        finding_sites=[lung_site(segment.side)],
        measurements=[enclosed],
    )


def _measurements(
    lesions: tuple[Lesion, ...], algorithm: hd.AlgorithmIdentification
) -> list[hd.Measurement]:
    volume = sum(lesion.volume_mm3 for lesion in lesions)
    hu = sum(lesion.mean_hu * lesion.volume_mm3 for lesion in lesions) / volume
    activation = sum(lesion.activation * lesion.volume_mm3 for lesion in lesions) / volume
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
            codes.ACTIVATION, round(activation, 3), codes.NO_UNITS, algorithm_id=algorithm
        ),
    ]
