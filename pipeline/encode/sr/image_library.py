"""Image library of the measurement report: the images that it shows, and their geometry (TID 1600).

The geometry is what areas and volumes rest on. The evidence of the document lists every image that
was read; the library stands before the findings (TID 1500 is in order), so it holds only those to
which a finding refers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom.sr as hd
from pydicom import Dataset
from pydicom.sr.coding import Code

from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.source import source_slices
from pipeline.encode.source.copying import copy_elements, empty_copy
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.encode.sr.content import Outlined, write_whole
from pipeline.encode.sr.document import CONTAINS
from pipeline.types import CtSeries

HAS_ACQ_CONTEXT = hd.RelationshipTypeValues.HAS_ACQ_CONTEXT

COSINE_DIGITS = 6  #: of Image Orientation (Patient), as scanners write it


def image_library(
    series: CtSeries, outlines: Iterable[Outlined], context: ResultContext
) -> hd.ContainerContentItem:
    """List images with the descriptors common to them once (TID 1602, TID 1604).

    Parameters
    ----------
    outlines
        Those of the findings, in any order.
    """
    shown = {outlined.item.index: outlined.item for outlined in outlines}
    ordered = tuple(shown[index] for index in sorted(shown))
    library = hd.ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=CONTAINS)
    group = hd.ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=CONTAINS)
    group.ContentSequence = hd.ContentSequence([*_descriptors(series, context), *_images(ordered)])
    library.ContentSequence = hd.ContentSequence([group])
    return library


def _descriptors(series: CtSeries, context: ResultContext) -> Iterator[hd.ContentItem]:
    """Descriptors in the order of TID 1602, then of TID 1604."""
    yield _code(codes.MODALITY, codes.COMPUTED_TOMOGRAPHY)
    yield _code(codes.TARGET_REGION, codes.CHEST)
    yield from _moments(series.common.header)
    yield hd.UIDRefContentItem(
        codes.FRAME_OF_REFERENCE,
        source_slices.frame_of_reference(series, context),
        HAS_ACQ_CONTEXT,
    )
    _, rows, columns = series.volume.shape
    for name, count in ((codes.ROWS, rows), (codes.COLUMNS, columns)):
        number = _number(name, count, codes.PIXELS)
        write_whole(number)
        yield number
    _, down, across = series.volume.spacing_mm
    for name, distance in (
        (codes.HORIZONTAL_PIXEL_SPACING, across),
        (codes.VERTICAL_PIXEL_SPACING, down),
        (codes.SPACING_BETWEEN_SLICES, source_slices.slice_distance_mm(series)),
        (codes.SLICE_THICKNESS, source_slices.slice_thickness_mm(series)),
    ):
        yield _number(name, round(distance, 6), codes.MILLIMETRE)
    cosines = source_slices.directions(series).ravel()
    for name, cosine in zip(codes.IMAGE_ORIENTATION, cosines, strict=True):
        yield _number(name, round(float(cosine), COSINE_DIGITS) + 0.0, codes.DIRECTION_COSINE)


def _moments(header: Dataset) -> Iterator[hd.ContentItem]:
    """Dates and times of study and acquisition, those that the source states."""
    for prefix, date, time in (
        ("Study", codes.STUDY_DATE, codes.STUDY_TIME),
        ("Acquisition", codes.ACQUISITION_DATE, codes.ACQUISITION_TIME),
    ):
        stated = empty_copy(header)
        copy_elements(header, stated, (f"{prefix}Date", f"{prefix}Time"))
        if day := stated.get(f"{prefix}Date"):
            yield hd.DateContentItem(date, str(day), HAS_ACQ_CONTEXT)
        if moment := stated.get(f"{prefix}Time"):
            yield hd.TimeContentItem(time, str(moment), HAS_ACQ_CONTEXT)


def _code(name: Code, value: Code) -> hd.CodeContentItem:
    return hd.CodeContentItem(name, value, HAS_ACQ_CONTEXT)


def _number(name: Code, value: float, unit: Code) -> hd.NumContentItem:
    return hd.NumContentItem(name, value, unit, relationship_type=HAS_ACQ_CONTEXT)


def _images(shown: tuple[SourceSlice, ...]) -> list[hd.ImageContentItem]:
    """One reference for each instance; all frames of a multi-frame one are in its series."""
    return [
        hd.ImageContentItem(
            codes.SOURCE,
            item.ReferencedSOPClassUID,
            item.ReferencedSOPInstanceUID,
            relationship_type=CONTAINS,
        )
        for item in source_slices.instance_references(shown)
    ]
