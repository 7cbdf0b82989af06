"""Measure acquisition properties on pixels: spacing, noise, kernel, contrast medium, extent.

Pixels do not depend on what a vendor calls a kernel, and they tell of contrast medium that the
header forgot. Noise is measured where tissue is flat: in the quietest patches of soft tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Spacing
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG

PATCH_MM = 11.0  #: side of a patch: holds the lowest frequencies of noise that matter
PATCH_PIXELS = (8, 32)
NOISE_PATCH_HU = (-50.0, 250.0)
"""HU; mean of a patch of soft tissue: muscle, blood with and without contrast medium (our
choice)."""
QUIET_SHARE = 0.25  #: the quietest patches are flat tissue, the others have edges
MIN_PATCHES = 20
LOOKED_AT = 24  #: slices, evenly over the lungs: enough for every figure

AIR_MAX_HU = -900.0  #: HU; lung that is not emphysematous lies above (our choice)
MIN_AIR_VOXELS = 500

HEART_HEIGHT = (0.3, 0.75)  #: of the lungs, from below: heart and great vessels
HEART_DEPTH = (0.2, 0.6)  #: of the lungs, from the front: before the spine
BESIDE_LUNG_MM = 2.1  #: from a lung that is left out
BLOOD_BLOCK_MM = 4.0  #: averaging over so much leaves little noise
MEDIASTINUM_BLOOD_HU = (-20.0, 700.0)  #: HU; neither fat nor metal (our choice)
BLOOD_PERCENTILE = 75  #: fat and muscle lie below the blood when contrast medium is in it

Floats = NDArray[np.float32]
Labels = NDArray[np.uint8]
PixelMm = tuple[float, float]  #: distance between rows, and between columns


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionFacts:
    """Figures of a scan; NaN where the picture does not allow to measure one.

    Attributes
    ----------
    slice_mm, pixel_mm
        Distance between slices; mean distance between rows and between columns.
    noise_hu
        Standard deviation in flat soft tissue.
    noise_frequency
        Mean spatial frequency of that noise in the plane, 1/mm: high for sharp kernels
        (the mean of the noise power spectrum, as in AAPM TG-233, section 3.2).
    soft_tissue_hu
        Median of flat soft tissue.
    mediastinum_hu
        Upper quartile between the lungs, before the spine: 40 to 60 without contrast medium.
    cut
        Area of a lung on the first or last slice, over its largest, of the lung that has more of
        it: 0 if the lungs are whole.
    """

    slice_mm: float
    pixel_mm: float
    noise_hu: float
    noise_frequency: float
    soft_tissue_hu: float
    mediastinum_hu: float
    cut: float


def facts_of(hu: NDArray[np.int16], labels: Labels, spacing_mm: Spacing) -> AcquisitionFacts:
    """Measure a canonical volume ``(slices, rows, columns)`` with its lungs, not empty."""
    areas = np.count_nonzero(labels, axis=(1, 2))
    held = np.flatnonzero(areas)
    chosen = np.unique(np.linspace(held[0], held[-1], LOOKED_AT).astype(int))
    pixel_mm = (spacing_mm[1] + spacing_mm[2]) / 2
    noise_hu, noise_frequency, soft_tissue_hu = _noise(hu[chosen], spacing_mm[1:])
    return AcquisitionFacts(
        slice_mm=spacing_mm[0],
        pixel_mm=pixel_mm,
        noise_hu=noise_hu,
        noise_frequency=noise_frequency,
        soft_tissue_hu=soft_tissue_hu,
        mediastinum_hu=_mediastinum(hu, labels, held, spacing_mm[1:]),
        cut=max(_cut(labels == lung) for lung in (RIGHT_LUNG, LEFT_LUNG, LUNG_OF_OPEN_SIDE)),
    )


def air_hu(hu: NDArray[np.int16], labels: Labels) -> float:
    """Median of the air outside the lungs, HU; NaN where there is too little.

    What has the lowest value of the picture is left out: padding, and air that was cut off there.
    """
    held = np.flatnonzero(np.count_nonzero(labels, axis=(1, 2)))
    chosen = np.unique(np.linspace(held[0], held[-1], LOOKED_AT).astype(int))
    planes, outside = hu[chosen], labels[chosen] == 0
    air = planes[outside & (planes < AIR_MAX_HU) & (planes > planes.min())]
    return float(np.median(air)) if air.size >= MIN_AIR_VOXELS else float("nan")


def _cut(lung: NDArray[np.bool_]) -> float:
    areas = np.count_nonzero(lung, axis=(1, 2))
    return float(max(areas[0], areas[-1]) / max(1, areas.max()))


def _noise(hu: NDArray[np.int16], pixel_mm: PixelMm) -> tuple[float, float, float]:
    """Give standard deviation, HU; mean frequency, 1/mm; median, HU: of flat soft tissue."""
    height, width = (int(np.clip(round(PATCH_MM / mm), *PATCH_PIXELS)) for mm in pixel_mm)
    patches = tiles(hu.astype(np.float32), (height, width))
    means = patches.mean(axis=(1, 2))
    soft = (means > NOISE_PATCH_HU[0]) & (means < NOISE_PATCH_HU[1])
    if np.count_nonzero(soft) * QUIET_SHARE < MIN_PATCHES:
        return float("nan"), float("nan"), float("nan")
    rough = _without_slope(patches[soft])
    deviations = rough.std(axis=(1, 2))
    quiet = deviations <= np.quantile(deviations, QUIET_SHARE)
    return (
        float(np.median(deviations[quiet])),
        _mean_frequency(rough[quiet], pixel_mm),
        float(np.median(means[soft][quiet])),
    )


def tiles(planes: Floats, size: tuple[int, int]) -> Floats:
    """Cut planes ``(N, rows, columns)`` into tiles ``(M, *size)``; a remainder is left."""
    height, width = size
    count, rows, columns = planes.shape[0], planes.shape[1] // height, planes.shape[2] // width
    whole = planes[:, : rows * height, : columns * width]
    cut = whole.reshape(count, rows, height, columns, width).swapaxes(2, 3)
    return cut.reshape(-1, height, width)


def _without_slope(patches: Floats) -> Floats:
    """Patches less their mean and their slope along both axes: tissue is flat only nearly."""
    ramps = (np.linspace(-1, 1, side, dtype=np.float32) for side in patches.shape[1:])
    y, x = np.meshgrid(*ramps, indexing="ij")
    planes = np.stack([np.ones_like(x), y, x]).reshape(3, -1)
    planes /= np.sqrt(np.square(planes).sum(axis=1, keepdims=True))
    flat = patches.reshape(len(patches), -1)
    rest = np.asarray(flat - (flat @ planes.T) @ planes, np.float32)
    return rest.reshape(patches.shape)


def _mean_frequency(noise: Floats, pixel_mm: PixelMm) -> float:
    """Mean of the noise power spectrum up to the lower Nyquist frequency, 1/mm; 0 without noise."""
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
    down, across = (np.fft.fftfreq(n, mm) for n, mm in zip(noise.shape[1:], pixel_mm, strict=True))
    frequency = np.hypot(down[:, None], across)
    power[frequency > 0.5 / max(pixel_mm)] = 0
    total = float(power.sum())
    return float((frequency * power).sum()) / total if total > 0 else 0.0


def _mediastinum(
    hu: NDArray[np.int16], labels: Labels, held: NDArray[np.intp], pixel_mm: PixelMm
) -> float:
    """Upper quartile of attenuation at the height of the heart, HU."""
    low, high = (held[0] + share * (held[-1] - held[0]) for share in HEART_HEIGHT)
    chosen = np.unique(np.linspace(low, high, LOOKED_AT).astype(int))
    beside = round(BESIDE_LUNG_MM / pixel_mm[1])
    between = np.stack([_between_lungs(labels[index], beside) for index in chosen])
    height, width = (max(1, round(BLOOD_BLOCK_MM / mm)) for mm in pixel_mm)
    within = tiles(between.astype(np.float32), (height, width)).all(axis=(1, 2))
    blood = tiles(hu[chosen].astype(np.float32), (height, width))[within].mean(axis=(1, 2))
    blood = blood[(blood > MEDIASTINUM_BLOOD_HU[0]) & (blood < MEDIASTINUM_BLOOD_HU[1])]
    return float(np.percentile(blood, BLOOD_PERCENTILE)) if len(blood) >= MIN_PATCHES else np.nan


def _between_lungs(labels: Labels, beside: int) -> NDArray[np.bool_]:
    """Pixels ``(rows, columns)`` of the mediastinum in front of the spine.

    The right lung lies at the lower columns: the volume is canonical.
    """
    columns = np.arange(labels.shape[1])
    right, left = labels == RIGHT_LUNG, labels == LEFT_LUNG
    rows = np.flatnonzero(right.any(axis=1) & left.any(axis=1))
    inside = np.zeros(labels.shape, np.bool_)
    if len(rows):
        lungs = np.flatnonzero((labels > 0).any(axis=1))
        front, back = lungs[0] + np.array(HEART_DEPTH) * (lungs[-1] - lungs[0])
        rows = rows[(rows >= front) & (rows <= back)]
        first = (right[rows] * columns).max(axis=1) + beside
        last = np.where(left[rows], columns, len(columns)).min(axis=1) - beside
        inside[rows] = (columns > first[:, None]) & (columns < last[:, None])
    return inside
