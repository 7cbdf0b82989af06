"""Find the surface of least cost through a grid of heights (semi-global matching).

Hirschmueller, IEEE TPAMI 2008, 10.1109/TPAMI.2007.1166: the cost of a height at a column is its
own, and that of the best paths to it from eight directions, on which every change of height costs.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.lobes.blocks import Floats

DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))


def cheapest_levels(cost: Floats, bend_cost: float, most: int) -> NDArray[np.intp]:
    """Level of least cost at each column.

    Parameters
    ----------
    cost
        ``(across, along, levels)``.
    bend_cost
        Of a change by one level from a column to the next; of n levels n squared times that.
    most
        Levels by which it may change.
    """
    total = np.zeros_like(cost)
    for across, along in DIRECTIONS:
        if along:
            total += _along_paths(cost, along, across, bend_cost, most)
        else:
            turned = _along_paths(np.swapaxes(cost, 0, 1), across, 0, bend_cost, most)
            total += np.swapaxes(turned, 0, 1)
    levels: NDArray[np.intp] = total.argmin(axis=2)
    return levels


def _along_paths(cost: Floats, step: int, aside: int, bend_cost: float, most: int) -> Floats:
    """Cost of the best path to each place; paths run along the second axis, and aside if asked."""
    paths = cost.copy()
    order = range(cost.shape[1])[::step]
    for before, here in pairwise(order):
        best = _best_before(paths[:, before], bend_cost, most)
        if aside:
            best = np.roll(best, aside, axis=0)
            best[0 if aside > 0 else -1] = 0
        paths[:, here] += best
    return paths


def _best_before(path: Floats, bend_cost: float, most: int) -> Floats:
    """Least cost of a step from any near level, over the least of all, ``(columns, levels)``."""
    best = path.copy()
    for by in range(1, most + 1):
        bent = path + np.float32(bend_cost * by**2)
        np.minimum(best[:, :-by], bent[:, by:], out=best[:, :-by])
        np.minimum(best[:, by:], bent[:, :-by], out=best[:, by:])
    least: Floats = best - path.min(axis=1, keepdims=True)
    return least
