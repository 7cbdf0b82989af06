"""Pictures for people: the CT, the segmentation read back onto it, and the heatmap, side by side.

Everything is taken from the DICOM objects as they came back, so a picture shows what a viewer
would show. Outlines: right lung blue, left lung green, opacities orange.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from scipy import ndimage

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
LUNG_WINDOW_HU = (-1350.0, 150.0)  #: width 1500, centre -600: the usual lung window
COLOURS = ((80, 160, 255), (80, 220, 120), (255, 140, 0))  #: right lung, left lung, opacities
MOST = 6  #: pictures of one series
EDGE = 512  #: pixels

Rgb = NDArray[np.uint8]


def write_previews(ct: Iterable[Path], results: Iterable[Dataset], folder: Path) -> list[Path]:
    """Write a PNG for each of the slices where most opacity is.

    Parameters
    ----------
    ct
        Files of the source series; others are left out.
    results
        What came back: segmentations and heatmaps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = _by_uid(ct)
    results = list(results)
    heat = {_source_uid(ds): ds for ds in results if ds.SOPClassUID == SECONDARY_CAPTURE}
    written: list[Path] = []
    for ds in results:
        if ds.SOPClassUID == SEGMENTATION:
            segmentation = hd.seg.Segmentation.from_dataset(ds)
            for uid, masks in _chosen(segmentation, sources):
                panes = [_window(dcmread(sources[uid])), _outlined(dcmread(sources[uid]), masks)]
                panes += [heat[uid].pixel_array] if uid in heat else []
                path = folder / f"preview-{len(written) + 1:02d}.png"
                Image.fromarray(np.hstack([_square(pane) for pane in panes])).save(path)
                written.append(path)
    return written


def _by_uid(paths: Iterable[Path]) -> dict[str, Path]:
    found = {}
    for path in paths:
        meta = dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        found[str(meta.MediaStorageSOPInstanceUID)] = path
    return found


def _source_uid(capture: Dataset) -> str:
    return str(capture.SourceImageSequence[0].ReferencedSOPInstanceUID)


def _chosen(
    segmentation: hd.seg.Segmentation, sources: dict[str, Path]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Choose slices, spread over the extent of the opacities, with their masks.

    Returns
    -------
    list
        SOP Instance UID, and ``(3, rows, columns)``: right lung, left lung, opacities.
    """
    uids = [uid for uid in _referenced(segmentation) if uid in sources]
    numbers = list(segmentation.segment_numbers)
    areas = []
    for uid in uids:
        masks = segmentation.get_pixels_by_source_instance([uid], segment_numbers=numbers)[0]
        areas.append((int(masks[..., 2:].any(-1).sum()), uid))
    involved = [uid for area, uid in areas if area] or uids
    picked = involved[:: max(1, len(involved) // MOST)][:MOST]
    return [(uid, _masks(segmentation, uid, numbers)) for uid in picked]


def _masks(segmentation: hd.seg.Segmentation, uid: str, numbers: list[int]) -> NDArray[np.bool_]:
    masks = segmentation.get_pixels_by_source_instance([uid], segment_numbers=numbers)[0] > 0
    return np.stack([masks[..., 0], masks[..., 1], masks[..., 2:].any(-1)])


def _referenced(segmentation: hd.seg.Segmentation) -> list[str]:
    """List the source instances that have a frame, in the order of the frames."""
    found: dict[str, None] = {}
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        found[str(source.ReferencedSOPInstanceUID)] = None
    return list(found)


def _window(ds: Dataset) -> Rgb:
    hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
    low, high = LUNG_WINDOW_HU
    grey = (255 * np.clip((hu - low) / (high - low), 0, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _outlined(ds: Dataset, masks: NDArray[np.bool_]) -> Rgb:
    picture = _window(ds)
    for mask, colour in zip(masks, COLOURS, strict=True):
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture


def _square(picture: Rgb) -> Rgb:
    return np.asarray(Image.fromarray(picture).resize((EDGE, EDGE)))
