"""Measure localisation on opacities painted into real lungs.

``python -m pipeline.evaluation.localisation.painted --ct FOLDER ... --out FILE`` writes the table.

Real scans have noise, vessels and a pleura that phantoms lack, but nobody outlined their lesions
to the voxel. So opacities of known masks are painted into them, each by size, attenuation and
place, and looked for by the whole pipeline but for the lungs, which are those of the scan before.
What the pipeline finds in the scan itself, without the paint, does not count.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.cases.volumes import read_volume
from pipeline.classifier.activation import activation
from pipeline.classifier.input import network_input
from pipeline.classifier.score import classify
from pipeline.lesions.localise import dense_lung, localise
from pipeline.lungs import segment
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import BUNDLED
from pipeline.synthetic.disease.shapes import View, blob, flood
from pipeline.types import CtVolume, LungMask

DIAMETERS_MM = (6.0, 8.0, 10.0, 15.0, 25.0)
AIR_REPLACED: Mapping[str, float] = {"faint": 0.16, "ground glass": 0.35, "consolidation": 0.9}
"""Share of the air that fluid replaces: lung of -860 HU comes to -715, -545 and -55."""
INSIDE, AT_PLEURA = "inside", "at the pleura"
PLACES = (INSIDE, AT_PLEURA)
APART_MM = 25.0  #: between the surfaces of two painted opacities
WOBBLE = 0.1  #: of the radius, by which the surface wanders
EDGE = 0.25  #: of the radius, over which an opacity fades
LEVEL = 0.5  #: of its full share, from which a voxel is of the opacity
AROUND_MM = 8.0  #: around an opacity, within which what is found is taken for it
TRIES = 200  #: places drawn for one opacity

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Painted:
    """One opacity that was painted.

    Attributes
    ----------
    number
        Its label in the masks.
    attenuation
        A key of `AIR_REPLACED`.
    place
        One of `PLACES`.
    """

    number: int
    diameter_mm: float
    attenuation: str
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedScore:
    """One painted opacity, and what was found of it.

    Attributes
    ----------
    found
        Whether any voxel of it was marked.
    dice
        Overlap of the opacity and of what was marked within `AROUND_MM` of it; 0 if not found.
    volume_ratio
        Volume marked there over that painted.
    """

    case: str
    painted: Painted
    found: bool
    dice: float
    volume_ratio: float


def paint(
    volume: CtVolume, lungs: LungMask, attenuation: str, rng: np.random.Generator
) -> tuple[CtVolume, NDArray[np.uint8], tuple[Painted, ...]]:
    """Paint one opacity of each diameter at each place, as far as there is room.

    Returns
    -------
    tuple
        The painted volume; on its grid, labels of the opacities; and the opacities.
    """
    inside = lungs.labels > 0
    canvas = _Canvas(
        hu=volume.hu.astype(np.float32),
        labels=np.zeros(volume.shape, np.uint8),
        inside=inside,
        depth_mm=_depth_mm(inside, volume.spacing_mm),
        spacing_mm=volume.spacing_mm,
    )
    painted: list[Painted] = []
    for diameter in sorted(DIAMETERS_MM, reverse=True):
        for place in PLACES:
            number = len(painted) + 1
            opacity = Painted(
                number=number, diameter_mm=diameter, attenuation=attenuation, place=place
            )
            centre = canvas.place(opacity, rng)
            if centre is not None:
                canvas.add(opacity, centre, rng)
                painted.append(opacity)
    changed = replace(volume, hu=np.rint(canvas.hu).astype(np.int16))
    return changed, canvas.labels, tuple(painted)


def _depth_mm(inside: Mask, spacing_mm: Spacing) -> NDArray[np.float32]:
    """Distance to the surface of the lungs on every second row and column, mm."""
    z, y, x = spacing_mm
    depth: NDArray[np.float32] = ndimage.distance_transform_edt(
        inside[:, ::2, ::2], sampling=(z, 2 * y, 2 * x)
    )
    return depth


@dataclass(slots=True, kw_only=True, eq=False)
class _Canvas:
    """A volume that is painted in place."""

    hu: NDArray[np.float32]
    labels: NDArray[np.uint8]
    inside: Mask
    depth_mm: NDArray[np.float32]
    spacing_mm: Spacing
    taken: list[tuple[NDArray[np.float64], float]] = field(default_factory=list)

    def place(self, opacity: Painted, rng: np.random.Generator) -> NDArray[np.float64] | None:
        """Draw the voxel of its middle, apart from the others; None if there is no room."""
        radius, depth = opacity.diameter_mm / 2, self.depth_mm
        within = depth > radius + 2 if opacity.place == INSIDE else depth < radius / 2 + 1.5
        places = np.argwhere(within & (depth > 0)) * [1, 2, 2]
        for _ in range(TRIES if len(places) else 0):
            at: NDArray[np.float64] = places[int(rng.integers(len(places)))].astype(np.float64)
            if all(
                np.linalg.norm((at - other) * self.spacing_mm) > size + radius + APART_MM
                for other, size in self.taken
            ):
                return at
        return None

    def add(self, opacity: Painted, centre: NDArray[np.float64], rng: np.random.Generator) -> None:
        radius = opacity.diameter_mm / 2
        self.taken.append((centre, radius))
        view = View(
            hu=self.hu,
            lungs=self.hu,
            lesions=self.hu,
            depth_mm=self.hu,
            spacing_mm=self.spacing_mm,
        )
        part, level = blob(view, centre, radius * rng.uniform(0.85, 1.15, 3), rng, WOBBLE)
        share = np.clip((1 + EDGE / 2 - level) / EDGE, 0, 1) * self.inside[part]
        flood(self.hu[part], (AIR_REPLACED[opacity.attenuation] * share).astype(np.float32))
        self.labels[part][share >= LEVEL] = opacity.number


def score(
    case: str,
    painted: Sequence[Painted],
    truth: NDArray[np.uint8],
    found: Mask,
    before: Mask,
    spacing_mm: Spacing,
) -> Iterator[PaintedScore]:
    """Hold what is found against what was painted.

    Parameters
    ----------
    truth, found
        On one grid: labels of the opacities, and all that is marked.
    before
        What is marked without the paint.
    """
    margin = [int(AROUND_MM / mm) + 1 for mm in spacing_mm]
    places = ndimage.find_objects(truth)
    for opacity in painted:
        part = tuple(
            slice(max(0, span.start - more), span.stop + more)
            for span, more in zip(places[opacity.number - 1], margin, strict=True)
        )
        mask = truth[part] == opacity.number
        marked = found[part] & (mask | ~before[part])
        shared = int(np.count_nonzero(marked & mask))
        total, own = int(np.count_nonzero(marked)), int(np.count_nonzero(mask))
        yield PaintedScore(
            case=case,
            painted=opacity,
            found=shared > 0,
            dice=2 * shared / (total + own),
            volume_ratio=(total if shared else 0) / own,
        )


def found_in(volume: CtVolume, lungs: LungMask, models: Models) -> Mask:
    """Mark lesions as the pipeline does, whatever the score."""
    crop = network_input(volume, lungs, models.manifest.networks.classifier.input)
    heat = activation(classify(crop, models), crop, lungs.labels > 0)
    return localise(dense_lung(volume, lungs), lungs, heat).labels > 0


def score_case(
    case: str, volume: CtVolume, lungs: LungMask, models: Models, seeds: Sequence[int]
) -> Iterator[PaintedScore]:
    """Paint every attenuation once for each seed, and look for it."""
    before = found_in(volume, lungs, models)
    for seed in seeds:
        for attenuation in AIR_REPLACED:
            rng = np.random.default_rng([seed, list(AIR_REPLACED).index(attenuation)])
            changed, truth, painted = paint(volume, lungs, attenuation, rng)
            found = found_in(changed, lungs, models)
            yield from score(case, painted, truth, found, before, volume.spacing_mm)


def table(scores: Sequence[PaintedScore]) -> Iterator[str]:
    """Write a table in Markdown: a row for each attenuation and place, a column for each size."""
    yield "| painted | " + " | ".join(f"{mm:g} mm" for mm in DIAMETERS_MM) + " |"
    yield "|" + "---|" * (len(DIAMETERS_MM) + 1)
    for attenuation in AIR_REPLACED:
        for place in PLACES:
            own = [
                s
                for s in scores
                if (s.painted.attenuation, s.painted.place) == (attenuation, place)
            ]
            cells = (_cell([s for s in own if s.painted.diameter_mm == mm]) for mm in DIAMETERS_MM)
            yield f"| {attenuation}, {place} | " + " | ".join(cells) + " |"


def _cell(scores: Sequence[PaintedScore]) -> str:
    """Found of how many; of those found the medians of Dice and volume ratio."""
    found = [score for score in scores if score.found]
    if not found:
        return f"0/{len(scores)}"
    dice, ratio = (
        np.median([getattr(s, name) for s in found]) for name in ("dice", "volume_ratio")
    )
    return f"{len(found)}/{len(scores)}, {dice:.2f}, {ratio:.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path, nargs="+", required=True, help="folders of series")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the paint")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder")
    parser.add_argument("--out", type=Path, required=True, help="Markdown file to write")
    options = parser.parse_args(arguments)
    models = load(options.model, device_for("auto"))
    scores: list[PaintedScore] = []
    for folder in options.ct:
        volume = read_volume(folder)
        lungs = segment.segment(volume, models)
        scores += score_case(folder.name, volume, lungs, models, options.seeds)
    options.out.write_text("\n".join(table(scores)) + "\n")


if __name__ == "__main__":
    main()
