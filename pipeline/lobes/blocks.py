"""One lung averaged over blocks of about 1.4 mm: all that its lobes are found and measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    spacing = np.array(volume.spacing_mm)
    factors = [max(1, round(BLOCK_MM / mm)) for mm in spacing]
    lower = np.array([part.start for part in box]) * spacing
    layers = [
        _layer(volume, lungs, lesion_labels, label, factors, (slice(first, last), *box[1:]))
        for first, last in _spans(box[0], factors[0])
    ]
    hu, lung, opaque = (np.stack(planes) for planes in zip(*layers, strict=True))
    return LungBlocks(
        hu=hu,
        lung=lung,
        opaque=opaque,
        spacing_mm=spacing * factors,
        first_mm=lower + (np.array(factors) - 1) / 2 * spacing,
        lower_mm=lower,
        size_mm=np.array([part.stop - part.start for part in box]) * spacing,
    )


def _spans(slices: slice, factor: int) -> Iterator[tuple[int, int]]:
    """First slice of each layer of blocks, and the one after its last."""
    for first in range(slices.start, slices.stop, factor):
        yield first, min(first + factor, slices.stop)


def _layer(
    volume: CtVolume,
    lungs: LungMask,
    lesion_labels: NDArray[np.uint8],
    label: int,
    factors: Sequence[int],
    part: tuple[slice, slice, slice],
) -> tuple[Floats, Floats, Floats]:
    """Average one layer of blocks: attenuation, share of lung, share of opacity in it."""
    inside = lungs.labels[part] == label
    taken = inside & (lesion_labels[part] > 0)
    hu = np.clip(volume.hu[part], *HU_RANGE)
    attenuation, lung, opaque = (_block_mean(values, factors) for values in (hu, inside, taken))
    return attenuation, lung, opaque


def _block_mean(values: NDArray[np.generic], factors: Sequence[int]) -> Floats:
    """Mean of each block of one layer, ``(rows, columns)``; beyond the far end lies nothing."""
    spare = [(0, -length % factor) for length, factor in zip(values.shape, factors, strict=True)]
    padded = np.pad(values, spare)
    (_, y, x), (a, b, c) = padded.shape, factors
    blocks = padded.reshape(a, y // b, b, x // c, c)
    means: Floats = blocks.mean(axis=(0, 2, 4), dtype=np.float32)
    return means
