"""Measure lesions, and the share of the lungs that they take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.types import (
    LEFT_LUNG,
    LUNG_OF_OPEN_SIDE,
    RIGHT_LUNG,
    CtVolume,
    Involvement,
    Lesion,
    LungMask,
    Side,
)

ML_PER_MM3 = 1e-3
ON_ONE_SIDE = 2 / 3  #: of a lesion's voxels within lungs: with so many in one it is that lung's


def lesions(
    labels: NDArray[np.uint8],
    volume: CtVolume,
    lungs: LungMask,
    activation: NDArray[np.float32],
) -> tuple[Lesion, ...]:
    """Measure each labelled lesion.

    Parameters
    ----------
    labels, activation
        ``(slices, rows, columns)`` on the grid of ``volume`` and ``lungs``: 1-based labels
        without gaps; activation 0..1.

    Returns
    -------
    tuple of Lesion
        By number. A lesion lies on the side where `ON_ONE_SIDE` of it does, else on none.
    """
    where = np.nonzero(labels)
    number = labels[where].astype(np.intp)
    if number.size == 0:
        return ()
    voxels = np.bincount(number)[1:]

    def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
        sums = np.bincount(number, weights=values)[1:].astype(np.float64)
        return sums / voxels

    index = np.stack([*(mean(axis) for axis in where), np.ones(len(voxels))])
    centre = (volume.affine @ index)[:3].T
    hu, active = mean(volume.hu[where]), mean(activation[where])
    inside = lungs.labels[where]
    right, left, held = (mean(of) for of in (inside == RIGHT_LUNG, inside == LEFT_LUNG, inside > 0))
    key = key_slices(number, where[0], volume.shape[0])
    return tuple(
        Lesion(
            number=i + 1,
            side=_side(right[i], left[i], held[i]),
            volume_mm3=float(voxels[i] * volume.voxel_volume_mm3),
            centroid_mm=(float(centre[i, 0]), float(centre[i, 1]), float(centre[i, 2])),
            mean_hu=float(hu[i]),
            activation=float(active[i]),
            key_slice=int(key[i]),
        )
        for i in range(len(voxels))
    )


def _side(right: float, left: float, held: float) -> Side | None:
    """Side of a lesion by its shares in right, left and any lung; None if that is not clear."""
    if max(right, left) < max(ON_ONE_SIDE * held, np.finfo(float).tiny):
        return None
    return Side.LEFT if left > right else Side.RIGHT


def key_slices(number: NDArray[np.intp], slices: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """Slice of the largest area of each lesion 1..n, the lowest of equals.

    Parameters
    ----------
    number, slices
        Of each lesion voxel.
    count
        Slices of the volume.
    """
    area = np.bincount(number * count + slices, minlength=(int(number.max()) + 1) * count)
    largest: NDArray[np.intp] = area.reshape(-1, count)[1:].argmax(axis=1)
    return largest


def involvement(lesion_mask: NDArray[np.bool_], lungs: LungMask, volume: CtVolume) -> Involvement:
    """Lung volumes and the share of each taken by lesions; lesions outside do not count.

    A lung that was not found has volume 0 and no share.
    """
    sides = (RIGHT_LUNG, LEFT_LUNG, LUNG_OF_OPEN_SIDE)
    right, left, open_ = (int(np.count_nonzero(lungs.labels == side)) for side in sides)
    taken = np.bincount(lungs.labels[lesion_mask], minlength=max(sides) + 1)
    voxel_ml = volume.voxel_volume_mm3 * ML_PER_MM3
    return Involvement(
        right_ml=right * voxel_ml,
        left_ml=left * voxel_ml,
        open_ml=open_ * voxel_ml,
        right=share(int(taken[RIGHT_LUNG]), right),
        left=share(int(taken[LEFT_LUNG]), left),
        total=share(int(taken[1:].sum()), right + left + open_),
    )


def share(part: int, whole: int) -> float | None:
    """Part over whole; None of nothing."""
    return part / whole if whole else None
