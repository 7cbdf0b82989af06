"""Compare methods of lung segmentation: ``python -m pipeline.evaluation.lungs --ct CT --out FILE``.

For each CT: how far the methods overlap one another; with a mask drawn by others, how far each
overlaps it; and where readers noted which slices are infected, the share of the dense lung there
that each keeps (`covered`). With ``--painted``, also how far each overlaps the drawn masks when a
part of a lung has been made solid.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from pipeline.cases.slice_labels import read_slice_labels, slices_of
from pipeline.cases.volumes import read_mask, read_volume
from pipeline.lungs.coarse_grid import Coarse, Mask, Spacing, box_of, coarsen, on_coarse, refine
from pipeline.lungs.gates import dice
from pipeline.lungs.liao import segment_liao
from pipeline.lungs.midline import middle_of_body
from pipeline.lungs.segment import candidates, choose_method, segment
from pipeline.lungs.unet import segment_unet
from pipeline.model.loading import Models, device_for, load
from pipeline.model.manifest import BUNDLED
from pipeline.synthetic.disease.other_disease import paint_lobar_consolidation
from pipeline.synthetic.disease.shapes import View
from pipeline.types import CtVolume

LIAO = "liao"
SCORED_AERATED_MAX_HU = -500  #: below: lung that holds air
SCORED_DENSE_HU = (-700, -200)  #: ground glass, and consolidation with air left; above is fat, too
VESSEL_MM = 3.0  #: half width of what the opening removes: vessels, partial volume
LATERAL_SHARE = 0.35  #: of the half width of the lungs: nearer to the midline are hila and fat
CT, LUNGS, LABELS, LOBES = "-ct.nii.gz", "-lungs.nii.gz", "-labels.csv", "-lobes.nii.gz"
SOLID_MIN_HU = -150  #: above: painted lung that holds no air
SOLID_SHARE = (0.1, 0.5)  #: of a lung: what is painted beyond is another test


@dataclass(frozen=True, slots=True, kw_only=True)
class LungScore:
    """One CT.

    Attributes
    ----------
    chosen, doubts
        Method that the gates chose, and the codes of what they doubt.
    overlap
        Dice of each two methods.
    drawn, drawn_aerated
        Dice of each method with the mask drawn by others: whole, and below `SCORED_AERATED_MAX_HU`.
    covered
        Share of the dense lung on infected slices that each method keeps; see `covered`.
    dense_ml
        Volume of that dense lung, ml.
    """

    case: str
    chosen: str
    doubts: tuple[str, ...]
    overlap: Mapping[str, float]
    drawn: Mapping[str, float]
    drawn_aerated: Mapping[str, float]
    covered: Mapping[str, float]
    dense_ml: float


def score(
    case: str,
    volume: CtVolume,
    models: Models,
    *,
    drawn: Mask | None = None,
    infected: NDArray[np.intp] | None = None,
) -> LungScore:
    """Find the lungs by every method, on the coarse grid, and compare.

    Parameters
    ----------
    drawn
        Mask drawn by others, on the grid of the volume.
    infected
        Slices of the volume that readers noted as infected.
    """
    coarse = coarsen(volume.hu, volume.spacing_mm)
    seen = models.manifest.networks.lungs.input
    fine = segment_unet(volume.hu, models.lungs, seen, pixel_mm=volume.spacing_mm[1:])
    found = candidates(on_coarse(fine, coarse), coarse)
    chosen, doubts = choose_method(found, coarse)
    masks = {name: labels > 0 for name, labels in found.items()}
    masks[LIAO] = segment_liao(coarse.hu, coarse.spacing_mm)
    aerated = coarse.hu < SCORED_AERATED_MAX_HU
    truth = None if drawn is None else on_coarse(drawn, coarse)
    dense = np.zeros(aerated.shape, bool)
    if infected is not None:
        at = np.unique(infected // coarse.factors[0])
        dense[at] = dense_lung(found, masks[LIAO], coarse)[at]
    return LungScore(
        case=case,
        chosen=chosen,
        doubts=tuple(doubt.code for doubt in doubts),
        overlap={f"{a}, {b}": dice(masks[a], masks[b]) for a, b in combinations(masks, 2)},
        drawn={} if truth is None else {name: dice(m, truth) for name, m in masks.items()},
        drawn_aerated={}
        if truth is None
        else {name: dice(m & aerated, truth & aerated) for name, m in masks.items()},
        covered={name: float(m[dense].mean()) for name, m in masks.items()} if dense.any() else {},
        dense_ml=float(dense.sum() * np.prod(coarse.spacing_mm)) / 1000,
    )


def dense_lung(found: Mapping[str, NDArray[np.uint8]], other: Mask, coarse: Coarse) -> Mask:
    """Dense voxels where lung must be, whichever method found it.

    Voxels of `SCORED_DENSE_HU` within the convex hull, slice by slice, of what any method takes for
    the right or for the left lung; less those near the midline (`LATERAL_SHARE`: hila, fat), and
    less what an opening by `VESSEL_MM` removes (vessels, partial volume at the pleura).

    Notes
    -----
    There are no outlines drawn by people behind it. A part of the lung that no method found, and
    that lies beyond the hull of the rest, is not missed; airless consolidation cannot be told from
    fat and muscle and does not count; the blurred edge of heart and diaphragm does, where it is
    wide, and so do wide vessels with their surroundings.
    """
    held = np.any([labels > 0 for labels in found.values()], axis=0) | other
    middle = middle_of_body(coarse.hu, coarse.spacing_mm)
    if middle is None:
        return np.zeros(held.shape, bool)
    columns = np.arange(held.shape[2])
    lateral = np.abs(columns - middle) >= LATERAL_SHARE * _half_width(held)
    hulls = np.zeros(held.shape, bool)
    for side in (columns < middle, columns >= middle):
        for at in np.flatnonzero((held & side).any(axis=(1, 2))):
            hulls[at] |= _hull(held[at] & side)
    dense = hulls & lateral & (coarse.hu >= SCORED_DENSE_HU[0]) & (coarse.hu <= SCORED_DENSE_HU[1])
    disc = _disc(coarse.spacing_mm)
    return np.stack([ndimage.binary_opening(image, disc) for image in dense])


def _half_width(held: Mask) -> float:
    columns = np.flatnonzero(held.any(axis=(0, 1)))
    return float(columns[-1] - columns[0] + 1) / 2


def _hull(image: Mask) -> Mask:
    """Convex hull of a mask in one slice; the mask itself if it is a line."""
    places = np.argwhere(image)[:, ::-1]
    try:
        corners = places[ConvexHull(places).vertices]
    except QhullError:
        return image
    canvas = Image.new("1", image.shape[::-1])
    ImageDraw.Draw(canvas).polygon([(int(x), int(y)) for x, y in corners], fill=1, outline=1)
    return np.asarray(canvas, bool)


def _disc(spacing_mm: Spacing) -> Mask:
    reach = [int(VESSEL_MM / mm) for mm in spacing_mm[1:]]
    y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc: Mask = np.hypot(y * spacing_mm[1], x * spacing_mm[2]) <= VESSEL_MM
    return disc


def score_series(folders: Sequence[Path], models: Models) -> Iterator[LungScore]:
    """Folders of DICOM series; labels of slices, or a mask of lobes, beside a folder, if any."""
    for folder in folders:
        volume = read_volume(folder)
        file = folder.with_name(folder.name + LABELS)
        infected = None
        if file.exists():
            labels = read_slice_labels(file)
            infected = slices_of(labels, volume)[labels.infected]
        lobes = folder.with_name(folder.name + LOBES)
        drawn = read_mask(lobes, volume) > 0 if lobes.exists() else None
        yield score(folder.name, volume, models, drawn=drawn, infected=infected)


def score_drawn(folder: Path, models: Models) -> Iterator[LungScore]:
    """Pairs of NIfTI files ``NAME-ct.nii.gz`` and ``NAME-lungs.nii.gz``."""
    for file in sorted(folder.glob(f"*{CT}")):
        case = file.name.removesuffix(CT)
        volume = read_volume(file)
        drawn = read_mask(file.with_name(case + LUNGS), volume) > 0
        yield score(case, volume, models, drawn=drawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaintedScore:
    """One CT with a part of a lung made solid.

    Attributes
    ----------
    solid
        Share of that lung without air.
    chosen
        Method that the gates chose.
    drawn
        Dice of what is delivered with the mask drawn by others, and of each method by itself.
    kept
        Share of what is solid that each keeps.
    """

    case: str
    seed: int
    solid: float
    chosen: str
    drawn: Mapping[str, float]
    kept: Mapping[str, float]


def score_painted(folder: Path, models: Models, count: int) -> Iterator[PaintedScore]:
    """Fill a lobe, or a part of it, of lungs with drawn masks; as many times as asked."""
    for file in sorted(folder.glob(f"*{CT}")):
        case = file.name.removesuffix(CT)
        volume = read_volume(file)
        drawn = read_mask(file.with_name(case + LUNGS), volume) > 0
        inside = box_of(drawn, (1, 1, 1))
        found = 0
        for seed in range(10 * count):
            if found == count:
                break
            view = View(
                hu=volume.hu[inside].astype(np.float32),
                lungs=drawn[inside].astype(np.float32),
                lesions=np.zeros(drawn[inside].shape, np.float32),
                depth_mm=np.zeros(drawn[inside].shape, np.float32),
                spacing_mm=volume.spacing_mm,
            )
            paint_lobar_consolidation(view, np.random.default_rng(seed))
            hu = volume.hu.copy()
            hu[inside] = np.rint(view.hu)
            solid = drawn & (hu > SOLID_MIN_HU) & (volume.hu < SCORED_AERATED_MAX_HU)
            share = 2 * np.count_nonzero(solid) / np.count_nonzero(drawn)
            if not SOLID_SHARE[0] <= share <= SOLID_SHARE[1]:
                continue
            found += 1
            chosen, masks = _found(replace(volume, hu=hu), models)
            yield PaintedScore(
                case=case,
                seed=seed,
                solid=share,
                chosen=chosen,
                drawn={name: dice(mask, drawn) for name, mask in masks.items()},
                kept={name: float(mask[solid].mean()) for name, mask in masks.items()},
            )


def _found(volume: CtVolume, models: Models) -> tuple[str, Mapping[str, Mask]]:
    """Find the lungs: name of the chosen method, what is delivered, and what each method finds."""
    lungs = segment(volume, models)
    coarse = coarsen(volume.hu, volume.spacing_mm)
    seen = models.manifest.networks.lungs.input
    fine = segment_unet(volume.hu, models.lungs, seen, pixel_mm=volume.spacing_mm[1:])
    by_method = candidates(on_coarse(fine, coarse), coarse)
    masks = {name: refine(labels, coarse) > 0 for name, labels in by_method.items()}
    return lungs.method, {"delivered": lungs.labels > 0, **masks}


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct", type=Path, nargs="*", default=[], help="folders of DICOM series")
    parser.add_argument("--lungs", type=Path, help="folder of NIfTI pairs NAME-ct, NAME-lungs")
    parser.add_argument("--painted", type=int, default=0, help="times to paint each of those pairs")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="model folder")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(arguments)
    models = load(options.model, device_for("auto"))
    scores: list[LungScore | PaintedScore] = list(score_series(options.ct, models))
    if options.lungs is not None:
        scores += score_drawn(options.lungs, models)
        scores += score_painted(options.lungs, models, options.painted)
    options.out.write_text(json.dumps([asdict(result) for result in scores], indent=2) + "\n")


if __name__ == "__main__":
    main()
