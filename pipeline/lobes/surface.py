"""Fit the surface of a fissure to sheets, and say how well it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.lobar_extent import Fissure, FissureEvidence
from pipeline.lobes.blocks import Floats, LungBlocks, Mask
from pipeline.lobes.frame import LEVEL_MM, STEP_MM, USUAL, USUAL_MM, Frame, frame_of
from pipeline.lobes.matching import cheapest_levels
from pipeline.lobes.sheets import EVERY, VESSEL_FROM, sheet_strengths, without_vessels

NOISE_PERCENT = (98.0, 99.7)
"""Of the strengths met in a lung: the first counts nothing, the second fully. Almost all places
hold no fissure, so this is the noise of the scan."""
VESSEL_COST = 0.5  #: of a surface through nothing but vessels, against 1 won by a full sheet
MOST_VESSELS = 0.5  #: share from which more cost no more
VESSELS_MM = (6.25, 6.25, 1.5)  #: standard deviations, over which vessels are counted
BEND_COST, MOST_BEND = 0.05, 6  #: of the first search, as of `cheapest_levels`
SMOOTH_DEGREE = 3  #: of the polynomial through what the first search finds
BEND_PRICE = (0.0, 1.0, 3.0, 10.0)  #: of a term of each degree of it, relative
NEAR_MM = 12.5  #: to either side of the polynomial, where the second search looks
NEAR_COST, NEAR_FROM_MM = 0.1, 5.0
NEAR_BEND_COST, NEAR_MOST_BEND = 0.1, 3
SMOOTH_MM = 7.5  #: standard deviation over which the surface is smoothed, by its evidence
LEAST_WEIGHT = 0.02  #: of what has no evidence
OUTLIER_MM = 3.0  #: from the smooth surface
SEEN = 0.25  #: of a full sheet, within `SEEN_WITHIN` levels of the surface
SEEN_WITHIN = 2
BESIDE_MM = (10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0)  #: parallel surfaces to compare with
ON_IT = np.zeros(1, np.float32)  #: the step to a surface itself
LEAST_COLUMNS = 60  #: on a parallel surface, to be compared with


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """Surface of a fissure: heights ``(across, along)`` in its frame, mm, and its evidence."""

    frame: Frame
    heights_mm: Floats
    evidence: FissureEvidence

    def above(self, blocks: LungBlocks, indices: NDArray[np.intp], by_mm: float = 0.0) -> Mask:
        """Say of blocks ``(n, 3)`` whether they lie above (and before) the surface, by so much."""
        places = blocks.first_mm + indices * blocks.spacing_mm
        above: Mask = self.frame.above_mm(self.heights_mm, places) > by_mm
        return above


def fitted(blocks: LungBlocks, fissure: Fissure, within: Mask | None = None) -> Surface:
    """Fit a fissure.

    Parameters
    ----------
    within
        Blocks between which it lies; None for the whole lung.
    """
    wide = frame_of(blocks, USUAL[fissure])
    hu, weight, vessels = without_vessels(blocks, wide)
    frame = wide.thinned(EVERY)
    region = blocks.lung if within is None else blocks.lung * within
    inside = wide.sampled(region, blocks)[::EVERY, ::EVERY] > 0.5
    sheets = _graded(sheet_strengths(hu, weight), inside)
    cost = np.where(inside, VESSEL_COST * _vessel_share(vessels, weight) - sheets, 0)
    heights = _searched(cost.astype(np.float32), sheets, inside, frame, USUAL[fissure].cost)
    seen, contrast = _evidence(sheets, inside, heights, frame)
    return Surface(
        frame=frame,
        heights_mm=heights,
        evidence=FissureEvidence(fissure=fissure, seen=seen, contrast=contrast),
    )


def _graded(strengths: Sequence[Floats], inside: Mask) -> Floats:
    """Grade sheets from 0 to 1 by the noise of the scan, at the width where they stand out most."""
    graded = np.zeros(inside.shape, np.float32)
    for strength in strengths:
        met = strength[inside & (strength > 0)]
        if met.size:
            noise, full = np.percentile(met, NOISE_PERCENT)
            grade = np.clip((strength - noise) / max(full - noise, 1e-6), 0, 1)
            np.maximum(graded, grade, out=graded, where=inside)
    return graded


def _vessel_share(vessels: Floats, weight: Floats) -> Floats:
    """Share of vessels about each second column, up to `MOST_VESSELS`."""
    lung = ((weight > 0) | (vessels >= VESSEL_FROM)).astype(np.float32)
    sigma = [mm / step for mm, step in zip(VESSELS_MM, (STEP_MM, STEP_MM, LEVEL_MM), strict=True)]
    held = ndimage.gaussian_filter(lung, sigma)
    share = ndimage.gaussian_filter(vessels * lung, sigma) / np.maximum(held, 0.05)
    thinned: Floats = np.minimum(share * lung, MOST_VESSELS)[::EVERY, ::EVERY]
    return thinned


def _searched(
    cost: Floats, sheets: Floats, inside: Mask, frame: Frame, usual_cost: float
) -> Floats:
    """Heights of the surface: a wide search, a polynomial, a search near it, and smoothing."""
    levels = frame.heights_mm
    off = (levels[None, None] - frame.usual_mm[..., None]) / USUAL_MM
    first = levels[cheapest_levels(cost + usual_cost * off**2, BEND_COST, MOST_BEND)]
    wide = ndimage.maximum_filter1d(np.where(inside, sheets, 0), 3, axis=2)
    found = _along(wide, first, ON_IT, levels)[..., 0]
    smooth = _polynomial(first, found, frame)
    steps = np.arange(-NEAR_MM, NEAR_MM + LEVEL_MM / 2, LEVEL_MM, dtype=np.float32)
    near = _along(cost, smooth, steps, levels) + NEAR_COST * (steps / NEAR_FROM_MM) ** 2
    second = smooth + steps[cheapest_levels(near, NEAR_BEND_COST, NEAR_MOST_BEND)]
    found = _along(wide, second, ON_IT, levels)[..., 0] + LEAST_WEIGHT
    return _smoothed(second - smooth, found, frame) + smooth


def _along(values: Floats, heights: Floats, steps: Floats, levels: Floats) -> Floats:
    """Values at steps above a surface, ``(across, along, steps)``, the nearest level of each."""
    level = np.rint((heights[..., None] + steps - levels[0]) / LEVEL_MM).astype(np.intp)
    across, along = np.ogrid[: heights.shape[0], : heights.shape[1]]
    taken: Floats = values[across[..., None], along[..., None], np.clip(level, 0, len(levels) - 1)]
    return taken


def _polynomial(heights: Floats, weight: Floats, frame: Frame) -> Floats:
    """Polynomial through heights, about the usual plane; outliers count little."""
    across, along = (np.linspace(-1, 1, count) for count in heights.shape)
    terms = [(i, j) for i in range(SMOOTH_DEGREE + 1) for j in range(SMOOTH_DEGREE + 1 - i)]
    basis = np.stack([np.outer(across**i, along**j).ravel() for i, j in terms], axis=1)
    off = (heights - frame.usual_mm).ravel().astype(np.float64)
    known = weight.ravel() + 0.003
    price = np.diag([2e-5 * off.size * BEND_PRICE[i + j] for i, j in terms])
    trust = known
    for _ in range(6):
        weighted = basis * trust[:, None]
        terms_found = np.linalg.solve(basis.T @ weighted + price, weighted.T @ off)
        trust = known / (1 + ((off - basis @ terms_found) / 4) ** 2)
    surface: Floats = frame.usual_mm + (basis @ terms_found).reshape(heights.shape)
    return surface.astype(np.float32)


def _smoothed(off: Floats, weight: Floats, frame: Frame) -> Floats:
    sigma = SMOOTH_MM / frame.step_mm
    trust = weight
    for _ in range(3):
        held = np.maximum(ndimage.gaussian_filter(trust, sigma), 1e-9)
        smooth: Floats = ndimage.gaussian_filter(off * trust, sigma) / held
        trust = weight * np.exp(-0.5 * ((off - smooth) / OUTLIER_MM) ** 2) + 2e-5
    return smooth


def _evidence(sheets: Floats, inside: Mask, heights: Floats, frame: Frame) -> tuple[float, float]:
    """Share of the surface on a sheet, and how it stands out from surfaces parallel to it."""
    levels = frame.heights_mm
    near = ndimage.maximum_filter1d(sheets, 2 * SEEN_WITHIN + 1, axis=2)
    beside = np.array([side * mm for mm in BESIDE_MM for side in (-1, 1)])
    steps = np.array([0.0, *beside], np.float32)
    grades = _along(near, heights, steps, levels)
    held = _along(inside.astype(np.float32), heights, steps, levels) > 0
    counts = held.sum(axis=(0, 1))
    if not counts[0]:
        return 0.0, 0.0
    means = (grades * held).sum(axis=(0, 1)) / np.maximum(counts, 1)
    compared = means[1:][counts[1:] >= LEAST_COLUMNS]
    seen = float((grades[..., 0][held[..., 0]] > SEEN).mean())
    return seen, float(means[0] / (compared.mean() + 0.01)) if compared.size else 0.0
