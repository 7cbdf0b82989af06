"""Measure how well fissures are seen, and compare lobes with those of another program.

``python -m pipeline.evaluation.lobes --ct FOLDER ... [--reference FILE] --out FILE`` writes the
tables. The reference belongs to the only series: a NIfTI file, 1 left upper, 2 left lower, 3 right
upper, 4 right middle, 5 right lower lobe. Surfaces are compared whether or not they count as seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cases.volumes import read_mask, read_volume
from pipeline.lobar_extent import Fissure, FissureEvidence, Lobe
from pipeline.lobes.blocks import LungBlocks, lung_blocks
from pipeline.lobes.divide import LOBES, divided, horizontal_fissure, left_fissures
from pipeline.lobes.surface import Surface, fitted
from pipeline.lungs import segment
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import BUNDLED
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume, LungMask

Labels = NDArray[np.uint8]

REFERENCE: tuple[Lobe, ...] = (
    Lobe.LEFT_UPPER,
    Lobe.LEFT_LOWER,
    Lobe.RIGHT_UPPER,
    Lobe.RIGHT_MIDDLE,
    Lobe.RIGHT_LOWER,
)
"""Lobes in the order of the reference's labels, from 1."""
BETWEEN: Mapping[Fissure, tuple[tuple[Lobe, ...], tuple[Lobe, ...]]] = {
    Fissure.RIGHT_OBLIQUE: ((Lobe.RIGHT_UPPER, Lobe.RIGHT_MIDDLE), (Lobe.RIGHT_LOWER,)),
    Fissure.RIGHT_HORIZONTAL: ((Lobe.RIGHT_UPPER,), (Lobe.RIGHT_MIDDLE,)),
    Fissure.LEFT_OBLIQUE: ((Lobe.LEFT_UPPER,), (Lobe.LEFT_LOWER,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lung:
    """One lung with the surfaces that divide it."""

    blocks: LungBlocks
    surfaces: tuple[Surface, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement with a reference: Dice of each lobe, mean distance of each fissure, mm."""

    dice: Mapping[Lobe, float]
    distance_mm: Mapping[Fissure, float]


def divided_lungs(volume: CtVolume, lungs: LungMask) -> tuple[Lung, ...]:
    """Fit all fissures of a canonical volume, seen or not."""
    found = []
    for label in (RIGHT_LUNG, LEFT_LUNG):
        blocks = lung_blocks(volume, lungs, np.zeros(volume.shape, np.uint8), label)
        if blocks is None:
            continue
        surfaces = left_fissures(blocks)
        if label == RIGHT_LUNG:
            oblique = fitted(blocks, Fissure.RIGHT_OBLIQUE)
            surfaces = (oblique, horizontal_fissure(blocks, oblique))
        found.append(Lung(blocks=blocks, surfaces=surfaces))
    return tuple(found)


def agreement(lungs: tuple[Lung, ...], reference: Labels, volume: CtVolume) -> Agreement:
    """Compare with a reference on the grid of the volume, labelled as `REFERENCE`."""
    dice: dict[Lobe, float] = {}
    distance: dict[Fissure, float] = {}
    spacing = np.array(volume.spacing_mm)
    for lung in lungs:
        dice |= dict(_dice(lung, reference, spacing))
        for surface in lung.surfaces:
            fissure = surface.evidence.fissure
            places = _fissure_places(reference, *BETWEEN[fissure]) * spacing
            if len(places):
                above = surface.frame.above_mm(surface.heights_mm, places)
                distance[fissure] = float(np.abs(above).mean())
    return Agreement(dice=dice, distance_mm=distance)


def _dice(
    lung: Lung, reference: Labels, spacing: NDArray[np.float64]
) -> Iterator[tuple[Lobe, float]]:
    """Dice of each lobe over the blocks, each taken by its share of lung."""
    blocks = lung.blocks
    labels = divided(blocks, lung.surfaces)
    held = np.argwhere(labels > 0)
    voxel = np.rint((blocks.first_mm + held * blocks.spacing_mm) / spacing).astype(np.intp)
    there = reference[tuple(np.minimum(voxel, np.array(reference.shape) - 1).T)]
    here, weight = labels[tuple(held.T)], blocks.lung[tuple(held.T)]
    for number in np.unique(here):
        lobe = LOBES[number - 1]
        ours, theirs = here == number, there == REFERENCE.index(lobe) + 1
        both = weight[ours & theirs].sum()
        yield lobe, float(2 * both / (weight[ours & (there > 0)].sum() + weight[theirs].sum()))


def _fissure_places(
    reference: Labels, upper: tuple[Lobe, ...], lower: tuple[Lobe, ...]
) -> NDArray[np.float64]:
    """Find the indices ``(n, 3)`` halfway between neighbouring voxels of two lobes."""
    one, other = (
        np.isin(reference, [REFERENCE.index(lobe) + 1 for lobe in lobes])
        for lobes in (upper, lower)
    )
    places = []
    for axis in range(3):
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        for a, b in ((one, other), (other, one)):
            found = np.argwhere(a[tuple(first)] & b[tuple(second)]).astype(np.float64)
            found[:, axis] += 0.5
            places.append(found)
    return np.concatenate(places)


def evidence_row(name: str, found: FissureEvidence) -> str:
    """Row of the table of fissures."""
    seen = "yes" if found.is_seen else "no"
    return f"| {name} | {found.fissure} | {found.seen:.2f} | {found.contrast:.1f} | {seen} |"


def table(volume: CtVolume, models: Models, name: str, reference: Path | None) -> Iterator[str]:
    """Rows of one series: its fissures, then how they agree with a reference."""
    lungs = divided_lungs(volume, segment.segment(volume, models))
    for lung in lungs:
        yield from (evidence_row(name, surface.evidence) for surface in lung.surfaces)
    if reference is not None:
        found = agreement(lungs, read_mask(reference, volume), volume)
        yield from ("", "| | |", "|---|---|")
        yield from (f"| Dice, {lobe} | {dice:.2f} |" for lobe, dice in found.dice.items())
        yield from (
            f"| mean distance, {fissure} | {mm:.1f} mm |"
            for fissure, mm in found.distance_mm.items()
        )


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path, nargs="+", required=True, help="folders, one a series")
    parser.add_argument("--reference", type=Path, help="lobes of another program, NIfTI")
    parser.add_argument("--out", type=Path, required=True, help="file for the tables")
    given = parser.parse_args()
    if given.reference and len(given.ct) != 1:
        parser.error(f"a reference is of one series, got {len(given.ct)}")
    models = load(BUNDLED, device_for("cpu"))
    lines = ["| series | fissure | share on a sheet | contrast | seen |", "|---|---|---|---|---|"]
    for number, folder in enumerate(given.ct, start=1):
        lines += table(read_volume(folder), models, str(number), given.reference)
    given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
