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
from scipy import ndimage

from dicom_node.analysis.worker.source_files import read_instance
from dicom_node.errors import Busy
from pipeline import analysis_file
from pipeline.errors import PipelineError, UnsuitableSeries
from pipeline.series.image_rules import SelectionRules
from pipeline.series.orientation import canonical
from pipeline.series.selection import select
from pipeline.series.volume import assemble_selected
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume

WAIT_SECONDS = 20.0  #: longest wait for one's turn: a series takes some seconds
MOST_SERIES = 2  #: that are held in memory, two bytes a voxel, and two masks
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
        Labels on its grid, the latter of what the report names.
    """

    volume: CtVolume
    lungs: NDArray[np.integer]
    opacities: NDArray[np.integer]

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
        lungs, opacities = self.lungs[index], self.opacities[index]
        for label, colour in ((RIGHT_LUNG, RIGHT), (LEFT_LUNG, LEFT)):
            rgba[_edge(lungs == label)] = (*colour, SOLID)
        for label in np.unique(opacities[opacities > 0]):
            rgba[_edge(opacities == label)] = (*OPACITY, SOLID)
        return _png(Image.fromarray(rgba))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is to be drawn.

    Attributes
    ----------
    files
        Of the instances that are kept, in use and in any order.
    source
        Digest of those instances, as `pipeline.analysis_file` has it.
    kept
        The kept analysis.
    named
        Numbers of the opacities that the report names: others are not drawn.
    rules
        By which images are chosen.
    """

    files: Sequence[Path]
    source: str
    kept: Path
    named: Collection[int]
    rules: SelectionRules


class Pictures:
    """Holds the series that were drawn last; for any thread, one series being read at a time."""

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._held: OrderedDict[tuple[str, str], Drawable] = OrderedDict()

    def drawable(self, key: tuple[str, str], drawing: Callable[[], Drawing]) -> Drawable:
        """Read a series, or give it as it was read before.

        Parameters
        ----------
        key
            Series Instance UID, and key of the result.

        Raises
        ------
        OSError, PipelineError
            If its files cannot be read, or are not those that were analysed.
        Busy
            If others are being read.
        """
        if (known := self._held.get(key)) is not None:
            return known
        if not self._reading.acquire(timeout=WAIT_SECONDS):
            raise Busy("other series are being read: open it again in a moment")
        try:
            if (known := self._held.get(key)) is not None:
                return known
            while len(self._held) >= MOST_SERIES:
                self._held.popitem(last=False)
            self._held[key] = found = _read(drawing())
            return found
        finally:
            self._reading.release()


def _read(drawing: Drawing) -> Drawable:
    """Read the instances that were analysed, as the analysis did, and what it found.

    Nothing is decoded before the analysis is known to be of exactly these bytes: a worker has read
    them before, and masks and slices share one grid.
    """
    analysis, source = analysis_file.read(drawing.kept)
    if source != drawing.source:
        raise PipelineError("images have come or gone since the analysis")
    datasets = [read_instance(path) for path in drawing.files]
    try:
        series = assemble_selected(datasets, select(datasets, drawing.rules))
    except UnsuitableSeries as reason:  # rules have changed since
        raise PipelineError(f"its images are chosen by other rules now: {reason.code}") from reason
    volume = canonical(series.volume)
    if analysis.lungs.labels.shape != volume.hu.shape:
        raise PipelineError("its images are chosen by other rules now")
    opacities = analysis.lesion_labels * np.isin(analysis.lesion_labels, list(drawing.named))
    return Drawable(volume=volume, lungs=analysis.lungs.labels, opacities=opacities)


def _edge(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ndimage.binary_erosion(mask)
    return mask & ~inside


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
