"""Modules shared by multi-frame results: dimensions, planes and derivation of their frames.

A segmentation and a parametric map lie on the slices of the source, frame by frame
(PS3.3 C.7.6.16, C.7.6.17).
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd

import numpy as np
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.sr.coding import Code

from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import derived_uid
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import plane, source_slices
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.series.attributes import text
from pipeline.types import CtSeries

POSITION = ("ImagePositionPatient", "PlanePositionSequence")
SEGMENT = ("ReferencedSegmentNumber", "SegmentIdentificationSequence")
"""Attributes that index frames, and the functional groups that hold them."""


def add_references(
    result: Dataset, series: CtSeries, slices: tuple[SourceSlice, ...], context: ResultContext
) -> None:
    """Frame of reference, and Common Instance Reference (PS3.3 C.12.2).

    OHIF finds no images without the latter.
    """
    result.FrameOfReferenceUID = source_slices.frame_of_reference(series, context)
    result.PositionReferenceIndicator = None
    item = Dataset()
    item.SeriesInstanceUID = text(slices[0].header, "SeriesInstanceUID")
    item.ReferencedInstanceSequence = source_slices.instance_references(slices)
    result.ReferencedSeriesSequence = [item]


def add_dimensions(
    result: Dataset, context: ResultContext, kind: ResultKind, *indices: tuple[str, str]
) -> None:
    """Multi-frame Dimension module: the attributes that index frames, in order (PS3.3 C.7.6.17)."""
    organisation = Dataset()
    organisation.DimensionOrganizationUID = derived_uid(context.key, kind, "dimensions")
    result.DimensionOrganizationSequence = [organisation]
    result.DimensionIndexSequence = [
        _dimension(organisation.DimensionOrganizationUID, *index) for index in indices
    ]


def _dimension(organisation_uid: str, keyword: str, group: str) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = organisation_uid
    item.DimensionIndexPointer = keyword_dict[keyword]
    item.FunctionalGroupPointer = keyword_dict[group]
    item.DimensionDescriptionLabel = keyword
    return item


def shared_groups(series: CtSeries, slices: tuple[SourceSlice, ...], factor: int = 1) -> Dataset:
    """Pixel measures and plane orientation, the same for all frames.

    Parameters
    ----------
    slices
        Source slices that have frames; the decimal strings of the first are copied. Spacing Between
        Slices is the widest on whose planes they all lie.
    factor
        Reduction of rows and columns.
    """
    item, measures, orientation, groups = slices[0], Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = plane.pixel_spacing(series, item)
    if factor > 1:
        measures.PixelSpacing = source_slices.ds(
            factor * np.array(measures.PixelSpacing, np.float64)
        )
    measures.SliceThickness = source_slices.ds((source_slices.slice_thickness_mm(series),))[0]
    step = gcd(*(above.index - below.index for below, above in pairwise(slices))) or 1
    distance_mm = step * source_slices.slice_distance_mm(series)
    measures.SpacingBetweenSlices = source_slices.ds((distance_mm,))[0]
    orientation.ImageOrientationPatient = plane.orientation(series, item)
    groups.PixelMeasuresSequence = [measures]
    groups.PlaneOrientationSequence = [orientation]
    return groups


def block_position(series: CtSeries, item: SourceSlice, factor: int) -> list[str]:
    """Image Position (Patient) of a reduced frame: its first pixel is the middle of a block."""
    row, column = source_slices.directions(series)
    spacing = series.volume.spacing_mm[1:]
    shift = (factor - 1) / 2 * (row * spacing[1] + column * spacing[0])
    return source_slices.ds(np.array(item.position) + shift)


def frame_groups(
    item: SourceSlice, derivation: Code, index: list[int], position: list[str] | None = None
) -> Dataset:
    """Functional groups of one frame: its position, index and source.

    Parameters
    ----------
    index
        Dimension Index Values, one for a dimension.
    position
        Image Position (Patient) of a frame that is not the source's plane as it is.
    """
    groups = plane_groups(item, derivation, position)
    add_frame_content(groups, index)
    return groups


def plane_groups(item: SourceSlice, derivation: Code, position: list[str] | None = None) -> Dataset:
    """Functional groups that all frames of a plane have alike; arguments as of `frame_groups`."""
    place, groups = Dataset(), Dataset()
    place.ImagePositionPatient = position or plane.position(item)
    groups.DerivationImageSequence = [_derivation(item, derivation, whole=position is None)]
    groups.PlanePositionSequence = [place]
    return groups


def add_frame_content(groups: Dataset, index: list[int]) -> None:
    """Frame Content (PS3.3 C.7.6.16.2.2) with Dimension Index Values, one for a dimension."""
    content = Dataset()
    content.DimensionIndexValues = index
    groups.FrameContentSequence = [content]


def _derivation(item: SourceSlice, code: Code, *, whole: bool) -> Dataset:
    image, derivation = source_slices.reference(item.frame), Dataset()
    image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    image.SpatialLocationsPreserved = "YES" if whole else "NO"
    derivation.SourceImageSequence = [image]
    derivation.DerivationCodeSequence = [codes.code_item(code)]
    return derivation
