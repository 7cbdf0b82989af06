"""Key images of the summary page: one axial and one coronal slice with the opacities outlined.

Both in the radiological convention: the patient's right at the left of the picture, whatever the
position of the scan. Pure arrays; nothing of DICOM here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from pipeline.encode.heatmap import paint
from pipeline.series.orientation import Orientation
from pipeline.types import Analysis, CtVolume

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

MARGIN_MM = 15.0  #: shown around the lungs, mm
OUTLINE_PIXELS = 3  #: width of an outline on the picture, pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One key image.

    Attributes
    ----------
    picture
        ``(rows, columns, 3)``, lung window; the patient's right is at the left.
    places
        Number of an opacity, and the column and row, on the picture, that its largest part
        reaches furthest right; the largest opacity in this slice first.
    """

    picture: Rgb
    places: tuple[tuple[int, tuple[float, float]], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Scene:
    """Volume and labels in the canonical view, cut to the lungs."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    spacing_mm: tuple[float, float, float]
    colours: Mapping[int, Colour]


def axial(
    volume: CtVolume,
    analysis: Analysis,
    index: int,
    colours: Mapping[int, Colour],
    size: tuple[int, int],
) -> View:
    """Draw one slice of the volume.

    Parameters
    ----------
    index
        0-based slice.
    colours
        RGB by the number of an opacity.
    size
        Width and height within which the picture fits, pixels.
    """
    scene = _scene(volume, analysis, colours, slice(index, index + 1))
    return _view(scene, scene.hu[0], scene.labels[0], scene.spacing_mm[1:], size)


def coronal(
    volume: CtVolume, analysis: Analysis, colours: Mapping[int, Colour], size: tuple[int, int]
) -> View:
    """Draw the coronal plane with most opacity or change, head up; parameters as of `axial`."""
    scene = _scene(volume, analysis, colours, _extent(analysis.lungs.labels, 0, volume.spacing_mm))
    counts = np.count_nonzero(scene.labels, axis=(0, 2))
    row = int(np.argmax(counts)) if counts.any() else _row_of_change(volume, analysis)
    row = scene.hu.shape[1] // 2 if row is None else row
    spacing = (scene.spacing_mm[0], scene.spacing_mm[2])
    return _view(scene, scene.hu[::-1, row], scene.labels[::-1, row], spacing, size)


def _row_of_change(volume: CtVolume, analysis: Analysis) -> int | None:
    """Row of the canonical view where most unreported change is; None where there is none."""
    if analysis.unreported is None:
        return None
    lungs = analysis.lungs.labels
    spot = np.zeros((1, *lungs.shape[1:]), dtype=np.bool_)
    spot[0, analysis.unreported.voxel[1], analysis.unreported.voxel[2]] = True
    rows, columns = (_extent(lungs, axis, volume.spacing_mm) for axis in (1, 2))
    seen = Orientation.of(volume.affine).apply(spot[:, rows, columns]).any(axis=(0, 2))
    return int(np.argmax(seen)) if seen.any() else None


def _scene(
    volume: CtVolume, analysis: Analysis, colours: Mapping[int, Colour], slices: slice
) -> _Scene:
    """Cut slices to the lungs' extent in the plane, and turn them into the canonical view."""
    rows, columns = (_extent(analysis.lungs.labels, axis, volume.spacing_mm) for axis in (1, 2))
    turn = Orientation.of(volume.affine)
    along, down, across = volume.spacing_mm
    return _Scene(
        hu=turn.apply(volume.hu[slices, rows, columns]),
        labels=turn.apply(analysis.lesion_labels[slices, rows, columns]),
        spacing_mm=(along, across, down) if turn.transpose else (along, down, across),
        colours=colours,
    )


def _extent(lungs: NDArray[np.uint8], axis: int, spacing_mm: tuple[float, float, float]) -> slice:
    """Part of an axis that the lungs take, with a margin; all of it where there are none."""
    others = tuple(other for other in range(3) if other != axis)
    taken = np.flatnonzero(lungs.any(axis=others))
    if not len(taken):
        return slice(0, lungs.shape[axis])
    margin = round(MARGIN_MM / spacing_mm[axis])
    return slice(max(0, int(taken[0]) - margin), int(taken[-1]) + 1 + margin)


def _view(
    scene: _Scene,
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    spacing_mm: tuple[float, float],
    size: tuple[int, int],
) -> View:
    """Scale a plane to equal millimetres in both directions, and outline the opacities."""
    extent = (hu.shape[1] * spacing_mm[1], hu.shape[0] * spacing_mm[0])
    scale = min(size[0] / extent[0], size[1] / extent[1])
    width, height = (max(1, int(scale * length)) for length in extent)
    smooth = Image.fromarray(paint.windowed(hu)).resize((width, height), Image.Resampling.BICUBIC)
    nearest = Image.fromarray(np.ascontiguousarray(labels)).resize(
        (width, height), Image.Resampling.NEAREST
    )
    picture = np.repeat(np.asarray(smooth)[..., None], 3, axis=2)
    shown = np.asarray(nearest)
    _outline(picture, shown, scene.colours)
    return View(picture=picture, places=_places(shown))


def _outline(picture: Rgb, labels: NDArray[np.uint8], colours: Mapping[int, Colour]) -> None:
    """Draw, in place, the inner borders of the labels in their colours."""
    border = paint.inner_border(labels, OUTLINE_PIXELS)
    for number in np.unique(labels[border]):
        picture[border & (labels == number)] = colours[int(number)]


def _places(labels: NDArray[np.uint8]) -> tuple[tuple[int, tuple[float, float]], ...]:
    sizes = np.bincount(labels.ravel(), minlength=256)
    sizes[0] = 0
    numbers = [int(n) for n in np.argsort(-sizes, kind="stable") if sizes[n]]
    return tuple((number, _tip(labels == number)) for number in numbers)


def _tip(mask: NDArray[np.bool_]) -> tuple[float, float]:
    parts, _ = ndimage.label(mask)
    rows, columns = np.nonzero(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))
    furthest = columns.max()
    return float(furthest), float(rows[columns == furthest].min())
