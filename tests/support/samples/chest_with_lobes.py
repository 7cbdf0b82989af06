"""Noisy lungs of known lobes, with bright sheets between those that are to be told apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume

MM = np.array([2.5, 2.0, 2.0])  #: along slice, row and column
SHAPE = (80, 80, 130)
NOISE_HU, SHEET_HU = 30.0, 120.0
OBLIQUE = {RIGHT_LUNG: (0.5, 0.55), LEFT_LUNG: (0.48, 0.8)}
"""Height in the middle of the lung, and its rise from front to back: shares of the lung."""
HORIZONTAL = 0.62

Labels = NDArray[np.uint8]
Floats = NDArray[np.float64]


def lungs() -> Labels:
    """Two ellipsoids."""
    labels = np.zeros(SHAPE, np.uint8)
    for label, column in ((RIGHT_LUNG, 33), (LEFT_LUNG, 97)):
        places = np.indices(SHAPE) - np.array([40, 40, column]).reshape(3, 1, 1, 1)
        radii = np.array([38, 36, 28]).reshape(3, 1, 1, 1)
        labels[((places / radii) ** 2).sum(axis=0) < 1] = label
    return labels


def truth(labels: Labels) -> Labels:
    """Number of the lobe of each voxel, from 1, in the order of `Lobe`; 0 outside."""
    lobes = np.zeros(SHAPE, np.uint8)
    for label, upper, lower in ((RIGHT_LUNG, 1, 3), (LEFT_LUNG, 4, 5)):
        inside = labels == label
        height, depth = shares(inside)
        middle, rise = OBLIQUE[label]
        lobes[inside] = upper
        if label == RIGHT_LUNG:
            lobes[inside & (height < HORIZONTAL)] = 2
        lobes[inside & (height < middle + rise * (depth - 0.5))] = lower
    return lobes


def shares(inside: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Height and depth of every voxel as shares of the box round a lung."""
    slices, rows, _ = np.nonzero(inside)
    height, depth, _ = np.indices(SHAPE).astype(float)
    return (
        (height - slices.min() + 0.5) / (np.ptp(slices) + 1),
        (depth - rows.min() + 0.5) / (np.ptp(rows) + 1),
    )


def chest(labels: Labels, *, sheets: frozenset[tuple[int, int]]) -> CtVolume:
    """Noisy lungs, with a bright sheet between the given pairs of lobes."""
    lobes = truth(labels)
    rng = np.random.default_rng(3)
    hu = np.where(labels > 0, -850.0, 40.0) + rng.normal(0, NOISE_HU, SHAPE)
    for axis in (0, 1):
        first, second = (np.take(lobes, range(a, SHAPE[axis] + a - 1), axis) for a in (0, 1))
        for one, other in sheets:
            edge = ((first == one) & (second == other)) | ((first == other) & (second == one))
            there = np.zeros(SHAPE, bool)
            there[tuple(slice(0, n) for n in edge.shape)] = edge
            hu[there] = -850.0 + SHEET_HU
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = *MM, 1.0
    return CtVolume(
        hu=hu.astype(np.int16),
        affine=affine,
        frame_of_reference_uid="",
        source=(None,) * SHAPE[0],
    )


ALL = frozenset({(1, 2), (1, 3), (2, 3), (4, 5)})
