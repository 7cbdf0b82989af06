"""Divide the lungs into lobes, and measure the opacities in each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.lobar_extent import BOUNDED_BY, Fissure, LobarExtent, Lobe, LobeExtent
from pipeline.lobes.blocks import LungBlocks, lung_blocks
from pipeline.lobes.surface import Surface, fitted
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, CtVolume, LungMask

Labels = NDArray[np.uint8]

APART_MM = 6.0  #: from the oblique fissure, within which its sheet is not the horizontal one
LOBES = tuple(Lobe)  #: label n is the n-th of them, from 1


def lobar_extent(volume: CtVolume, lungs: LungMask, lesion_labels: Labels) -> LobarExtent:
    """Measure the lobes whose fissures are seen.

    Parameters
    ----------
    volume, lungs, lesion_labels
        Canonical, on one grid.
    """
    if (lungs.labels == LUNG_OF_OPEN_SIDE).any():
        return LobarExtent(lobes=(), fissures=())
    extents: dict[Lobe, LobeExtent] = {}
    surfaces: list[Surface] = []
    for label in (RIGHT_LUNG, LEFT_LUNG):
        blocks = lung_blocks(volume, lungs, lesion_labels, label)
        if blocks is None:
            continue
        found = right_fissures(blocks) if label == RIGHT_LUNG else left_fissures(blocks)
        surfaces += found
        extents |= _measured(blocks, divided(blocks, found))
    evidence = tuple(surface.evidence for surface in surfaces)
    seen = {one.fissure for one in evidence if one.is_seen}
    return LobarExtent(
        lobes=tuple(
            extents[lobe] for lobe in Lobe if lobe in extents and seen >= set(BOUNDED_BY[lobe])
        ),
        fissures=evidence,
    )


def right_fissures(blocks: LungBlocks) -> tuple[Surface, ...]:
    """Fit the oblique fissure of the right lung and, where that is seen, the horizontal one."""
    oblique = fitted(blocks, Fissure.RIGHT_OBLIQUE)
    if not oblique.evidence.is_seen:
        return (oblique,)
    return oblique, horizontal_fissure(blocks, oblique)


def horizontal_fissure(blocks: LungBlocks, oblique: Surface) -> Surface:
    """Fit the horizontal fissure of the right lung, before the oblique one."""
    before = np.zeros(blocks.lung.shape, np.bool_)
    held = np.argwhere(blocks.lung > 0)
    before[tuple(held.T)] = oblique.above(blocks, held, APART_MM)
    return fitted(blocks, Fissure.RIGHT_HORIZONTAL, before)


def left_fissures(blocks: LungBlocks) -> tuple[Surface, ...]:
    """Fit the oblique fissure of the left lung."""
    return (fitted(blocks, Fissure.LEFT_OBLIQUE),)


def divided(blocks: LungBlocks, surfaces: tuple[Surface, ...]) -> Labels:
    """Label blocks with any lung by the number of the lobe in `LOBES`, from 1; 0 elsewhere.

    Without its horizontal fissure all that lies before the oblique one of the right lung is upper.
    """
    held = np.argwhere(blocks.lung > 0)
    oblique, *horizontal = surfaces
    right = oblique.evidence.fissure is Fissure.RIGHT_OBLIQUE
    upper, lower = (
        (Lobe.RIGHT_UPPER, Lobe.RIGHT_LOWER) if right else (Lobe.LEFT_UPPER, Lobe.LEFT_LOWER)
    )
    number = np.full(len(held), _number(upper), np.uint8)
    for surface in horizontal:
        number[~surface.above(blocks, held)] = _number(Lobe.RIGHT_MIDDLE)
    number[~oblique.above(blocks, held)] = _number(lower)
    labels = np.zeros(blocks.lung.shape, np.uint8)
    labels[tuple(held.T)] = number
    return labels


def _number(lobe: Lobe) -> int:
    return LOBES.index(lobe) + 1


def _measured(blocks: LungBlocks, labels: Labels) -> dict[Lobe, LobeExtent]:
    """Volumes of each lobe that has any, and of the opacities in it."""
    count = len(LOBES) + 1
    volumes = blocks.block_ml * np.bincount(labels.ravel(), blocks.lung.ravel(), count)
    opaque = blocks.block_ml * np.bincount(labels.ravel(), blocks.opaque.ravel(), count)
    return {
        lobe: LobeExtent(lobe=lobe, volume_ml=float(volume), opaque_ml=float(taken))
        for lobe, volume, taken in zip(LOBES, volumes[1:], opaque[1:], strict=True)
        if volume > 0
    }
