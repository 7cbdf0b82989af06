"""Write previews of results: summary pages; CT, outlined segmentation and heatmap side by side.

Everything is read from the DICOM objects that the PACS received, so a picture shows what a viewer
would show. Outlines: right lung blue, left lung green, opacities orange.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage
from scipy import ndimage

from pipeline.encode.heatmap.paint import LUNG_WINDOW_HU
from pipeline.series.volume import assemble
from storage.files.disk import naming

HEATMAP, SUMMARY = "HEATMAP", "SUMMARY"  #: third value of their Image Type
COLOURS = ((80, 160, 255), (80, 220, 120), (255, 140, 0))  #: right lung, left lung, opacities
MAXIMUM_PICTURES = 8  #: of one series
EDGE = 512  #: pixels

Rgb = NDArray[np.uint8]


def write_previews(ct: Iterable[Path], results: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write a PNG of each summary page, and of some slices with opacities, feet to head.

    Parameters
    ----------
    ct
        Files of the source series.
    results
        Results of the analysis: segmentations, heatmaps, summary pages.
    """
    folder.mkdir(parents=True, exist_ok=True)
    volume = assemble([dcmread(path) for path in ct]).volume
    slices = {
        source.sop_instance_uid: index for index, source in enumerate(volume.source) if source
    }
    results = list(results)
    captures = [ds for ds in results if ds.SOPClassUID == SecondaryCaptureImageStorage]
    heat = {_source_uid(ds): ds for ds in captures if HEATMAP in ds.ImageType}
    pages = _pages((ds for ds in captures if SUMMARY in ds.ImageType), folder)
    written: list[Path] = []
    for segmentation in (ds for ds in results if ds.SOPClassUID == SegmentationStorage):
        shown = {uid: index for uid, index in slices.items() if uid in heat} or slices
        for uid, masks in _chosen_slices(hd.seg.Segmentation.from_dataset(segmentation), shown):
            ct_slice = _window(volume.hu[slices[uid]])
            panes = [ct_slice, _outlined(ct_slice, masks)]
            panes += [heat[uid].pixel_array] if uid in heat else []
            written.append(folder / f"preview-{len(written) + 1:02d}.png")
            with naming(written[-1]):
                _side_by_side(panes).save(written[-1])
    return [*pages, *written]


def _pages(captures: Iterable[Dataset], folder: Path) -> Iterator[Path]:
    for number, capture in enumerate(captures, start=1):
        path = folder / f"summary-{number:02d}.png"
        with naming(path):
            Image.fromarray(capture.pixel_array).save(path)
        yield path


def _source_uid(capture: Dataset) -> str:
    return str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)


def _chosen_slices(
    segmentation: hd.seg.Segmentation, slices: dict[str, int]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Choose slices, spread over the extent of the opacities, with their masks.

    Returns
    -------
    list
        SOP Instance UID, and ``(3, rows, columns)``: right lung, left lung, opacities.
    """
    uids = sorted(_referenced(segmentation) & slices.keys(), key=slices.__getitem__)
    segmented = [(uid, _masks(segmentation, uid)) for uid in uids]
    involved = [(uid, masks) for uid, masks in segmented if masks[2].any()] or segmented
    return involved[:: math.ceil(len(involved) / MAXIMUM_PICTURES)] if involved else []


def _masks(segmentation: hd.seg.Segmentation, uid: str) -> NDArray[np.bool_]:
    masks = segmentation.get_pixels_by_source_instance(
        [uid], segment_numbers=list(segmentation.segment_numbers)
    )[0].astype(bool)
    return np.stack([masks[..., 0], masks[..., 1], masks[..., 2:].any(-1)])


def _referenced(segmentation: hd.seg.Segmentation) -> set[str]:
    """List the source instances of all frames, by SOP Instance UID."""
    frames = segmentation.PerFrameFunctionalGroupsSequence
    sources = (frame.DerivationImageSequence[0].SourceImageSequence[0] for frame in frames)
    return {str(source.ReferencedSOPInstanceUID) for source in sources}


def _window(hu: NDArray[np.int16]) -> Rgb:
    low, high = LUNG_WINDOW_HU
    grey = (255 * np.clip((hu - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _outlined(ct_slice: Rgb, masks: NDArray[np.bool_]) -> Rgb:
    picture = ct_slice.copy()
    for mask, colour in zip(masks, COLOURS, strict=True):
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture


def _side_by_side(pictures: list[Rgb]) -> Image.Image:
    """Scale pictures to one width, and put them next to each other."""
    images = [Image.fromarray(picture) for picture in pictures]
    images = [image.resize((EDGE, round(image.height * EDGE / image.width))) for image in images]
    sheet = Image.new("RGB", (EDGE * len(images), max(image.height for image in images)))
    for place, image in enumerate(images):
        sheet.paste(image, (place * EDGE, 0))
    return sheet
