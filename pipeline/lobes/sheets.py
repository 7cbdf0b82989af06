"""Strength of thin bright sheets, tilted by any angle up to 40 degrees to the usual plane.

A fissure is brighter than the lung on both of its sides by 20 to 50 HU, less than the noise of a
voxel. So the lung is averaged over discs of some 25 mm across in many tilts, vessels left out, and
the mean of a disc is compared with those of the discs on both sides of it: a matched filter.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.lobes.blocks import Floats, LungBlocks, Mask
from pipeline.lobes.frame import LEVEL_MM, STEP_MM, Frame

DISC_MM = 12.5  #: standard deviation of the disc's weight
DISC_REACH = 2  #: standard deviations at which it ends
TILT_STEP = 0.2  #: between neighbouring tilts: height over way
MAX_TILT = 0.8
EVERY = 2  #: of the columns are looked at
BESIDE_MM = (3.75, 6.25)  #: from the sheet, where it must be darker: of thin and of blurred ones
BLURRED_FROM = 4  #: levels beside a sheet, from which it is a blurred one
MIN_SHARE = 0.3  #: of the disc must be lung without vessels
TINY = np.float32(1e-3)  #: in place of no weight at all
WHOLE = 0.9  #: share of lung from which a block is not partial volume of its surface
VESSEL_FROM = 0.4  #: share of vessels from which a place is one
VESSEL_ABOVE_HU = 110.0  #: over the median of the lung
RANGE_HU = (-100.0, 70.0)  #: about the median: what lies beyond is no brighter a sheet for it


def without_vessels(blocks: LungBlocks, frame: Frame) -> tuple[Floats, Floats, Floats]:
    """Sample attenuation about the median, the weight of each place, and its share of vessels."""
    whole = blocks.lung > WHOLE
    median = np.median(blocks.hu[whole])
    vessels = frame.sampled(whole & (blocks.hu > median + VESSEL_ABOVE_HU), blocks)
    lung = frame.sampled(blocks.lung, blocks)
    hu = np.clip(frame.sampled(blocks.hu - median, blocks), *RANGE_HU)
    weight = ((lung > WHOLE) & (vessels < VESSEL_FROM)).astype(np.float32)
    return hu, weight, vessels


def sheet_strengths(hu: Floats, weight: Floats) -> tuple[Floats, ...]:
    """Largest excess over all tilts at every second column, HU; for each of `BESIDE_MM`."""
    strongest: tuple[Floats, ...] = ()
    for mean, enough in _discs(hu, weight):
        if not strongest:
            strongest = tuple(np.zeros_like(mean) for _ in BESIDE_MM)
        for strength, beside_mm in zip(strongest, BESIDE_MM, strict=True):
            _raise(strength, mean, enough, round(beside_mm / LEVEL_MM))
    return strongest


def _discs(hu: Floats, weight: Floats) -> Iterator[tuple[Floats, Mask]]:
    """Mean of the disc about each place, and where enough of it is lung; tilt by tilt."""
    sigma = DISC_MM / STEP_MM
    reach = int(DISC_REACH * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    count = round(MAX_TILT / TILT_STEP)
    tilts = TILT_STEP * np.arange(-count, count + 1)
    least = MIN_SHARE * kernel.sum() ** 2
    for across in tilts:
        part = _sheared_sum(hu * weight, 0, across, kernel)
        held = _sheared_sum(weight, 0, across, kernel)
        for along in tilts[np.hypot(across, tilts) <= MAX_TILT + TILT_STEP / 4]:
            share = _sheared_sum(held, 1, along, kernel)
            mean = _sheared_sum(part, 1, along, kernel)
            mean /= np.maximum(share, TINY)
            yield mean, share > least


def _sheared_sum(values: Floats, axis: int, tilt: float, kernel: Floats) -> Floats:
    """Weighted sum along an axis whose heights rise by a tilt, at every second column."""
    reach = len(kernel) // 2
    source = np.moveaxis(values, axis, 0)
    columns, levels = len(source), source.shape[2]
    summed = np.zeros((-(-columns // EVERY), *source.shape[1:]), np.float32)
    for offset, weight in zip(range(-reach, reach + 1), kernel, strict=True):
        first = -(-max(0, -offset) // EVERY)
        last = (min(columns, columns - offset) - 1) // EVERY + 1
        rise = round(tilt * offset * STEP_MM / LEVEL_MM)
        if first >= last or abs(rise) >= levels:
            continue
        taken = source[first * EVERY + offset : (last - 1) * EVERY + offset + 1 : EVERY]
        upper, lower = max(0, rise), max(0, -rise)
        summed[first:last, :, lower : levels - upper] += (
            weight * taken[:, :, upper : levels - lower]
        )
    return np.moveaxis(summed, 0, axis)


def _raise(strength: Floats, mean: Floats, enough: Mask, beside: int) -> None:
    """Raise the strength where a disc exceeds those so many levels to either side.

    On the sheet three levels are averaged, of a thin sheet with more weight on the middle one.
    """
    inner = slice(beside + 1, -beside - 1)
    near = mean[..., beside + 2 : -beside] + mean[..., beside : -beside - 2]
    of_middle = 2 if beside < BLURRED_FROM else 1
    sheet = (of_middle * mean[..., inner] + near) / (of_middle + 2)
    pair = (mean[..., 1:] + mean[..., :-1]) / 2
    above, below = pair[..., 2 * beside + 1 :], pair[..., : -2 * beside - 1]
    excess = sheet - np.maximum(above, below)
    sides = enough[..., 2 * beside + 2 :] & enough[..., : -2 * beside - 2]
    excess[~(enough[..., inner] & sides)] = 0
    np.maximum(strength[..., inner], excess, out=strength[..., inner])
