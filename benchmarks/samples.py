"""Make the synthetic instances that are sent, of the size of real ones."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, SegmentationStorage

from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

ROOT = "1.2.826.0.1.3680043.10.1999"  #: UIDs below it stay on this machine
WIDTH = 512  #: columns and rows of a CT slice
SEG_FRAMES = 400  #: of 512 x 512 bytes: 105 MB
NOISE_HU = 30


def ct_series(folder: Path, *, count: int, series: int = 1) -> Path:
    """Write a series of so many CT slices of 512 x 512 x 16 bit, each with noise of its own."""
    folder.mkdir(parents=True)
    template = phantom_datasets(make_phantom(PhantomSpec(slices=3, size=WIDTH)), seed=1)[0]
    pixels, rng = template.pixel_array, np.random.default_rng(series)
    template.SeriesInstanceUID = f"{ROOT}.{series}"
    for number in range(1, count + 1):
        noise = rng.integers(-NOISE_HU, NOISE_HU, pixels.shape, dtype=np.int16)
        template.PixelData = (pixels + noise).astype(pixels.dtype).tobytes()
        template.InstanceNumber = number
        _save(template, UID(f"{ROOT}.{series}.{number}"), folder / f"{number:04}.dcm")
    return folder


def large_segmentation(path: Path) -> Path:
    """Write an object of the size of a large SEG: an eight-bit one of 105 MB, pixels and all."""
    template = phantom_datasets(make_phantom(PhantomSpec(slices=3, size=WIDTH)), seed=1)[0]
    seg = deepcopy(template)
    seg.SOPClassUID = seg.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    seg.Modality, seg.NumberOfFrames = "SEG", SEG_FRAMES
    seg.BitsAllocated = seg.BitsStored = 8
    seg.HighBit, seg.PixelRepresentation = 7, 0
    seg.PixelData = bytes(SEG_FRAMES * WIDTH * WIDTH)
    seg["PixelData"].VR = "OB"
    _save(seg, UID(f"{ROOT}.9.1"), path)
    return path


def _save(ds: Dataset, uid: UID, path: Path) -> None:
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.save_as(path, enforce_file_format=True)
