"""Outline an area of one image as a closed polygon in image coordinates.

Coordinates are ``(column, row)`` with sub-pixel resolution: the upper left corner of the first
pixel is (0, 0), its centre (0.5, 0.5) (PS3.3 C.18.6.1.2).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import distance

MAX_POINTS = 64
"""Points of an outline, the repeated first one left out; 0.5 KB in a report."""

FIRST_TOLERANCE = 0.75
"""Pixels; just above the steps of a slanting edge, which are 0.71 deep."""

Corner = tuple[int, int]


def outline(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Outer edge of the largest connected area, its holes filled.

    Parameters
    ----------
    mask
        ``(rows, columns)``; pixels that touch by an edge are connected.

    Returns
    -------
    NDArray
        ``(points, 2)``, the first point repeated as the last. The polygon follows the edges of
        the pixels exactly where `MAX_POINTS` suffice, otherwise as closely as they allow.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    if not mask.any():
        raise ValueError("expected a mask with at least one pixel, got an empty one")
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    origin = (box[1].start, box[0].start)
    corners = np.array(list(_corners(_largest_filled(mask[box]))), dtype=np.float64) + origin
    tolerance = FIRST_TOLERANCE
    points = corners
    while len(points) > MAX_POINTS:
        points = _simplified(corners, tolerance)
        tolerance *= 1.25
    return np.concatenate([points, points[:1]])


def joined(first: NDArray[np.float64], *others: NDArray[np.float64]) -> NDArray[np.float64]:
    """One closed line around areas that lie apart.

    A line leads from the first outline to each other one, where they are nearest, and back; so the
    line encloses what the outlines enclose, and no more.

    Parameters
    ----------
    first, others
        From `outline`.
    """
    for other in others:
        near, there = np.unravel_index(
            distance.cdist(first, other).argmin(), (len(first), len(other))
        )
        around = np.roll(other[:-1], -there, axis=0)
        first = np.concatenate([first[: near + 1], around, around[:1], first[near:]])
    return first


def _largest_filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, _ = ndimage.label(mask)
    largest = int(np.argmax(np.bincount(labels.ravel())[1:])) + 1
    filled: NDArray[np.bool_] = ndimage.binary_fill_holes(labels == largest)
    return filled


def _corners(area: NDArray[np.bool_]) -> Iterator[Corner]:
    """``(column, row)`` of each corner, clockwise on the screen.

    One edge leaves a corner: an area without holes, connected by edges, meets itself nowhere.
    """
    following = dict(_edges(area))
    start = min(following)
    before, here = start, following[start]
    while True:
        after = following[here]
        if (after[0] - here[0]) * (here[1] - before[1]) != (after[1] - here[1]) * (
            here[0] - before[0]
        ):
            yield here
        if here == start:
            return
        before, here = here, after


def _edges(area: NDArray[np.bool_]) -> Iterator[tuple[Corner, Corner]]:
    """Pixel edges between area and background, in the direction that has the area on its right."""
    padded = np.pad(area, 1).astype(np.int8)
    down, across = np.diff(padded, axis=0), np.diff(padded, axis=1)
    for row, column in np.argwhere(down == 1).tolist():
        yield (column - 1, row), (column, row)
    for row, column in np.argwhere(down == -1).tolist():
        yield (column, row), (column - 1, row)
    for row, column in np.argwhere(across == 1).tolist():
        yield (column, row), (column, row - 1)
    for row, column in np.argwhere(across == -1).tolist():
        yield (column, row - 1), (column, row)


def _simplified(points: NDArray[np.float64], tolerance: float) -> NDArray[np.float64]:
    """Leave out points that lie no further off than the tolerance.

    Source: Douglas and Peucker 1973, doi:10.3138/FM57-6770-U75U-7727; the ring is cut at its
    first point and the one farthest from it.
    """
    far = int(np.argmax(np.linalg.norm(points - points[0], axis=1)))
    ring = np.concatenate([points, points[:1]])
    chosen = {0, far}
    pending = [(0, far), (far, len(points))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        off = _distances(ring[first + 1 : last], ring[first], ring[last])
        if off.max() > tolerance:
            middle = first + 1 + int(np.argmax(off))
            chosen.add(middle)
            pending += [(first, middle), (middle, last)]
    return points[sorted(chosen)]


def _distances(
    points: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distances of the points from the line segment."""
    along = last - first
    length = float(along @ along)
    share = np.clip((points - first) @ along / length, 0, 1) if length else np.zeros(len(points))
    distances: NDArray[np.float64] = np.linalg.norm(
        points - (first + share[:, None] * along), axis=1
    )
    return distances
