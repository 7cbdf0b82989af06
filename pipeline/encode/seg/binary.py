"""Frames of a BINARY segmentation: one bit a voxel; lungs contain their opacities, so they overlap.

Masks are packed slice by slice from the label maps, so that memory stays bounded by the object
itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict

from pipeline.encode.common.as_written import frozen, shallow_copy
from pipeline.encode.common.multiframe import add_frame_content, plane_groups
from pipeline.encode.common.segments import Segment, labels_of
from pipeline.encode.result import codes
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.types import Analysis


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Frame:
    segment: int  # Segment Number
    place: int  # 1-based among the source slices
    bits: NDArray[np.uint8]  # one byte for eight pixels, or for one if they do not fill bytes


def add_bitplanes(
    result: Dataset,
    analysis: Analysis,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
    *,
    empty_frames: bool,
) -> None:
    """Add the frames of a BINARY segmentation, by segment, then by position.

    Parameters
    ----------
    empty_frames
        Whether to add frames without a voxel of their segment.
    """
    frames = _frames(analysis, slices, chosen, empty_frames=empty_frames)
    result.BitsAllocated, result.BitsStored, result.HighBit = 1, 1, 0
    result.NumberOfFrames = len(frames)
    planes = [frozen(plane_groups(item, codes.SEGMENTATION)) for item in slices]
    result.PerFrameFunctionalGroupsSequence = [
        _functional_groups(frame, planes[frame.place - 1]) for frame in frames
    ]
    result.add_new(
        keyword_dict["PixelData"], "OB", _pixel_data(frames, result.Rows * result.Columns)
    )


def _frames(
    analysis: Analysis,
    slices: tuple[SourceSlice, ...],
    chosen: tuple[Segment, ...],
    *,
    empty_frames: bool,
) -> list[_Frame]:
    lungs = tuple(segment for segment in chosen if not segment.lesions)
    lesions = tuple(segment for segment in chosen if segment.lesions)
    frames = [
        frame
        for place, item in enumerate(slices, start=1)
        for labels, segments in ((analysis.lungs.labels, lungs), (analysis.lesion_labels, lesions))
        for frame in _frames_of_plane(labels[item.index], segments, place, empty_frames)
    ]
    return sorted(frames, key=lambda frame: (frame.segment, frame.place))


def _frames_of_plane(
    labels: NDArray[np.uint8], segments: tuple[Segment, ...], place: int, empty_frames: bool
) -> list[_Frame]:
    present = labels_of(labels)
    frames = []
    for segment in segments:
        values = [value for value in segment.values if present[value]]
        if values or empty_frames:
            mask = labels == values[0] if len(values) == 1 else np.isin(labels, values)
            frames.append(_Frame(segment=segment.number, place=place, bits=_pack(mask)))
    return frames


def _pack(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Eight pixels a byte, first pixel in the lowest bit (PS3.5 8.1.1).

    Frames follow one another without padding: one that does not fill its last byte stays
    unpacked until all are together.
    """
    bits = mask.ravel()
    return np.packbits(bits, bitorder="little") if bits.size % 8 == 0 else bits.view(np.uint8)


def _pixel_data(frames: list[_Frame], pixels: int) -> bytes:
    bits = np.concatenate([frame.bits for frame in frames])
    packed = bits if pixels % 8 == 0 else np.packbits(bits, bitorder="little")
    return packed.tobytes() + b"\x00" * (packed.size % 2)


def _functional_groups(frame: _Frame, plane: Dataset) -> Dataset:
    """Functional groups of a frame; those of its plane are shared with its other segments."""
    groups, segment = shallow_copy(plane), Dataset()
    add_frame_content(groups, [frame.segment, frame.place])
    segment.ReferencedSegmentNumber = frame.segment
    groups.SegmentIdentificationSequence = [segment]
    return groups
