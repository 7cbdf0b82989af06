"""Make the classifier's input: the box of the lungs, resampled, windowed to 8 bits.

The network's grid and the volume's grid share their axes, so the way there and back is three
linear maps of indices, one per axis. Source: Wang et al. 2020 (see `pipeline.networks.decovnet`),
with a margin around the box and without its clipping of the lungs' bases and tops.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UnsuitableSeries
from pipeline.model.manifest import ClassifierInput
from pipeline.reasons import UnsuitableReason
from pipeline.types import CtVolume, LungMask

GREY_LEVELS = 255  #: the paper's networks saw 8-bit images; floor, as there
MAX_PLANES = 400  #: bounds memory (about 3 GB); 400 mm at 1 mm is beyond a long lung
MIN_PLANES = 2  #: the network halves the planes once
MASK_LEVEL = 0.5  #: an interpolated mask counts as lung from here on

Index = tuple[int, int, int]
Offsets = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkInput:
    """A volume as the classifier sees it, and the way back.

    Attributes
    ----------
    tensor
        ``(1, 2, T, H, W)`` float32: attenuation 0..1, lung mask 0/1. Planes feet to head.
    low, high
        First and last source voxel ``(slice, row, column)`` of the box, both within it. The
        first and last plane, row and column of the tensor lie on their centres.
    source_shape
        Slices, rows, columns of the volume.
    """

    tensor: NDArray[np.float32]
    low: Index
    high: Index
    source_shape: Index

    @property
    def grid_shape(self) -> Index:
        """Planes, rows, columns of the tensor."""
        planes, rows, columns = self.tensor.shape[2:]
        return planes, rows, columns

    def to_source(
        self, values: NDArray[np.float32], *, stride: Index = (1, 1, 1), offset: Offsets = (0, 0, 0)
    ) -> NDArray[np.float32]:
        """Interpolate a map of the network back onto the volume's grid.

        Parameters
        ----------
        values
            ``(planes, rows, columns)``: entry ``i`` along an axis lies at tensor index
            ``offset + i * stride`` of that axis. Beyond the outermost entries the map
            continues with their values.

        Returns
        -------
        NDArray
            ``(slices, rows, columns)`` float32, 0 outside the box.
        """
        return np.stack(list(self.source_planes(values, stride=stride, offset=offset)))

    def source_planes(
        self, values: NDArray[np.float32], *, stride: Index = (1, 1, 1), offset: Offsets = (0, 0, 0)
    ) -> SourcePlanes:
        """Interpolate a map of the network plane by plane; parameters as of `to_source`."""
        places = [(self._tensor_index(axis) - offset[axis]) / stride[axis] for axis in range(3)]
        for axis in (0, 1):
            values = sample(values, places[axis], axis=axis)
        return SourcePlanes(
            coarse=values, at=places[2], low=self.low, high=self.high, shape=self.source_shape
        )

    def _tensor_index(self, axis: int) -> NDArray[np.float64]:
        """Places of the box's source voxels along one axis of the tensor."""
        count = self.high[axis] - self.low[axis] + 1
        return np.linspace(0, self.grid_shape[axis] - 1, count)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourcePlanes:
    """A map of the network on the grid of a volume, made one slice at a time.

    All of it would be larger than the volume itself.

    Attributes
    ----------
    coarse
        ``(slices, rows, columns)`` float32 of the box: interpolated but for the columns.
    at
        Places of the box's source columns among those.
    low, high
        First and last source voxel of the box.
    shape
        Slices, rows, columns of the volume.
    """

    coarse: NDArray[np.float32]
    at: NDArray[np.float64]
    low: Index
    high: Index
    shape: Index

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> NDArray[np.float32]:
        """Give the plane ``(rows, columns)`` of a slice, 0 outside the box."""
        plane = np.zeros(self.shape[1:], np.float32)
        if self.low[0] <= index <= self.high[0]:
            inside = sample(self.coarse[index - self.low[0]][None], self.at, axis=2)
            plane[box(self.low, self.high)[1:]] = inside[0]
        return plane


def network_input(volume: CtVolume, lungs: LungMask, spec: ClassifierInput) -> NetworkInput:
    """Cut out the lungs and resample them for the classifier.

    Planes lie ``spec.slice_mm`` apart, or as little more as it takes to end on the box's
    last slice. A box that would need more than `MAX_PLANES` is squeezed into so many: all of
    the lung is seen, coarser along the body.

    Parameters
    ----------
    volume
        Canonical: slices feet to head, rows to the back, columns to the patient's left.
    lungs
        On the same grid.

    Raises
    ------
    UnsuitableSeries
        ``no-lungs`` if the mask is empty.
    """
    low, high = lung_box(lungs.labels > 0, volume.spacing_mm, spec.margin_mm)
    length_mm = (high[0] - low[0]) * volume.spacing_mm[0]
    planes = int(np.clip(round(length_mm / spec.slice_mm) + 1, MIN_PLANES, MAX_PLANES))
    shape = (planes, spec.rows, spec.columns)
    inside = box(low, high)
    grey = window(resize(volume.hu[inside], shape), spec.window_hu)
    lung = resize(lungs.labels[inside] > 0, shape) >= MASK_LEVEL
    tensor = np.stack([grey, lung.astype(np.float32)])[np.newaxis]
    return NetworkInput(tensor=tensor, low=low, high=high, source_shape=volume.shape)


def lung_box(mask: NDArray[np.bool_], spacing_mm: Offsets, margin_mm: float) -> tuple[Index, Index]:
    """First and last voxel of a mask's box with a margin, within the array, 2 voxels or more."""
    low, high = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        at = np.flatnonzero(mask.any(axis=others))
        if at.size == 0:
            raise UnsuitableSeries(
                UnsuitableReason.NO_LUNGS, "expected lung voxels to put a box around, got none"
            )
        margin = round(margin_mm / spacing_mm[axis])
        low.append(max(0, min(int(at[0]) - margin, mask.shape[axis] - 2)))
        high.append(min(mask.shape[axis] - 1, max(int(at[-1]) + margin, low[-1] + 1)))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def box(low: Index, high: Index) -> tuple[slice, slice, slice]:
    """Slices from the first to the last voxel, both included."""
    planes, rows, columns = (slice(a, b + 1) for a, b in zip(low, high, strict=True))
    return planes, rows, columns


def window(hu: NDArray[np.float32], window_hu: tuple[float, float]) -> NDArray[np.float32]:
    """Attenuation as 8-bit grey, floored, then 0..1."""
    low, high = window_hu
    grey: NDArray[np.float32] = np.floor(np.clip((hu - low) / (high - low), 0, 1) * GREY_LEVELS)
    return grey / np.float32(GREY_LEVELS)


def resize(values: NDArray[np.generic], shape: Index) -> NDArray[np.float32]:
    """Linear resampling with the outermost voxel centres kept in place."""
    rows, columns, planes = (np.linspace(0, values.shape[a] - 1, shape[a]) for a in (1, 2, 0))
    resized = np.empty((len(values), *shape[1:]), np.float32)
    for plane, out in zip(values, resized, strict=True):  # all at once would need much memory
        narrow = sample(plane.astype(np.float32)[None], rows, axis=1)
        out[:] = sample(narrow, columns, axis=2)[0]
    return sample(resized, planes, axis=0)


def sample(
    values: NDArray[np.float32], at: NDArray[np.float64], *, axis: int
) -> NDArray[np.float32]:
    """Linear interpolation along one axis at fractional indices, clamped to the array."""
    at = np.clip(at, 0, values.shape[axis] - 1)
    below = np.minimum(at.astype(np.intp), max(values.shape[axis] - 2, 0))
    above = np.minimum(below + 1, values.shape[axis] - 1)
    weight = (at - below).astype(np.float32).reshape([-1 if i == axis else 1 for i in range(3)])
    lower: NDArray[np.float32] = values.take(below, axis=axis)
    upper: NDArray[np.float32] = values.take(above, axis=axis)
    between: NDArray[np.float32] = lower + (upper - lower) * weight
    return between
