"""Frames of a LABELMAP segmentation: one Segment Number a voxel (PS3.3 C.8.20.2.3.3).

A voxel has one label, and that of an opacity replaces that of its lung, so that a lung here is
the lung without its opacities. The background is a segment too, because every value in the
pixels must be described; it is the last, because OHIF 3.13 gives segment n the colour of the n-th
item. Every source slice has a frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict

from pipeline.encode.common.multiframe import frame_groups
from pipeline.encode.common.segments import Segment
from pipeline.encode.language.translation import _
from pipeline.encode.result import codes
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.types import Analysis

Labels = NDArray[np.uint8]

BACKGROUND = 0
"""Label of voxels outside all segments: Pixel Padding Value and Segment Number."""

LUNG_LESS_OPACITIES = "Without the opacities, which have labels of their own"
"""Segment Description of a lung."""


def add_labels(
    result: Dataset,
    analysis: Analysis,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
) -> None:
    """Add the frames of a LABELMAP segmentation, feet to head, and describe the background."""
    result.BitsAllocated, result.BitsStored, result.HighBit = 8, 8, 7
    result.add_new(keyword_dict["PixelPaddingValue"], "US", BACKGROUND)
    for segment, item in zip(chosen, result.SegmentSequence, strict=True):
        if not segment.lesions:
            item.SegmentDescription = LUNG_LESS_OPACITIES
    result.SegmentSequence.append(_background(result.SegmentSequence[0]))  # last: see above
    result.NumberOfFrames = len(slices)
    result.PerFrameFunctionalGroupsSequence = [
        frame_groups(item, codes.SEGMENTATION, [place]) for place, item in enumerate(slices, 1)
    ]
    labels = labelled(analysis, [item.index for item in slices], chosen)
    data = labels.tobytes()
    result.add_new(keyword_dict["PixelData"], "OB", data + b"\x00" * (len(data) % 2))


def labelled(analysis: Analysis, planes: list[int], chosen: tuple[Segment, ...]) -> Labels:
    """Segment Numbers, opacities over lungs.

    Parameters
    ----------
    planes
        0-based slices of the volume.

    Returns
    -------
    NDArray
        ``(planes, rows, columns)`` uint8.
    """
    lung_numbers, opacity_numbers = np.zeros(256, np.uint8), np.zeros(256, np.uint8)
    for segment in chosen:
        numbers = opacity_numbers if segment.lesions else lung_numbers
        numbers[list(segment.values)] = segment.number
    labels = lung_numbers[analysis.lungs.labels[planes]]
    opacities = opacity_numbers[analysis.lesion_labels[planes]]
    np.copyto(labels, opacities, where=opacities > 0)
    return labels


def _background(segment: Dataset) -> Dataset:
    """Segment of the background, with the algorithm of another segment."""
    item = Dataset()
    item.SegmentNumber = BACKGROUND
    item.SegmentLabel = _("Background")
    item.SegmentAlgorithmType = segment.SegmentAlgorithmType
    item.SegmentAlgorithmName = segment.SegmentAlgorithmName
    item.SegmentedPropertyCategoryCodeSequence = [codes.code_item(codes.BACKGROUND)]
    item.SegmentedPropertyTypeCodeSequence = [codes.code_item(codes.BACKGROUND)]
    return item
