"""Heatmap: one RGB Secondary Capture (PS3.3 A.8) for each source slice.

The plane information makes it scroll with the CT (Standard Extended SOP Class). Pictures wider
than the limit are reduced by a whole factor, and Pixel Spacing and Image Position follow; they
are stored uncompressed, which every archive takes. The text is in a strip below the picture and
holds no identity, hence Burned In Annotation NO, which asks about identity (PS3.3 C.7.6.1.1.4).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.uid import SecondaryCaptureImageStorage

from pipeline.encode import codes, paint, source, wording
from pipeline.encode.context import ResultContext, ResultSeries
from pipeline.encode.header import (
    add_body_part,
    add_lossy_history,
    da_tm,
    local_time,
    new_object,
)
from pipeline.encode.paint import Rgb
from pipeline.encode.source import SourceSlice
from pipeline.types import Analysis, CtSeries


def heatmap(series: CtSeries, analysis: Analysis, context: ResultContext) -> tuple[Dataset, ...]:
    """One Secondary Capture for each slice with a source image, feet to head."""
    return tuple(heatmaps(series, analysis, context))


def heatmaps(series: CtSeries, analysis: Analysis, context: ResultContext) -> Iterator[Dataset]:
    """Encode the captures one by one."""
    slices = source.real_slices(series)
    factor = reduction(series, context)
    footer = paint.footer(_lines(analysis), -(-series.volume.shape[2] // factor))
    numbers = _instance_numbers(slices)
    for item in slices:
        picture = paint.framed(_picture(series, analysis, item.index, factor), footer)
        yield _capture(series, context, item, picture, numbers[item.index])


def reduction(series: CtSeries, context: ResultContext) -> int:
    """Whole factor by which rows and columns are reduced."""
    return -(-series.volume.shape[2] // context.products.heatmap_columns)


def _lines(analysis: Analysis) -> list[str]:
    return [
        wording.RESEARCH_FOOTER,
        wording.model_line(analysis.provenance),
        *wording.score_line(analysis.classification).rsplit(": ", 1),
    ]


def _instance_numbers(slices: tuple[SourceSlice, ...]) -> dict[int, int]:
    """Numbers of the source where they are a numbering, so that both scroll the same way."""
    given = [item.header.get("InstanceNumber") for item in slices]
    usable = all(value is not None and int(value) > 0 for value in given)
    if usable and len({int(value) for value in given}) == len(slices):
        return {item.index: int(value) for item, value in zip(slices, given, strict=True)}
    return {item.index: number for number, item in enumerate(slices, start=1)}


def _picture(series: CtSeries, analysis: Analysis, index: int, factor: int) -> Rgb:
    picture = paint.overlay(
        paint.reduced(series.volume.hu[index], factor),
        paint.reduced(analysis.activation[index], factor),
    )
    paint.draw_outline(picture, paint.reduced_labels(analysis.lesion_labels[index], factor))
    return picture


def _capture(
    series: CtSeries, context: ResultContext, item: SourceSlice, picture: Rgb, number: int
) -> Dataset:
    result = new_object(
        series.headers[0], context, ResultSeries.HEATMAP, SecondaryCaptureImageStorage, number
    )
    add_body_part(series, result)
    _add_capture(result, series, context)
    _add_plane(result, series, context, item)
    _add_source(result, item)
    add_lossy_history(series, result)
    _add_pixels(result, picture)
    return result


def _add_capture(result: Dataset, series: CtSeries, context: ResultContext) -> None:
    """SC Equipment, SC Image and General Image modules (PS3.3 C.8.6, C.7.6.1)."""
    equipment = context.equipment
    result.ConversionType = "WSD"
    result.SecondaryCaptureDeviceManufacturer = equipment.manufacturer
    result.SecondaryCaptureDeviceManufacturerModelName = equipment.model_name
    result.SecondaryCaptureDeviceSoftwareVersions = equipment.software_versions
    result.DateOfSecondaryCapture, result.TimeOfSecondaryCapture = da_tm(
        local_time(series.headers[0], context)
    )
    result.ImageType = ["DERIVED", "SECONDARY", "HEATMAP"]
    result.BurnedInAnnotation = "NO"
    result.DerivationDescription = "Classifier activation and outlines over the CT, lung window"
    result.ImageComments = wording.RESEARCH_NOTICE


def _add_plane(
    result: Dataset, series: CtSeries, context: ResultContext, item: SourceSlice
) -> None:
    """Image Plane (PS3.3 C.7.6.2): the first pixel is the middle of the first block."""
    factor = reduction(series, context)
    row, column = source.directions(series)
    spacing = series.volume.spacing_mm[1:]
    shift = (factor - 1) / 2 * (row * spacing[1] + column * spacing[0])
    result.FrameOfReferenceUID = source.frame_of_reference(series, context)
    result.PositionReferenceIndicator = None
    result.ImagePositionPatient = source.ds(np.array(item.position) + shift)
    result.ImageOrientationPatient = source.ds(np.concatenate([row, column]))
    result.PixelSpacing = source.ds((factor * spacing[0], factor * spacing[1]))
    result.SliceThickness = source.ds((source.slice_thickness_mm(series),))[0]
    result.PatientOrientation = [source.compass(row), source.compass(column)]


def _add_source(result: Dataset, item: SourceSlice) -> None:
    image = source.reference(item.frame)
    image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    result.SourceImageSequence = [image]


def _add_pixels(result: Dataset, picture: Rgb) -> None:
    result.SamplesPerPixel = 3
    result.PhotometricInterpretation = "RGB"
    result.PlanarConfiguration = 0
    result.Rows, result.Columns = picture.shape[:2]
    result.BitsAllocated, result.BitsStored, result.HighBit = 8, 8, 7
    result.PixelRepresentation = 0
    data = picture.tobytes()
    result.add_new(keyword_dict["PixelData"], "OB", data + b"\x00" * (len(data) % 2))
