"""Localise lesions: dense patches within the lungs that the classifier's activation supports.

Where the density goes is exact to the voxel but knows no disease; the activation knows the
disease but only to a centimetre. So candidates come from density (which also measures them), and
the activation chooses among them, with the 3-D connected components method as a second vote.
Wang et al. 2020 do it the other way round and return patches of activation.

Work is done at half resolution in the plane, within the box of the lungs: candidates are
centimetres across, and the voxels are taken at full resolution in the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.classifier.input import box, lung_box
from pipeline.lesions.components3d import components_activation
from pipeline.types import CtVolume, LungMask

# Attenuation of lesions, HU: our choice.
LESION_HU = (-700.0, 50.0)  #: ground glass to consolidation; calcium and contrast lie above
LESION_ABOVE_LUNG_HU = 150.0  #: and so much above the lungs' median (shallow breath, noise)
LESION_SOLID_MIN_HU = -300.0  #: vessels and consolidation lie above, ground glass mostly below
SMOOTH_MM = 1.0  #: standard deviation of the light smoothing against noise
PATCH_MM = 3.0  #: standard deviation of the neighbourhood that tells patches from tubes, sheets
CORE_SHARE = 0.5  #: of that neighbourhood dense: within a patch (a tube needs 7 mm for it)
BROAD_MM = 5.0  #: neighbourhood that tells consolidation from vessels (a tube needs 12 mm)
RIM_MM = 1.5  #: reach of the half-filled voxels along a vessel
RIM_SHARE = 0.1
FILL_MM = 4.5  #: a patch takes back the vessels that it encloses
FILL_SHARE = 0.25
PATCH_SHARE = 0.3  #: down to here a dense voxel belongs to the patch beside it
MIN_LESION_MM3 = 300.0  #: 0.3 ml, a ball of 8 mm
TOP_SHARE = 0.10  #: the top activation: this share of the lungs' voxels, or
TOP_PER_CANDIDATE = 2.0  #: so many times the share of the candidates, if that is more, up to
MAX_TOP_SHARE = 0.6
SUPPORT = 0.5  #: share of a candidate in the top activation that is enough by itself
SUPPORT_WITH_3DCC = 0.2  #: share that is enough together with the 3DCC region
MAX_LESIONS = 250  #: labels are uint8, and a report needs no more

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """The box of the lungs, pixels of about 1.5 mm: mostly half the resolution in the plane.

    Attributes
    ----------
    hu, lungs, activation
        ``(slices, rows, columns)`` of the box: int16 HU, bool, float32 0..1.
    spacing_mm
        Along each axis.
    """

    hu: NDArray[np.int16]
    lungs: Mask
    activation: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]


def localise(volume: CtVolume, lungs: LungMask, activation: NDArray[np.float32]) -> Labels:
    """Find the lesions.

    Parameters
    ----------
    volume, lungs, activation
        Canonical, on one grid; activation 0..1 as of `pipeline.classifier.activation.activation`.

    Returns
    -------
    NDArray
        ``(slices, rows, columns)`` uint8: 0 none, else 1 for the largest lesion and so on;
        at most `MAX_LESIONS`.
    """
    labels = np.zeros(volume.shape, np.uint8)
    low, high = lung_box(lungs.labels > 0, volume.spacing_mm, margin_mm=0.0)
    inside = box(low, high)
    lung = lungs.labels[inside] > 0
    region = half(volume.hu[inside], lung, activation[inside], volume.spacing_mm)
    found = chosen(patches(region), speckle(region), region)
    labels[inside] = np.where(lung, doubled(found, lung.shape), 0)
    return labels


def chosen(candidates: Mask, speckled: Mask, region: Region) -> Labels:
    """Lesions among the candidates, by the votes of activation and 3DCC.

    Parameters
    ----------
    candidates, speckled
        Of the region, as of `patches` and `speckle`; neither depends on the activation.

    Returns
    -------
    NDArray
        On the region's grid: 1 for the largest lesion and so on, at most `MAX_LESIONS`.
    """
    return number(supported(candidates, speckled, region), region)


def speckle(region: Region) -> Mask:
    """Mark the region where 3DCC finds the aerated lung in pieces."""
    return components_activation(region.hu, region.lungs)


def half(
    hu: NDArray[np.int16],
    lungs: Mask,
    activation: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
) -> Region:
    """Halve rows and columns: attenuation by the mean of 2 x 2 pixels, the others by choice."""
    rows, columns = (n + n % 2 for n in hu.shape[1:])
    grow = ((0, 0), (0, rows - hu.shape[1]), (0, columns - hu.shape[2]))
    quads = np.pad(hu, grow, mode="edge").reshape(len(hu), rows // 2, 2, columns // 2, 2)
    return Region(
        hu=(quads.sum(axis=(2, 4), dtype=np.int32) // 4).astype(np.int16),
        lungs=np.ascontiguousarray(lungs[:, ::2, ::2]),
        activation=np.ascontiguousarray(activation[:, ::2, ::2]),
        spacing_mm=(spacing_mm[0], spacing_mm[1] * 2, spacing_mm[2] * 2),
    )


def doubled(labels: Labels, shape: tuple[int, ...]) -> Labels:
    """Repeat rows and columns, cut to the full-resolution shape."""
    full = labels.repeat(2, axis=1).repeat(2, axis=2)
    return full[:, : shape[1], : shape[2]]


def patches(region: Region) -> Mask:
    """Dense voxels in patches: no vessels, no fissures, no rim along the pleura."""
    smooth = gaussian(region.hu, SMOOTH_MM, region)
    dense = region.lungs & (smooth > floor_hu(region)) & (smooth < LESION_HU[1])
    loose = dense & ~vessels(smooth, region)
    share = gaussian(loose, PATCH_MM, region)
    joined, count = ndimage.label(loose & (share > PATCH_SHARE))
    cored = np.zeros(count + 1, np.bool_)
    cored[joined[share > CORE_SHARE]] = True
    cored[0] = False
    return dense & (gaussian(cored[joined], FILL_MM, region) > FILL_SHARE)


def floor_hu(region: Region) -> float:
    """Attenuation above which a voxel of these lungs is dense, HU."""
    inside = region.hu[region.lungs]
    median = float(np.median(inside)) if inside.size else LESION_HU[1]
    return max(LESION_HU[0], median + LESION_ABOVE_LUNG_HU)


def vessels(smooth: NDArray[np.float32], region: Region) -> Mask:
    """Solid but not broad, with the half-filled voxels along it."""
    solid = region.lungs & (smooth > LESION_SOLID_MIN_HU)
    broad = solid & (gaussian(solid, BROAD_MM, region) > CORE_SHARE)
    near_broad = gaussian(broad, RIM_MM, region) > RIM_SHARE
    thin: Mask = gaussian(solid & ~near_broad, RIM_MM, region) > RIM_SHARE
    return thin


def gaussian(values: NDArray[np.generic], sigma_mm: float, region: Region) -> NDArray[np.float32]:
    """Smooth by a Gaussian of so many mm."""
    sigma = [sigma_mm / mm for mm in region.spacing_mm]
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(
        values.astype(np.float32), sigma, truncate=2.0
    )
    return smoothed


def supported(candidates: Mask, speckled: Mask, region: Region) -> NDArray[np.intp]:
    """Label the candidates (26-connected) that are large enough and that a vote is for."""
    labels, count = ndimage.label(candidates, structure=np.ones((3, 3, 3), np.bool_))
    flat = labels.ravel()
    sizes = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    active = np.bincount(flat, weights=top(region, candidates).ravel(), minlength=count + 1) / sizes
    seconded = np.bincount(flat, weights=speckled.ravel(), minlength=count + 1) > 0
    keep = (active >= SUPPORT) | ((active >= SUPPORT_WITH_3DCC) & seconded)
    keep &= sizes * np.prod(region.spacing_mm) >= MIN_LESION_MM3
    keep[0] = False
    voted: NDArray[np.intp] = np.where(keep[labels], labels, 0)
    return voted


def top(region: Region, candidates: Mask) -> Mask:
    """Voxels of the lungs' top activation: none without any; more where much is dense."""
    inside = region.activation[region.lungs]
    if inside.size == 0:
        return region.lungs
    dense = TOP_PER_CANDIDATE * np.count_nonzero(candidates) / inside.size
    level = np.quantile(inside, 1 - min(MAX_TOP_SHARE, max(TOP_SHARE, dense)))
    highest: Mask = region.lungs & (region.activation > level)
    return highest


def number(labels: NDArray[np.intp], region: Region) -> Labels:
    """Renumber 1, 2, ... by size, largest first, and leave out those beyond `MAX_LESIONS`."""
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[: min(MAX_LESIONS, np.count_nonzero(sizes))]
    numbers = np.zeros(len(sizes), np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    renumbered: Labels = numbers[labels]
    return renumbered
