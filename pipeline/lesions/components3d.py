"""Find the 3DCC activation: the region where the mask of aerated lung falls to pieces.

Around ground glass and consolidation a plain threshold leaves speckles. A window is marked when
its share of aerated lung is near one half and lies in several pieces; the largest 3-D region of
marked windows is the activation. Source: Wang et al. 2020. Their paper has a window around every
pixel (`speckled`, which we use), their code has blocks side by side (`speckled_blocks`, kept for
comparison); the constants are those of their code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

WINDOW = 7  #: pixels, in the plane
MIN_PIECES = 3  #: foreground pieces in the window, 8-connected
MAX_STD_DEVIATION_FROM_HALF = 0.05  #: of the window's pixels; a share of 0.5 has the largest, 0.5
BLOCK = 6  #: pixels, in the plane, of a block in their code
BLOCK_START = 3  #: pixels: row and column where their first block begins
BLOCK_SLICES = (0.10, 0.80)  #: share of the slices, from the feet, between which they look
COMPONENTS3D_AIR_MAX_HU = -320  #: HU; darker pixels are air, as in the paper's segmentation

Mask = NDArray[np.bool_]


def components_activation(hu: NDArray[np.int16], lungs: Mask, *, variant: str = "paper") -> Mask:
    """Largest region where aerated lung is speckled.

    Parameters
    ----------
    hu, lungs
        ``(slices, rows, columns)``, same grid, pixels of about 1 to 1.5 mm.
    variant
        A key of `VARIANTS`.
    """
    return largest_region(VARIANTS[variant](lungs & (hu < COMPONENTS3D_AIR_MAX_HU), lungs))


def speckled(aerated: Mask, lungs: Mask) -> Mask:
    """Mark the middles, within lungs, of windows that are about half full and in several pieces.

    Pixels beyond the image's border count as empty.
    """
    share = ndimage.uniform_filter(aerated.astype(np.float32), (0, WINDOW, WINDOW), mode="constant")
    marked = half_full(share) & lungs
    half = WINDOW // 2
    for image, chosen in zip(aerated, marked, strict=True):  # all windows at once are 49 images
        windows = sliding_window_view(np.pad(image, half), (WINDOW, WINDOW))
        chosen[chosen] = pieces(windows[chosen]) >= MIN_PIECES
    return marked


def speckled_blocks(aerated: Mask, lungs: Mask) -> Mask:
    """Mark the lungs in whole blocks, side by side, that are about half full and in several pieces.

    Pixels that no whole block holds are not marked, nor are the slices of either end.
    """
    low, high = (round(share * len(aerated)) for share in BLOCK_SLICES)
    marked = np.zeros_like(aerated)
    rows, columns = ((n - BLOCK_START) // BLOCK for n in aerated.shape[1:])
    inside = (
        slice(low, high),
        slice(BLOCK_START, BLOCK_START + rows * BLOCK),
        slice(BLOCK_START, BLOCK_START + columns * BLOCK),
    )
    blocks = aerated[inside].reshape(-1, rows, BLOCK, columns, BLOCK).swapaxes(2, 3)
    chosen = half_full(blocks.mean(axis=(3, 4), dtype=np.float32))
    chosen[chosen] = pieces(blocks[chosen]) >= MIN_PIECES
    marked[inside] = chosen.repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)
    return marked & lungs


VARIANTS: Mapping[str, Callable[[Mask, Mask], Mask]] = {"paper": speckled, "code": speckled_blocks}


def half_full(share: NDArray[np.float32]) -> Mask:
    """Say whether a window with this share of ones has a standard deviation close to 0.5."""
    deviation = np.sqrt(np.clip(share * (1 - share), 0, None))
    near: Mask = deviation > 0.5 - MAX_STD_DEVIATION_FROM_HALF
    return near


def pieces(windows: Mask) -> NDArray[np.intp]:
    """Count the 8-connected pieces in each window of ``(windows, rows, columns)``.

    They are labelled in one go, as if they were slices that do not touch.
    """
    in_plane = np.zeros((3, 3, 3), np.bool_)
    in_plane[1] = True
    labels, count = ndimage.label(windows, structure=in_plane)
    owner = np.zeros(count + 1, np.intp)
    owner[labels] = np.arange(len(windows))[:, None, None]
    counts: NDArray[np.intp] = np.bincount(owner[1:], minlength=len(windows))
    return counts


def largest_region(marked: Mask) -> Mask:
    """Keep the largest 26-connected region."""
    labels, count = ndimage.label(marked, structure=np.ones((3, 3, 3), np.bool_))
    if count == 0:
        return np.zeros_like(marked)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    largest: Mask = labels == sizes.argmax()
    return largest
