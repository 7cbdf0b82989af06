"""Make the classifier's input: the box of the lungs, resampled, windowed to 8 bits.

The network's grid and the volume's grid share their axes, so the way there and back is three
linear maps of indices, one per axis. Source: Wang et al. 2020 (see `pipeline.networks.decovnet`),
with a margin around the box and without its clipping of the lungs' bases and tops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pipeline.classifier.area_average import Places, cell_weights
from pipeline.errors import UnsuitableSeries
from pipeline.model.manifest import ClassifierInput
from pipeline.reasons import UnsuitableReason
from pipeline.types import CtVolume, LungMask

GREY_LEVELS = 255  #: the paper's networks saw 8-bit images; floor, as there
MAX_PLANES = 400  #: bounds memory (about 3 GB); 400 mm at 1 mm is beyond a long lung
MIN_PLANES = 2  #: the network halves the planes once
MASK_LEVEL = 0.5  #: an interpolated mask counts as lung from here on
STRETCHED, AVERAGES = 1, 2  #: ways of `ClassifierInput.sampling`; the second is `averaged_input`
CELL = (2, 8, 8)  #: planes, rows, columns of a cell of the feature map, as every network has it

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
        First and last source voxel ``(slice, row, column)`` of the box, both within it.
    source_shape
        Slices, rows, columns of the volume.
    ends
        Where the first and the last plane, row and column of the tensor lie, as fractional
        indices of source voxels; None where they lie on the centres of `low` and `high`.
    """

    tensor: NDArray[np.float32]
    low: Index
    high: Index
    source_shape: Index
    ends: tuple[Offsets, Offsets] | None = None

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
        low, high, last = self.low[axis], self.high[axis], self.grid_shape[axis] - 1
        if self.ends is None:
            return np.linspace(0, last, high - low + 1)
        begin, end = (place[axis] for place in self.ends)
        voxels = np.arange(low, high + 1, dtype=np.float64)
        return (voxels - begin) * (last / (end - begin))


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
    """Cut out the lungs and resample them for the classifier, in the way of ``spec.sampling``.

    A box that would need more than `MAX_PLANES` is squeezed into so many: all of the lung is
    seen, coarser along the body.

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
    if spec.sampling == AVERAGES:
        return averaged_input(volume.hu, lungs.labels > 0, volume.spacing_mm, spec)
    return _stretched_input(volume, lungs, spec)


def _stretched_input(volume: CtVolume, lungs: LungMask, spec: ClassifierInput) -> NetworkInput:
    """Stretch the box to the network's rows and columns.

    Planes lie ``spec.slice_mm`` apart, or as little more as it takes to end on the box's last
    slice; the first and last plane, row and column lie on the box's outermost voxels.
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


def averaged_input(
    hu: NDArray[np.int16], lungs: NDArray[np.bool_], spacing_mm: Offsets, spec: ClassifierInput
) -> NetworkInput:
    """Average the box of the lungs over square pixels, with as many of them as it takes.

    The cells of the feature map lie mirrored about the middle of the lungs, however large the box
    is: a wider margin or mask adds cells around them and moves none.

    Parameters
    ----------
    hu, lungs
        ``(slices, rows, columns)``; feet to head, to the back, to the patient's left.
    spacing_mm
        Of the voxels along each axis.
    spec
        Of sampling 2.

    Raises
    ------
    UnsuitableSeries
        ``no-lungs`` if the mask is empty.
    """
    places = averaged_places(lungs, spacing_mm, spec)
    steps = [float(at[1] - at[0]) for at in places]
    spans = [
        (max(0, int(np.ceil(at[0] - step / 2))), min(count - 1, int(at[-1] + step / 2)))
        for at, step, count in zip(places, steps, hu.shape, strict=True)
    ]
    (a, b, c), shape = spans, hu.shape
    low, high = (a[0], b[0], c[0]), (a[1], b[1], c[1])
    held = box(low, high)
    within = [at - first for at, first in zip(places, low, strict=True)]
    grey = window(cell_means(hu[held], within, steps, spec.window_hu), spec.window_hu)
    share = cell_means(lungs[held], within, steps)
    lung = (share >= MASK_LEVEL).astype(np.float32)
    return NetworkInput(
        tensor=np.stack([grey, lung])[np.newaxis],
        low=low,
        high=high,
        source_shape=(shape[0], shape[1], shape[2]),
        ends=(_three(at[0] for at in places), _three(at[-1] for at in places)),
    )


def averaged_places(
    lungs: NDArray[np.bool_], spacing_mm: Offsets, spec: ClassifierInput
) -> tuple[Places, Places, Places]:
    """Middles of planes, rows and columns of `averaged_input`, as fractional source indices."""
    if spec.pixel_mm is None:
        raise ValueError("a pixel size expected, got none")
    first, last = lung_box(lungs, spacing_mm, 0.0)
    cells_mm = (spec.slice_mm, spec.pixel_mm, spec.pixel_mm)
    places = []
    for axis, (stride, cell_mm) in enumerate(zip(CELL, cells_mm, strict=True)):
        extent_mm = (last[axis] - first[axis] + 1) * spacing_mm[axis] + 2 * spec.margin_mm
        cells = int(np.ceil(extent_mm / (stride * cell_mm)))
        count = stride * (cells + cells % 2)  # planes are pooled by twos
        if axis:  # rows and columns are taken every 8, beginning with the first
            count = mirrored_count(stride * cells)
        step = cell_mm / spacing_mm[axis]
        if axis == 0 and count > MAX_PLANES:
            step, count = step * count / MAX_PLANES, MAX_PLANES
        middle = (first[axis] + last[axis]) / 2
        places.append(middle + (np.arange(count) - (count - 1) / 2) * step)
    planes, rows, columns = places
    return planes, rows, columns


def _three(values: Iterable[float]) -> Offsets:
    z, y, x = map(float, values)
    return z, y, x


def mirrored_count(count: int) -> int:
    """Rows or columns, not fewer than those given, whose cells lie mirrored about the middle.

    A cell lies on every eighth from the first to the last, and there are as many on each side.
    """
    stride = CELL[-1]
    cells = -(-count // stride)
    return stride * (cells + 1 - cells % 2) + 1


def cell_means(
    values: NDArray[np.generic],
    places: Sequence[Places],
    steps: Sequence[float],
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> NDArray[np.float32]:
    """Mean over each cell of a grid.

    Parameters
    ----------
    values
        ``(slices, rows, columns)``.
    places
        Middles of its planes, rows and columns, as fractional indices of the values.
    steps
        Width of a cell along each axis, in voxels; one of less than a voxel counts as 1.
    limits
        Values beyond them count as these.
    """
    planes, rows, columns = (
        csr_array(cell_weights(count, at, step))  # a cell holds few of the voxels
        for count, at, step in zip(values.shape, places, steps, strict=True)
    )
    narrow = np.empty((len(values), len(places[1]), len(places[2])), np.float32)
    for plane, out in zip(values, narrow, strict=True):  # all at once would need much memory
        clipped = np.clip(plane.astype(np.float32), *limits)
        out[:] = (columns @ (rows @ clipped).T).T
    means: NDArray[np.float32] = planes @ narrow.reshape(len(narrow), -1)
    return means.reshape(-1, *narrow.shape[1:])


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
