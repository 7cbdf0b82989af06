"""Stretch the phantom to a build: small, short, tall, barrel-chested, with a curved spine.

A kind stretches the measures of a random body, so that every seed exists in every build.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.synthetic.phantom.grid import Figure, Grid

BuildName = Literal["average", "small", "short", "tall", "barrel", "scoliotic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """Measures against the average body.

    Attributes
    ----------
    width, depth, height
        Factors; height is that of the lungs.
    curve_mm
        How far the spine, and all around it, leaves the mid-plane.
    """

    width: float = 1.0
    depth: float = 1.0
    height: float = 1.0
    curve_mm: float = 0.0


BUILDS: Mapping[BuildName, Build] = {
    "average": Build(),
    "small": Build(width=0.84, depth=0.86, height=0.84),
    "short": Build(height=0.75),
    "tall": Build(width=0.9, depth=0.92, height=1.05),
    "barrel": Build(width=0.96, depth=1.22, height=1.03),
    "scoliotic": Build(width=0.95, height=0.88, curve_mm=26.0),
}


def built(figure: Figure, build: Build) -> Figure:
    """Stretch the measures of a body; it stands on the same base."""
    return replace(
        figure,
        half_width=figure.half_width * build.width,
        half_depth=figure.half_depth * build.depth,
        fat=figure.fat * build.width,
        cage_width=figure.cage_width * build.width,
        cage_depth=figure.cage_depth * build.depth,
        apex=figure.base + figure.height * build.height,
    )


def curve(
    volume: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    grid: Grid,
    figure: Figure,
    curve_mm: float,
) -> None:
    """Push the middle of each slice sideways, in place; the skin stays where it is.

    One lung grows narrow and the other wide, the other way round at the next bend.
    """
    x = grid.x[0, 0].astype(np.float64)
    free = np.clip(1 - (x / figure.half_width) ** 2, 0, 1)
    last = len(x) - 1
    for index, z in enumerate(grid.z[:, 0, 0]):
        turn = np.sin(1.4 * np.pi * (float(z) - figure.base) / figure.height)
        from_mm = x - curve_mm * turn * free
        columns = np.rint(np.interp(from_mm, x, np.arange(last + 1)))
        volume[index] = volume[index][:, columns.astype(np.intp)]
