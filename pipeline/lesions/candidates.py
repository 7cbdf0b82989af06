"""Find candidates of lesions: dense patches of lung that are no vessels, hila, edges or rims."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from pipeline.lesions.region import Mask, Region, gaussian, within
from pipeline.lungs.coarse_grid import near_in_plane, nearer_than

# Attenuation of lesions, HU: our choice.
LESION_SOLID_MIN_HU = -300.0  #: vessels and consolidation lie above, ground glass mostly below
PATCH_MM = 3.0  #: standard deviation of the neighbourhood that tells patches from tubes, sheets
CORE_SHARE = 0.5  #: of that neighbourhood dense: within a patch (a tube needs 7 mm for it)
BROAD_MM = 5.0  #: neighbourhood that tells consolidation from vessels (a tube needs 12 mm)
HILUM_PATCH_MM = 5.0  #: `PATCH_MM` there: vessels lie close together (a ball needs 15 mm)
HILUM_BROAD_MM = 10.0  #: `BROAD_MM` there (a tube needs 24 mm)
SHELL_MM = 2.0  #: reach of what is broad over its own surface, which is less so
RIM_MM = 1.5  #: reach of the half-filled voxels along a vessel
HILUM_RIM_MM = 3.0  #: the same at the hilum, where vessels beat
RIM_SHARE = 0.1
FILL_MM = 4.5  #: a patch takes back the vessels and the rim of lung that it encloses
FILL_SHARE = 0.25
PATCH_SHARE = 0.3  #: down to here a dense voxel belongs to the patch beside it
SURFACE_MM = (2.5, 4.0)  #: from the surface of the lung, along the body and in the plane
REACH_MM = 5.0  #: of the middle of a patch: what lies further is a tail
RING = ((0, 0), (1, 1), (1, 1))  #: one pixel about each slice


def patches(region: Region) -> Mask:
    """Dense voxels in patches: no vessels, no fissures; the rim of lung beside a patch is of it."""
    lungs, mm, dense, hilum = region.lungs, region.spacing_mm, region.dense, region.hilum
    loose = dense & ~vessels(region)
    share = gaussian(loose, PATCH_MM, mm)
    cores = loose & (share > CORE_SHARE) & deep(region)
    cores &= ~hilum | (gaussian(loose, HILUM_PATCH_MM, mm) > CORE_SHARE)
    if not cores.any():
        return cores
    body = loose & (share > PATCH_SHARE) & nearer_than(REACH_MM, cores, mm)
    return body | (dense & (within(body, lungs, FILL_MM, mm) > FILL_SHARE))


def deep(region: Region) -> Mask:
    """Mark lung away from its surface, which heart, diaphragm and chest wall fill by half."""
    slices = max(1, round(SURFACE_MM[0] / region.spacing_mm[0]))
    lungs, mm = region.lungs, region.spacing_mm[1:]
    inner = ndimage.minimum_filter(lungs, size=(2 * slices + 1, 1, 1), mode="constant", cval=0)
    surface = near_in_plane(np.pad(~lungs, RING, constant_values=True), SURFACE_MM[1], mm)
    beyond: Mask = inner & ~surface[:, 1:-1, 1:-1]
    return beyond


def vessels(region: Region) -> Mask:
    """Solid but not broad, with the half-filled voxels along it; at the hilum both are wider."""
    lungs, mm = region.lungs, region.spacing_mm
    solid = lungs & (region.smooth_hu > LESION_SOLID_MIN_HU)
    broad = solid & (within(solid, lungs, BROAD_MM, mm) > CORE_SHARE)
    thin = _thin(solid, broad, RIM_MM, mm)
    broad = solid & (gaussian(solid, HILUM_BROAD_MM, mm) > CORE_SHARE)
    return np.where(region.hilum, thin | _thin(solid, broad, HILUM_RIM_MM, mm), thin)


def _thin(solid: Mask, broad: Mask, rim_mm: float, mm: tuple[float, float, float]) -> Mask:
    near_broad = gaussian(broad, SHELL_MM, mm) > RIM_SHARE
    thin: Mask = gaussian(solid & ~near_broad, rim_mm, mm) > RIM_SHARE
    return thin
