"""Scan a phantom: motion, kernel, noise, field of view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.synthetic.phantom.grid import Floats, Grid

PHANTOM_LOWEST_HU = -1024  #: as a scanner with 12 bits and an intercept of -1024 stores
PHANTOM_HIGHEST_HU = 3071
DETAIL_MM = 0.9  #: standard deviation of the blur that a kernel takes off or puts on

KernelName = Literal["soft", "standard", "sharp"]

#: Share of the fine detail that is added; -1 takes it all away.
KERNELS: Mapping[KernelName, float] = {"soft": -0.8, "standard": 0.0, "sharp": 1.1}


def scan(
    hu: Floats,
    kernel: KernelName,
    noise_hu: float,
    pixel_mm: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """Blur the body as a scanner does, add noise, reconstruct with a kernel."""
    blur = rng.uniform(0.4, 0.8)
    image: Floats = ndimage.gaussian_filter(hu, (0.35, blur, blur), truncate=2.0)
    grain = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(grain, (0.0, blur, blur), truncate=2.0)
    image += grain * np.float32(noise_hu / max(float(grain.std()), 1e-6))
    if KERNELS[kernel]:
        smooth = ndimage.gaussian_filter(
            image, (0, DETAIL_MM / pixel_mm[0], DETAIL_MM / pixel_mm[1]), truncate=2.5
        )
        image += np.float32(KERNELS[kernel]) * (image - smooth)
    return image


def stored(image: Floats) -> NDArray[np.int16]:
    """Round to the values that a file holds."""
    rounded: NDArray[np.int16] = np.clip(
        np.rint(image), PHANTOM_LOWEST_HU, PHANTOM_HIGHEST_HU
    ).astype(np.int16)
    return rounded


def breathe(hu: Floats, grid: Grid, motion_mm: float) -> None:
    """See the body twice, once moved up by ``motion_mm``, in place: most near the diaphragm.

    The truth about lungs and lesions stays that of the first position.
    """
    planes = hu.shape[0]
    step = motion_mm / grid.spacing_mm
    below = np.clip(np.arange(planes) - step, 0, planes - 1)
    low = np.floor(below).astype(np.intp)
    part = (below - low).astype(np.float32)[:, None, None]
    moved = hu[low] * (1 - part) + hu[np.minimum(low + 1, planes - 1)] * part
    height = np.linspace(0, 1, planes, dtype=np.float32)[:, None, None]
    hu += 0.5 * np.clip(1.3 - 1.3 * height, 0, 1) * (moved - hu)


def pad(image: NDArray[np.int16], padding_hu: int) -> None:
    """Write one value outside the round field of view, in place."""
    size = image.shape[1]
    row, column = np.ogrid[:size, :size]
    middle = (size - 1) / 2
    image[:, np.hypot(row - middle, column - middle) > size / 2] = padding_hu
