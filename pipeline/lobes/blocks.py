"""One lung averaged over blocks of about 1.4 mm: all that its lobes are found and measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import box_of
from pipeline.types import CtVolume, LungMask

BLOCK_MM = 1.4  #: wanted length of a block; a fissure is about 1 mm thick
HU_RANGE = (-1050, -400)  #: brighter is no lung, and must not shine into the blocks beside it

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Triple = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungBlocks:
    """One lung on a coarse grid; places in mm along slice, row and column from the first voxel.

    Attributes
    ----------
    hu
        ``(slices, rows, columns)`` mean attenuation, HU.
    lung, opaque
        Share of each block that is of this lung, and that is opacity in it, 0 to 1.
    spacing_mm
        Between block centres.
    first_mm
        Centre of the first block.
    lower_mm, size_mm
        Corner and edges of the box round the lung.
    """

    hu: Floats
    lung: Floats
    opaque: Floats
    spacing_mm: Triple
    first_mm: Triple
    lower_mm: Triple
    size_mm: Triple

    @property
    def block_ml(self) -> float:
        """Volume of a block, ml."""
        return float(np.prod(self.spacing_mm)) / 1000


def lung_blocks(
    volume: CtVolume, lungs: LungMask, lesion_labels: NDArray[np.uint8], label: int
) -> LungBlocks | None:
    """Average one lung of a canonical volume over blocks; None if there is no such lung."""
    inside = lungs.labels == label
    if not inside.any():
        return None
    box = box_of(inside, (0, 0, 0))
    inside = inside[box]
    spacing = np.array(volume.spacing_mm)
    factors = [max(1, round(BLOCK_MM / mm)) for mm in spacing]
    lower = np.array([part.start for part in box]) * spacing
    return LungBlocks(
        hu=_block_mean(np.clip(volume.hu[box], *HU_RANGE), factors),
        lung=_block_mean(inside, factors),
        opaque=_block_mean(inside & (lesion_labels[box] > 0), factors),
        spacing_mm=spacing * factors,
        first_mm=lower + (np.array(factors) - 1) / 2 * spacing,
        lower_mm=lower,
        size_mm=np.array(inside.shape) * spacing,
    )


def _block_mean(values: NDArray[np.generic], factors: Sequence[int]) -> Floats:
    """Mean of each block; beyond the far end lies nothing."""
    spare = [(0, -length % factor) for length, factor in zip(values.shape, factors, strict=True)]
    padded = np.pad(values, spare)
    (z, y, x), (a, b, c) = padded.shape, factors
    blocks = padded.reshape(z // a, a, y // b, b, x // c, c)
    means: Floats = blocks.mean(axis=(1, 3, 5), dtype=np.float32)
    return means
