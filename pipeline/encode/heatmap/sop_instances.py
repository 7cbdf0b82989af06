"""Encode the heatmap: one RGB Secondary Capture (PS3.3 A.8) a slice, or one multi-frame.

The plane information makes it scroll with the CT (Standard Extended SOP Class where every slice
is an object). Pictures cover what the CT image covers, and so fill as much of a screen. Those wider
than the limit are reduced by a whole factor, and Pixel Spacing and Image Position follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from itertools import pairwise

import numpy as np
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.uid import (
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from pipeline.encode.common import multiframe, secondary_capture, sentences
from pipeline.encode.common.as_written import frozen, shallow_copy
from pipeline.encode.common.modules import add_body_part, add_lossy_history, new_object
from pipeline.encode.common.segments import MAX_LESION_SEGMENTS
from pipeline.encode.heatmap import paint
from pipeline.encode.heatmap.paint import Rgb
from pipeline.encode.heatmap.shown_slices import shown_slices
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext, instance_uid
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import HeatmapForm
from pipeline.encode.source import source_slices
from pipeline.encode.source.series_name import picture_name
from pipeline.encode.source.source_slices import SourceSlice, instance_number
from pipeline.types import Analysis, Classification, CtSeries

MOST_WHEN_NEGATIVE = 0.5
"""Share of the colour map that a series at the threshold uses if it is called negative: the
activation is stretched to its maximum in each series, and hot colours would contradict the call."""


def heatmap(series: CtSeries, analysis: Analysis, context: ResultContext) -> tuple[Dataset, ...]:
    """Encode slices that have a source image, feet to head, in the form that the site wants."""
    if context.products.heatmap is HeatmapForm.MULTI_FRAME:
        return (_multi_frame(series, analysis, context),)
    return tuple(_single_frames(series, analysis, context))


def _pictures(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[tuple[SourceSlice, Rgb]]:
    """Paint the slices that are shown, one by one; the one that is opened first explains them."""
    factor, muting = reduction(series, context), strength(analysis.classification)
    legend = paint.Legend(lines=tuple(_short_lines(analysis)), strength=muting)
    caveat = _(sentences.CHANGES_SHORT) if analysis.unreported else ""
    slices = _slices(series, analysis, context)
    first = _opened_first(series, slices, context)
    for item in slices:
        picture = _picture(series, analysis, item.index, factor)
        if item == first:
            paint.draw_legend(picture, image_label(item), legend)
        else:
            paint.draw_caption(picture, image_label(item), caveat)
        yield item, picture


def _opened_first(
    series: CtSeries, slices: tuple[SourceSlice, ...], context: ResultContext
) -> SourceSlice:
    """Find the slice that viewers open first: of lowest Instance Number, or the first frame."""
    if context.products.heatmap is HeatmapForm.MULTI_FRAME:
        return slices[0]
    numbers = _instance_numbers(source_slices.real_slices(series))
    return min(slices, key=lambda item: numbers[item.index])


def _slices(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> tuple[SourceSlice, ...]:
    return shown_slices(series, analysis, context.products.heatmap_step_mm)


def image_label(item: SourceSlice) -> str:
    """Name the CT image: frames run by position, and need not follow the numbers of the images.

    Returns
    -------
    str
        Empty if the source has no number of it.
    """
    number, frame = instance_number(item), item.frame.frame_number
    has_number = number is not None and number >= 0
    if not has_number:
        return _("CT frame {n}", n=frame) if frame else ""
    image = _("CT image {n}", n=number)
    return _("{image}, frame {frame}", image=image, frame=frame) if frame else image


def reduction(series: CtSeries, context: ResultContext) -> int:
    """Whole factor by which rows and columns are reduced."""
    return -(-series.volume.shape[2] // context.products.heatmap_columns)


def strength(found: Classification) -> float:
    """Factor by which the activation is multiplied before it is coloured.

    Returns
    -------
    float
        1 above the threshold; else it falls with the score, from `MOST_WHEN_NEGATIVE` to 0.
    """
    if found.positive:
        return 1.0
    return MOST_WHEN_NEGATIVE * found.score / found.threshold if found.threshold else 0.0


def _lines(analysis: Analysis) -> Iterator[str]:
    """Sentences about the pictures, for Image Comments of each."""
    if analysis.unreported:
        yield sentences.changes(analysis)
    elif not _reported(analysis):
        yield _(sentences.UNREPORTED)
    elif not analysis.lesions:
        yield _(sentences.NONE_MARKED)
    if not analysis.classification.positive:
        yield _("{decision}: colours muted", decision=sentences.decision(analysis.classification))


def _short_lines(analysis: Analysis) -> Iterator[str]:
    """Say the same in the few words for which the picture that explains the others has room."""
    if analysis.unreported:
        yield _(sentences.CHANGES_SHORT)
    elif not _reported(analysis):
        yield _(sentences.UNREPORTED)
    elif not analysis.lesions:
        yield _(sentences.NONE_MARKED)
    if not analysis.classification.positive:
        yield sentences.decision(analysis.classification)


def _comments(series: CtSeries, analysis: Analysis) -> str:
    """Image Comments, to which no picture has the room."""
    facts = (
        _(sentences.RESEARCH_NOTICE),
        _("Read: CT {series}.", series=picture_name(series.common.header)),
        f"{sentences.model_line(analysis.provenance)}.",
        f"{sentences.score_line(analysis.classification)}.",
        *(f"{line}." for line in _lines(analysis)),
        f"{_(sentences.RELATIVE)}.",
    )
    return " ".join(facts)


def _reported(analysis: Analysis) -> bool:
    return analysis.involvement.total is not None


def _instance_numbers(slices: tuple[SourceSlice, ...]) -> dict[int, int]:
    """Instance Numbers by slice: those of the source if they follow the position, else from 1.

    With them CT and heatmap scroll the same way.
    """
    numbers = [source_slices.instance_number(item) or 0 for item in slices]
    rising = all(before < after for before, after in pairwise(numbers))
    falling = all(before > after for before, after in pairwise(numbers))
    if min(numbers) > 0 and (rising or falling):
        return {item.index: number for item, number in zip(slices, numbers, strict=True)}
    return {item.index: number for number, item in enumerate(slices, start=1)}


def _picture(series: CtSeries, analysis: Analysis, index: int, factor: int) -> Rgb:
    active = paint.reduced(analysis.activation[index], factor)
    lungs = paint.reduced_labels(analysis.lungs.labels[index], factor)
    picture = paint.overlay(
        paint.with_even_air(paint.reduced(series.volume.hu[index], factor), lungs > 0),
        active * np.float32(strength(analysis.classification)),
    )
    labels = paint.reduced_labels(analysis.lesion_labels[index], factor)
    paint.draw_outline(picture, labels)
    paint.draw_numbers(picture, labels, MAX_LESION_SEGMENTS)
    return picture


def _single_frames(
    series: CtSeries, analysis: Analysis, context: ResultContext
) -> Iterator[Dataset]:
    numbers = _instance_numbers(source_slices.real_slices(series))
    kind, sop_class = ResultKind.HEATMAP, SecondaryCaptureImageStorage
    common = frozen(_capture(series, analysis, context, sop_class, 1))
    for item, picture in _pictures(series, analysis, context):
        result = shallow_copy(common)
        result.SOPInstanceUID = instance_uid(context, kind, numbers[item.index])
        result.InstanceNumber = numbers[item.index]
        _add_plane(result, series, context, item)
        _add_source(result, item)
        secondary_capture.add_pixels(result, picture.shape, picture.tobytes())
        yield result


def _multi_frame(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode one object; its frames are painted one by one into one buffer."""
    sop_class = MultiFrameTrueColorSecondaryCaptureImageStorage
    result = _capture(series, analysis, context, sop_class, 1)
    frames, shape = BytesIO(), (0, 0, 3)
    for _item, picture in _pictures(series, analysis, context):
        shape = picture.shape
        frames.write(np.ascontiguousarray(picture).data)
    _add_functional_groups(result, series, _slices(series, analysis, context), context)
    secondary_capture.add_pixels(result, shape, frames.getvalue())
    return result


def _capture(
    series: CtSeries, analysis: Analysis, context: ResultContext, sop_class_uid: str, number: int
) -> Dataset:
    result = new_object(series.common.header, context, ResultKind.HEATMAP, sop_class_uid, number)
    add_body_part(series, result)
    secondary_capture.add_equipment(result, context)
    derivation = _(
        "Classifier activation, relative within the series, and outlines over the CT, lung window"
    )
    secondary_capture.add_image(result, series, context, flavour="HEATMAP", derivation=derivation)
    result.ImageComments = _comments(series, analysis)
    add_lossy_history(series, result)
    return result


def _add_functional_groups(
    result: Dataset, series: CtSeries, slices: tuple[SourceSlice, ...], context: ResultContext
) -> None:
    """Add Multi-frame Functional Groups and Dimension (PS3.3 C.7.6.16, C.7.6.17)."""
    factor = reduction(series, context)
    multiframe.add_references(result, series, slices, context)
    multiframe.add_dimensions(result, context, ResultKind.HEATMAP, multiframe.POSITION)
    result.NumberOfFrames = len(slices)
    result.FrameIncrementPointer = keyword_dict["PerFrameFunctionalGroupsSequence"]
    result.PatientOrientation = _orientation(series)
    result.SharedFunctionalGroupsSequence = [multiframe.shared_groups(series, slices, factor)]
    result.PerFrameFunctionalGroupsSequence = [
        multiframe.frame_groups(
            item,
            codes.UNSPECIFIED_CALCULATION,
            [number],
            None if factor == 1 else multiframe.block_position(series, item, factor),
        )
        for number, item in enumerate(slices, start=1)
    ]


def _orientation(series: CtSeries) -> list[str]:
    return [source_slices.compass(direction) for direction in source_slices.directions(series)]


def _add_plane(
    result: Dataset, series: CtSeries, context: ResultContext, item: SourceSlice
) -> None:
    """Add Image Plane (PS3.3 C.7.6.2)."""
    factor = reduction(series, context)
    spacing = series.volume.spacing_mm[1:]
    result.FrameOfReferenceUID = source_slices.frame_of_reference(series, context)
    result.PositionReferenceIndicator = None
    result.ImagePositionPatient = multiframe.block_position(series, item, factor)
    result.ImageOrientationPatient = source_slices.ds(source_slices.directions(series).ravel())
    result.PixelSpacing = source_slices.ds((factor * spacing[0], factor * spacing[1]))
    result.SliceThickness = source_slices.ds((source_slices.slice_thickness_mm(series),))[0]
    result.PatientOrientation = _orientation(series)


def _add_source(result: Dataset, item: SourceSlice) -> None:
    image = source_slices.reference(item.frame)
    image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    result.SourceImageSequence = [image]
