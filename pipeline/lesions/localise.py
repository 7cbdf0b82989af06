"""Localise lesions: dense patches within the lungs that the classifier's activation supports.

Where the density goes is exact to the voxel but knows no disease; the activation knows the
disease but only to a centimetre. So candidates come from density (which also measures them), and
the activation chooses among them, with the 3-D connected components method as a second vote. Only
round ground glass needs neither: beside large opacities small ones have little activation.
Wang et al. 2020 do it the other way round and return patches of activation.

Work is done at half resolution in the plane, with thin slices taken together, within the box of
the lungs: candidates are centimetres across, and in the end the voxels are those of the lungs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.classifier.input import box, lung_box
from pipeline.lesions.candidates import patches
from pipeline.lesions.changes import changes, solid_bodies
from pipeline.lesions.components3d import components_activation
from pipeline.lesions.growth import grown
from pipeline.lesions.region import Labels, Mask, Region, doubled, half, slices_together
from pipeline.lesions.roundness import round_ground_glass
from pipeline.side_by_side import both
from pipeline.types import Change, CtVolume, LungMask, Planes

MIN_LESION_MM3 = 500.0  #: 0.5 ml, a ball of 10 mm
TOP_SHARE = 0.10  #: the top activation: this share of the lungs' voxels, or
TOP_PER_CANDIDATE = 2.0  #: so many times the share of the candidates, if that is more, up to
MAX_TOP_SHARE = 0.6
SUPPORT = 0.5  #: share of a candidate in the top activation that is enough by itself
SUPPORT_WITH_3DCC = 0.2  #: share that is enough together with the 3DCC region
MAX_LESIONS = 250  #: labels are uint8, and a report needs no more

Map = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Localised:
    """Lesions, and what is dense besides.

    Attributes
    ----------
    labels
        ``(slices, rows, columns)`` uint8: 0 none, else 1 for the largest lesion and so on;
        at most `MAX_LESIONS`.
    changes
        Dense patches and solid bodies that are no lesions, on the same grid.
    """

    labels: Labels
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DenseLung:
    """What is dense in the lungs of a volume, whatever the activation.

    Attributes
    ----------
    region
        The box of the lungs, on which all others lie.
    inside
        That box in the volume.
    together
        Slices of the volume that make one of the region.
    candidates, speckled, bodies
        As of `pipeline.lesions.candidates.patches`, `speckle`, and
        `pipeline.lesions.changes.solid_bodies`.
    """

    region: Region
    inside: tuple[slice, slice, slice]
    together: int
    candidates: Mask
    speckled: Mask
    bodies: Mask

    def middle(self, slice_: int) -> int:
        """Slice of the volume in the middle of one of the region."""
        first, last = self.inside[0].start, self.inside[0].stop - 1
        return min(int(first) + slice_ * self.together + self.together // 2, int(last))


def dense_lung(volume: CtVolume, lungs: LungMask) -> DenseLung:
    """Look for what is dense; volume and lungs are canonical, on one grid."""
    inside = box(*lung_box(lungs.labels > 0, volume.spacing_mm, margin_mm=0.0))
    together = slices_together(volume.spacing_mm)
    region = half(volume.hu[inside], lungs.labels[inside], volume.spacing_mm, together)
    candidates, (speckled, bodies) = both(
        partial(patches, region), lambda: (speckle(region), solid_bodies(region))
    )
    return DenseLung(
        region=region,
        inside=inside,
        together=together,
        candidates=candidates,
        speckled=speckled,
        bodies=bodies,
    )


def localise(dense: DenseLung, lungs: LungMask, activation: Planes) -> Localised:
    """Find the lesions, and the changes that are none.

    Parameters
    ----------
    dense
        Of the same lungs.
    lungs, activation
        Canonical, on one grid; activation 0..1 as of `pipeline.classifier.activation.activation`.
    """
    region, inside = dense.region, dense.inside
    _slices, rows, columns = inside
    active = np.stack(
        [
            activation[dense.middle(at)][rows, columns][::2, ::2].copy()  # or all of it is held
            for at in range(len(region.hu))
        ]
    )
    found = grown(chosen(dense.candidates, dense.speckled, region, active), region)
    labels = np.zeros(lungs.labels.shape, np.uint8)
    for at, (image, held) in enumerate(zip(labels[inside], lungs.labels[inside], strict=True)):
        if found[at // dense.together].any():
            image[:] = np.where(held > 0, doubled(found[at // dense.together], held.shape), 0)
    rest = changes(dense.candidates | dense.bodies, dense.bodies, found, region, MIN_LESION_MM3)

    def voxel(of_region: tuple[int, int, int]) -> tuple[int, int, int]:
        slice_, row, column = of_region
        return dense.middle(slice_), rows.start + 2 * row, columns.start + 2 * column

    moved = tuple(replace(change, voxel=voxel(change.voxel)) for change in rest)
    return Localised(labels=labels, changes=moved)


def chosen(candidates: Mask, speckled: Mask, region: Region, activation: Map) -> Labels:
    """Lesions among the candidates, by the votes of activation and 3DCC or by their shape.

    Parameters
    ----------
    candidates, speckled
        Of the region, as of `patches` and `speckle`.
    activation
        0..1, on the region's grid: of the upper left pixel of the middle slice.

    Returns
    -------
    NDArray
        On the region's grid: 1 for the largest lesion and so on, at most `MAX_LESIONS`.
    """
    return number(supported(candidates, speckled, region, activation), region)


def speckle(region: Region) -> Mask:
    """Mark the region where 3DCC finds the aerated lung in pieces."""
    return components_activation(region.hu, region.lungs)


def supported(
    candidates: Mask, speckled: Mask, region: Region, activation: Map
) -> NDArray[np.intp]:
    """Label the candidates (26-connected) that are large enough, with a vote for them or round."""
    labels, count = ndimage.label(candidates, structure=np.ones((3, 3, 3), np.bool_))
    held = labels > 0
    number = labels[held]

    def voxels(marked: Mask) -> NDArray[np.intp]:
        return np.bincount(number[marked[held]], minlength=count + 1)

    sizes = np.maximum(np.bincount(number, minlength=count + 1), 1)
    active = voxels(top(region, candidates, activation)) / sizes
    seconded = voxels(speckled) > 0
    keep = (active >= SUPPORT) | ((active >= SUPPORT_WITH_3DCC) & seconded)
    large = sizes * np.prod(region.spacing_mm) >= MIN_LESION_MM3
    large[0] = False
    keep &= large
    keep[list(round_ground_glass(labels, np.flatnonzero(large & ~keep), region))] = True
    voted: NDArray[np.intp] = np.where(keep[labels], labels, 0)
    return voted


def top(region: Region, candidates: Mask, activation: Map) -> Mask:
    """Voxels of the lungs' top activation: none without any; more where much is dense."""
    inside = activation[region.lungs]
    if inside.size == 0:
        return region.lungs
    dense = TOP_PER_CANDIDATE * np.count_nonzero(candidates) / inside.size
    level = np.quantile(inside, 1 - min(MAX_TOP_SHARE, max(TOP_SHARE, dense)))
    highest: Mask = region.lungs & (activation > level)
    return highest


def number(labels: NDArray[np.intp], region: Region) -> Labels:
    """Renumber 1, 2, ... by size, largest first, and leave out those beyond `MAX_LESIONS`."""
    sizes = np.bincount(labels[labels > 0], minlength=1)
    order = np.argsort(-sizes, kind="stable")[: min(MAX_LESIONS, np.count_nonzero(sizes))]
    numbers = np.zeros(len(sizes), np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    renumbered: Labels = numbers[labels]
    return renumbered
