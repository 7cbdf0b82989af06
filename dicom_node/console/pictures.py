"""Draw slices of a series, and what was found on them, from the files that are kept.

The CT is put together as the analysis did, and turned to its view, so that mask and slice share
one grid by construction.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from scipy import ndimage

from dicom_node.errors import Busy
from pipeline import analysis_file
from pipeline.errors import PipelineError
from pipeline.series.orientation import canonical
from pipeline.series.volume import assemble
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume

WAIT_SECONDS = 20.0  #: longest wait for one's turn: a series takes some seconds
MOST_SERIES = 2  #: that are held in memory, some 80 MB each
WINDOWS = {"lung": (-1400.0, 200.0), "soft": (-160.0, 240.0)}  #: HU, lowest and highest
RIGHT, LEFT = (80, 160, 255), (80, 220, 120)  #: outlines of the lungs
OPACITY = (229, 162, 27)  #: outlines of opacities
SOLID = 255  #: alpha of an outline


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawable:
    """A series that can be drawn.

    Attributes
    ----------
    volume
        In canonical view (`pipeline.series.orientation`).
    lungs, opacities
        Labels on its grid, the latter of what the report names; None if no analysis is kept.
    """

    volume: CtVolume
    lungs: NDArray[np.integer] | None = None
    opacities: NDArray[np.integer] | None = None

    @property
    def slices(self) -> int:
        """Number of slices, feet to head."""
        return len(self.volume.hu)

    def key_slice(self) -> int:
        """Index of the slice that shows most: of opacities, else of lungs, else the middle."""
        for labels in (self.opacities, self.lungs):
            if labels is not None and labels.any():
                return int(np.count_nonzero(labels, axis=(1, 2)).argmax())
        return self.slices // 2

    def slice_png(self, index: int, window: str) -> bytes:
        """Draw a slice.

        Raises
        ------
        KeyError, IndexError
            If there is no such window or slice.
        """
        low, high = WINDOWS[window]
        grey = (self.volume.hu[index].astype(np.float32) - low) / (high - low)
        return _png(Image.fromarray((grey.clip(0, 1) * 255).astype(np.uint8)))

    def overlay_png(self, index: int) -> bytes:
        """Draw the outlines on a slice, on nothing.

        Raises
        ------
        IndexError
            If there is no such slice.
        """
        rows, columns = self.volume.hu[index].shape
        rgba = np.zeros((rows, columns, 4), np.uint8)
        if self.lungs is not None:
            labels = self.lungs[index]
            for label, colour in ((RIGHT_LUNG, RIGHT), (LEFT_LUNG, LEFT)):
                rgba[_edge(labels == label)] = (*colour, SOLID)
        if self.opacities is not None:
            labels = self.opacities[index]
            for label in np.unique(labels[labels > 0]):
                rgba[_edge(labels == label)] = (*OPACITY, SOLID)
        return _png(Image.fromarray(rgba))


class Pictures:
    """Holds the series that were drawn last; for any thread, one series being read at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], Drawable] = OrderedDict()

    def drawable(
        self,
        key: tuple[str, str],
        files: Callable[[], Sequence[Path]],
        kept: Path,
        named: Collection[int],
    ) -> Drawable:
        """Read a series, or give it as it was read before.

        Parameters
        ----------
        key
            Series Instance UID, and key of the result.
        files
            Lists the files of its instances.
        kept
            Its kept analysis, which need not be there.
        named
            Numbers of the opacities that the report names: others are not drawn.

        Raises
        ------
        OSError, PipelineError
            If its files cannot be read.
        Busy
            If others are being read.
        """
        if not self._lock.acquire(timeout=WAIT_SECONDS):
            raise Busy("other series are being read: open it again in a moment")
        try:
            known = self._held.get(key)
            if known is None:
                while len(self._held) >= MOST_SERIES:
                    self._held.popitem(last=False)
                known = self._held[key] = _read(files(), kept, named)
            self._held.move_to_end(key)
            return known
        finally:
            self._lock.release()


def _read(files: Sequence[Path], kept: Path, named: Collection[int]) -> Drawable:
    volume = canonical(assemble([dcmread(path) for path in files]).volume)
    try:
        analysis, _ = analysis_file.read(kept)
    except (OSError, PipelineError):
        return Drawable(volume=volume)
    if analysis.lungs.labels.shape != volume.hu.shape:  # images came or went since
        return Drawable(volume=volume)
    opacities = analysis.lesion_labels * np.isin(analysis.lesion_labels, list(named))
    return Drawable(volume=volume, lungs=analysis.lungs.labels, opacities=opacities)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ndimage.binary_erosion(mask)
    return mask & ~inside


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
