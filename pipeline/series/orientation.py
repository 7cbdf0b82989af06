"""Turn a volume between the rows and columns of the source and the canonical view.

Canonical: columns run towards the patient's left (+x), rows towards the back (+y). It is how a
head-first-supine axial CT comes; other patient positions and scanners differ by flips and a
transposition in the plane, which are exact both ways. Slices already ascend towards the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.types import CtVolume

Scalar = TypeVar("Scalar", bound=np.generic)

SLICE, ROW, COLUMN = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Steps from source to canonical view: transpose first, then reverse.

    Attributes
    ----------
    transpose
        Whether rows and columns change places.
    reverse_rows, reverse_columns
        Whether rows, and columns, then run the other way.
    """

    transpose: bool
    reverse_rows: bool
    reverse_columns: bool

    @classmethod
    def of(cls, affine: NDArray[np.float64]) -> Orientation:
        """Orientation of a grid.

        Parameters
        ----------
        affine
            ``(4, 4)`` index ``(slice, row, column)`` to LPS mm; oblique ones go to the nearest
            axis.
        """
        row, column = affine[:2, ROW], affine[:2, COLUMN]
        transpose = bool(abs(row[0]) * abs(column[1]) > abs(row[1]) * abs(column[0]))
        if transpose:
            row, column = column, row
        return cls(
            transpose=transpose, reverse_rows=bool(row[1] < 0), reverse_columns=bool(column[0] < 0)
        )

    def apply(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Source to canonical view.

        Parameters
        ----------
        array
            ``(slices, rows, columns, ...)``; a view of it is returned.
        """
        if self.transpose:
            array = np.swapaxes(array, ROW, COLUMN)
        return self._reverse(array)

    def undo(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Canonical view to source: the exact inverse of `apply`."""
        array = self._reverse(array)
        return np.swapaxes(array, ROW, COLUMN) if self.transpose else array

    def undo_voxel(
        self, voxel: tuple[int, int, int], shape: tuple[int, int, int]
    ) -> tuple[int, int, int]:
        """Place in the source of a voxel of the canonical array, given the shape of that."""
        slice_, row, column = voxel
        row = shape[ROW] - 1 - row if self.reverse_rows else row
        column = shape[COLUMN] - 1 - column if self.reverse_columns else column
        return (slice_, column, row) if self.transpose else (slice_, row, column)

    def _reverse(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        rows = slice(None, None, -1 if self.reverse_rows else 1)
        columns = slice(None, None, -1 if self.reverse_columns else 1)
        return array[:, rows, columns]

    def move_affine(
        self, affine: NDArray[np.float64], shape: tuple[int, int, int]
    ) -> NDArray[np.float64]:
        """Affine ``(4, 4)`` of the canonical array, given that of the source and its shape."""
        moved = affine.copy()
        sizes = [shape[ROW], shape[COLUMN]]
        if self.transpose:
            moved[:, [ROW, COLUMN]] = moved[:, [COLUMN, ROW]]
            sizes.reverse()
        for axis, size, reverse in (
            (ROW, sizes[0], self.reverse_rows),
            (COLUMN, sizes[1], self.reverse_columns),
        ):
            if reverse:
                moved[:, 3] += moved[:, axis] * (size - 1)
                moved[:, axis] *= -1
        return moved


def canonical(volume: CtVolume) -> CtVolume:
    """Return the volume in canonical view, every voxel at the same place in LPS.

    The volume itself if it is in canonical view already.
    """
    orientation = Orientation.of(volume.affine)
    if orientation == Orientation(transpose=False, reverse_rows=False, reverse_columns=False):
        return volume
    return CtVolume(
        hu=np.ascontiguousarray(orientation.apply(volume.hu)),
        affine=orientation.move_affine(volume.affine, volume.shape),
        frame_of_reference_uid=volume.frame_of_reference_uid,
        source=volume.source,
    )
