"""Measure lesions, and the share of the lungs that they take."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.types import (
    LEFT_LUNG,
    RIGHT_LUNG,
    CtVolume,
    Involvement,
    Lesion,
    LungMask,
    Side,
)

ML_PER_MM3 = 1e-3


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
        By number. A lesion lies on the side where more of its voxels do, on the right if even.
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
    left = mean(lungs.labels[where] == LEFT_LUNG) > 0.5
    key = key_slices(number, where[0], volume.shape[0])
    return tuple(
        Lesion(
            number=i + 1,
            side=Side.LEFT if left[i] else Side.RIGHT,
            volume_mm3=float(voxels[i] * volume.voxel_volume_mm3),
            centroid_mm=(float(centre[i, 0]), float(centre[i, 1]), float(centre[i, 2])),
            mean_hu=float(hu[i]),
            activation=float(active[i]),
            key_slice=int(key[i]),
        )
        for i in range(len(voxels))
    )


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

    A lung that is not there has volume 0 and share 0.
    """
    right = int(np.count_nonzero(lungs.labels == RIGHT_LUNG))
    left = int(np.count_nonzero(lungs.labels == LEFT_LUNG))
    taken = np.bincount(lungs.labels[lesion_mask], minlength=3)
    right_taken, left_taken = int(taken[RIGHT_LUNG]), int(taken[LEFT_LUNG])
    voxel_ml = volume.voxel_volume_mm3 * ML_PER_MM3
    return Involvement(
        right_ml=right * voxel_ml,
        left_ml=left * voxel_ml,
        right=share(right_taken, right),
        left=share(left_taken, left),
        total=share(right_taken + left_taken, right + left),
    )


def share(part: int, whole: int) -> float:
    """Part over whole; 0 of nothing."""
    return part / whole if whole else 0.0
