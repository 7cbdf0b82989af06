"""3DCC activation: where the mask of aerated lung falls to pieces.

Around ground glass and consolidation a plain threshold leaves speckles. A window is marked when
its share of aerated lung is near one half and lies in several pieces; the largest 3-D region of
marked windows is the activation. Source: Wang et al. 2020, with the constants of their code and
with true sliding windows of 7 x 7 pixels, as the paper has it.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

WINDOW = 7  #: pixels, in the plane
MIN_PIECES = 3  #: foreground pieces in the window, 8-connected
MAX_STD_DEVIATION_FROM_HALF = 0.05  #: of the window's pixels; a share of 0.5 has the largest, 0.5
AERATED_HU = -320  #: below it a pixel is air, as in the paper's segmentation

Mask = NDArray[np.bool_]


def components_activation(hu: NDArray[np.int16], lungs: Mask) -> Mask:
    """Largest region where aerated lung is speckled.

    Parameters
    ----------
    hu, lungs
        ``(slices, rows, columns)``, same grid, pixels of about 1 to 1.5 mm.
    """
    return largest_region(speckled(lungs & (hu < AERATED_HU)) & lungs)


def speckled(aerated: Mask) -> Mask:
    """Mark the middles of windows that are about half full and in several pieces.

    Pixels beyond the image's border count as empty.
    """
    share = ndimage.uniform_filter(aerated.astype(np.float32), (0, WINDOW, WINDOW), mode="constant")
    deviation = np.sqrt(np.clip(share * (1 - share), 0, None))
    marked: Mask = deviation > 0.5 - MAX_STD_DEVIATION_FROM_HALF
    marked[marked] = pieces(aerated, marked) >= MIN_PIECES
    return marked


def pieces(mask: Mask, where: Mask) -> NDArray[np.intp]:
    """Count the 8-connected pieces in the window around each chosen pixel, in raster order.

    The windows are laid out one after the other and labelled in one go.
    """
    half = WINDOW // 2
    padded = np.pad(mask, ((0, 0), (half, half), (half, half)))
    windows = sliding_window_view(padded, (WINDOW, WINDOW), axis=(1, 2))[where]
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
