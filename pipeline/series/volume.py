"""Assemble the datasets of a series to one regular grid of Hounsfield units, with a verdict."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import optional_integer, text
from pipeline.series.common_header import common_header
from pipeline.series.frames import Frame
from pipeline.series.hounsfield import to_hounsfield
from pipeline.series.image_rules import SelectionRules
from pipeline.series.pixel_data.decode import decode_frame, encoded_frames
from pipeline.series.pixel_data.layout import PixelLayout
from pipeline.series.positions import Stack, describe
from pipeline.series.selection import Selection, describe_left_out, select
from pipeline.series.sop_classes import MULTI_FRAME_CT
from pipeline.types import Completeness, CtSeries, CtVolume, GeometryVerdict, SourceFrame

ANY_SLICES = SelectionRules(
    min_slices=2, max_spacing_mm=math.inf, min_coverage_mm=0.0, require_original=False
)
"""Rules that leave out only what never is a slice."""

MAX_VOXELS = 2**30  #: 2 GiB of int16: over a thousand slices of 1024 x 1024


def assemble(
    datasets: Sequence[Dataset], rules: SelectionRules = ANY_SLICES, *, threads: int = 2
) -> CtSeries:
    """Choose the images of a series, and make one volume of them.

    Parameters
    ----------
    rules
        By which images are chosen (:func:`pipeline.series.selection.select`); the lengths among
        them decide only between several volumes.
    datasets, threads
        As of `assemble_selected`, which raises the same.

    Raises
    ------
    UnsuitableSeries
        As of `select`.
    """
    return assemble_selected(datasets, select(datasets, rules), threads=threads)


def assemble_selected(
    datasets: Sequence[Dataset], selected: Selection, *, threads: int = 2
) -> CtSeries:
    """Make one volume of the images that were chosen of a series.

    Parameters
    ----------
    datasets
        As ``dcmread`` gives them, Pixel Data included, in any order: single-frame CT, or
        Enhanced or Legacy Converted Enhanced CT. **Pixel Data is taken out of each as soon as
        it is decoded**, so that compressed and decoded series are never held together; the
        datasets become ``headers`` of the result.
    selected
        The choice among them.
    threads
        How many decode at a time.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute``, ``duplicate-uid``, ``too-large``, ``pixel-data``.
    InvalidGeometry
        If the slices do not form one regular volume; see :func:`pipeline.series.positions.stack`.
        Raised before any pixel is touched.
    """
    order = selected.stack
    kept = [frame for frame in order.frames if frame is not None]
    _check_uids(kept)
    first = kept[0]
    if len(order.frames) * first.rows * first.columns > MAX_VOXELS:
        raise UnsuitableSeries(
            UnsuitableReason.TOO_LARGE,
            f"at most {MAX_VOXELS} voxels expected, got {len(order.frames)} slices of"
            f" {first.rows} x {first.columns}",
        )
    hu = _decode(order, threads)
    _fill_gaps(hu, order)
    for dataset in datasets:
        dataset.pop("PixelData", None)
    headers = tuple({id(frame.dataset): frame.dataset for frame in kept}.values())
    common = common_header(headers)
    volume = CtVolume(
        hu=hu,
        affine=_affine(first, order),
        frame_of_reference_uid=text(common.header, "FrameOfReferenceUID"),
        source=tuple(None if frame is None else _source(frame) for frame in order.frames),
    )
    return CtSeries(
        volume=volume,
        headers=headers,
        common=common,
        geometry=_verdict(selected),
        instance_count=len(datasets),
    )


def _check_uids(frames: Sequence[Frame]) -> None:
    """Refuse slices that go by the same name: a result could not say which of them it means."""
    names = {(frame.sop_instance_uid, frame.number) for frame in frames}
    if len(names) < len(frames):
        raise UnsuitableSeries(
            UnsuitableReason.DUPLICATE_UID,
            f"{len(frames)} SOP Instance UIDs expected, got {len(names)}",
        )


def _affine(first: Frame, order: Stack) -> NDArray[np.float64]:
    """``(4, 4)``: slice, row, column to LPS mm."""
    affine = np.eye(4)
    affine[:3, 0] = order.normal * order.spacing_mm
    affine[:3, 1] = first.along_column * first.pixel_mm[0]
    affine[:3, 2] = first.along_row * first.pixel_mm[1]
    affine[:3, 3] = first.position
    return affine


def _source(frame: Frame) -> SourceFrame:
    return SourceFrame(
        sop_class_uid=text(frame.dataset, "SOPClassUID"),
        sop_instance_uid=frame.sop_instance_uid,
        frame_number=frame.number,
    )


def _decode(order: Stack, threads: int) -> NDArray[np.int16]:
    """Decode every frame into its slice, ``(slices, rows, columns)``; missing ones stay unset."""
    by_instance: dict[int, list[tuple[int, Frame]]] = {}
    for place, frame in enumerate(order.frames):
        if frame is not None:
            by_instance.setdefault(id(frame.dataset), []).append((place, frame))
    first = next(iter(by_instance.values()))[0][1]
    hu = np.empty((len(order.frames), first.rows, first.columns), np.int16)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        if len(by_instance) == 1:
            _decode_instance(hu, next(iter(by_instance.values())), pool)
        else:
            for _ in pool.map(lambda frames: _decode_instance(hu, frames), by_instance.values()):
                pass
    return hu


def _decode_instance(
    hu: NDArray[np.int16],
    frames: Sequence[tuple[int, Frame]],
    pool: ThreadPoolExecutor | None = None,
) -> None:
    """Decode the frames of one instance, and drop its Pixel Data; with a pool, side by side."""
    dataset = frames[0][1].dataset
    layout = PixelLayout.of(dataset)
    encoded = encoded_frames(dataset, layout)
    dataset.pop("PixelData", None)

    def decode(item: tuple[int, Frame]) -> None:
        place, frame = item
        decode_frame(encoded[(frame.number or 1) - 1], layout, hu[place])
        to_hounsfield(hu[place], frame.rescale, signed=layout.signed)

    for _ in pool.map(decode, frames) if pool else map(decode, frames):
        pass


def _fill_gaps(hu: NDArray[np.int16], order: Stack) -> None:
    """Interpolate missing slices linearly between their neighbours."""
    for gap in order.gaps:
        below = hu[gap.after_slice].astype(np.float32)
        above = hu[gap.after_slice + gap.missing + 1].astype(np.float32)
        for step in range(1, gap.missing + 1):
            share = np.float32(step / (gap.missing + 1))
            hu[gap.after_slice + step] = np.rint(below * (1 - share) + above * share)


def _verdict(selected: Selection) -> GeometryVerdict:
    order = selected.stack
    frames = [*(frame for frame in order.frames if frame is not None), *order.duplicates]
    datasets = list({id(frame.dataset): frame.dataset for frame in frames}.values())
    completeness, statement = _completeness(order, datasets)
    if order.duplicates:
        left_out = len(order.duplicates)
        statement += f" {left_out} left out: another image has the same position."
    if selected.chosen_of:
        statement += f" Read: {selected.chosen_of}."
    if selected.left_out:
        statement += f" {describe_left_out(selected.left_out)}."
    return GeometryVerdict(
        spacing_mm=order.spacing_mm,
        coverage_mm=order.spacing_mm * (len(order.frames) - 1),
        gaps=order.gaps,
        duplicates=tuple(frame.sop_instance_uid for frame in order.duplicates),
        left_out=selected.left_out,
        completeness=completeness,
        statement=statement,
    )


def _completeness(order: Stack, datasets: Sequence[Dataset]) -> tuple[Completeness, str]:
    """Compare what came with what the scanner announced, and look for gaps."""
    slices = f"{len(order.frames)} slices, {order.spacing_mm:.2f} mm apart"
    if order.gaps:
        return Completeness.INCOMPLETE, f"{slices}; interpolated: {describe(order.gaps)}."
    received, announced = _counts(datasets)
    if announced is None:
        return Completeness.QUIET, f"{slices}, no gap; the scanner did not announce how many."
    counts = f"{received} of {announced} announced images came"
    if received < announced:
        return Completeness.INCOMPLETE, f"{slices}, no gap, but only {counts}."
    if received > announced:
        return Completeness.QUIET, f"{slices}, no gap; {counts}."
    return Completeness.PROVED, f"{slices}, no gap; all {announced} announced images came."


def _counts(datasets: Sequence[Dataset]) -> tuple[int, int | None]:
    """Count the images that came and those announced (None if not by every instance)."""
    if any(text(dataset, "SOPClassUID") in MULTI_FRAME_CT for dataset in datasets):
        frames = sum(optional_integer(dataset, "NumberOfFrames") or 1 for dataset in datasets)
        return frames, frames
    announced = {
        (
            text(dataset, "AcquisitionNumber"),
            optional_integer(dataset, "ImagesInAcquisition", least=1) or 0,
        )
        for dataset in datasets
    }
    acquisitions = Counter(number for number, _ in announced)
    if any(count == 0 for _, count in announced) or max(acquisitions.values()) > 1:
        return len(datasets), None
    return len(datasets), sum(count for _, count in announced)
