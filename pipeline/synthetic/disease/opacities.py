"""Paint the opacities of COVID-19 pneumonia into lungs.

On CT: bilateral, multifocal, peripheral, posterior and basal ground glass with vessels still
visible; crazy paving and consolidation as it progresses; reversed halo and subpleural bands now
and then (Bernheim et al. 2020, doi:10.1148/radiol.2020200463; Ye et al. 2020,
doi:10.1007/s00330-020-06801-0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.disease.shapes import (
    Box,
    Floats,
    Places,
    Point,
    View,
    airspace,
    between,
    blob,
    draw_tube,
    flood,
    hilum,
    net,
    noise,
)

GROUND_GLASS_SHARE = (0.2, 0.52)  #: of the air replaced: lung of -860 HU comes to -680 ... -400
CONSOLIDATION_SHARE = (0.85, 1.0)
PAVING_SHARE = 0.3  #: of the air, replaced by a thickened septum on top of ground glass
PAVING_MESH_MM = (4.0, 7.0)
INVOLVED = (0.003, 0.5)  #: share of the lungs that is to be opaque
MAX_FOCI = 12
LEAST_RADIUS_MM = 5.0
ATTEMPTS = 40  #: foci at most, to reach the share
BAND_CHANCE = 0.3  #: of a focus, to lie along the pleura
BAND_MM = (6.0, 22.0)  #: thickness of such a band
BRONCHOGRAM_CHANCE = 0.5
BRONCHI = (8, 24)  #: drawn, where some stay open
REVERSED_CHANCE = 0.15  #: of a focus in a mixed pattern: pale centre, dense ring
ONE_SIDED_CHANCE = 0.15  #: of the patients
FRAYED = np.float32(0.13)  #: radii by which the texture moves a margin
LESION_LEVEL = 0.35  #: share of an opacity from which a voxel counts as lesion


@dataclass(slots=True, kw_only=True, eq=False)
class Extent:
    """How much of each voxel is lung, is covered by opacities, by their dense part; all 0..1.

    ``texture`` is noise of mean 0 and standard deviation 1 that frays their margins.
    """

    lungs: Floats
    texture: Floats
    share: Floats
    core: Floats


def paint_ground_glass(view: View, rng: np.random.Generator) -> None:
    """Hazy foci, nothing dense in them."""
    extent = _foci(view, rng, cored=0.0)
    _fill_glass(view, extent, rng)
    _mark(view, extent)


def paint_crazy_paving(view: View, rng: np.random.Generator) -> None:
    """Ground glass over which a fine net of thickened septa lies."""
    extent = _foci(view, rng, cored=0.0)
    _fill_glass(view, extent, rng)
    mesh = between(PAVING_MESH_MM, rng.random())
    flood(view.hu, PAVING_SHARE * extent.share * net(view.hu.shape, view.spacing_mm, mesh, rng))
    _mark(view, extent)


def paint_consolidation(view: View, rng: np.random.Generator) -> None:
    """Dense foci with a narrow pale rim, with or without open bronchi in them."""
    extent = _foci(view, rng, cored=1.0)
    _fill_glass(view, extent, rng)
    _fill_core(view, extent.core, rng)
    _mark(view, extent)


def paint_mixed(view: View, rng: np.random.Generator) -> None:
    """Ground glass, in part with dense centres or dense rings."""
    extent = _foci(view, rng, cored=0.6)
    _fill_glass(view, extent, rng)
    _fill_core(view, extent.core, rng)
    _mark(view, extent)


def _foci(view: View, rng: np.random.Generator, cored: float) -> Extent:
    """Strew foci until enough of the lungs is covered; ``cored`` of them have a dense part."""
    places, lung = _places(view), float(view.lungs.sum())
    goal = between(INVOLVED, rng.beta(0.6, 2.4)) * lung
    count = 1 + int(rng.beta(0.9, 1.4) * MAX_FOCI)
    shares = rng.dirichlet(np.full(count, 1.5))
    side = int(rng.integers(2)) if rng.random() < ONE_SIDED_CHANCE else None
    extent = Extent(
        lungs=airspace(view),
        texture=noise(view.hu.shape, view.spacing_mm, rng.uniform(3, 7), rng),
        share=np.zeros_like(view.hu),
        core=np.zeros_like(view.hu),
    )
    covered = 0.0
    for attempt in range(ATTEMPTS):
        if covered >= 0.8 * goal and (attempt >= count or covered >= 1.2 * goal):
            break
        focus_mm3 = 1.6 * goal * shares[attempt % count] * float(np.prod(view.spacing_mm))
        radii = max(LEAST_RADIUS_MM, (focus_mm3 * 3 / (4 * np.pi)) ** (1 / 3)) * np.ones(3)
        where = places.draw(rng, attempt % 2 if side is None and attempt < 2 else side)
        inside, added = _focus(view, where, radii * rng.uniform(0.65, 1.35, 3), extent, rng)
        covered += added
        if rng.random() < cored:
            _core(extent, inside[0], inside[1], rng)
    return extent


def _places(view: View) -> Places:
    """Prefer the periphery, the back, the base and the outer side."""
    planes, rows, columns = view.hu.shape
    z = np.linspace(0, 1, planes, dtype=np.float32)[:, None, None]
    y = np.linspace(0, 1, rows, dtype=np.float32)[None, :, None]
    x = np.abs(np.linspace(-1, 1, columns, dtype=np.float32))[None, None, :]
    weights = (0.03 + np.exp(-view.depth_mm / 7.0)) * (0.15 + y**1.5) * (1.3 - z) * (0.3 + x)
    return Places(view, weights.astype(np.float32))


def _focus(
    view: View, where: Point, radii_mm: Point, extent: Extent, rng: np.random.Generator
) -> tuple[tuple[Box, Floats], float]:
    """Add one focus; give its box, its level there, and by how many voxels the cover grew."""
    banded = rng.random() < BAND_CHANCE
    inside, level = blob(view, where, radii_mm * (1.4 if banded else 1.0), rng)
    level += FRAYED * extent.texture[inside]
    share = np.clip((1 - level) / rng.uniform(0.15, 0.8), 0, 1) * extent.lungs[inside]
    if banded:
        share *= np.clip((between(BAND_MM, rng.random()) - view.depth_mm[inside]) / 3.0, 0, 1)
    before = np.count_nonzero(extent.share[inside] >= LESION_LEVEL)
    np.maximum(extent.share[inside], share, out=extent.share[inside])
    grown = np.count_nonzero(extent.share[inside] >= LESION_LEVEL) - before
    return (inside, level), float(grown)


def _core(extent: Extent, inside: Box, level: Floats, rng: np.random.Generator) -> None:
    """Make the middle of a focus dense, or a ring in it."""
    if rng.random() < REVERSED_CHANCE:
        dense = np.exp(-(((level - 0.75) / 0.15) ** 2))
    else:
        dense = np.clip((rng.uniform(0.4, 0.9) - level) / 0.15, 0, 1)
    np.maximum(extent.core[inside], dense * extent.share[inside], out=extent.core[inside])


def _fill_glass(view: View, extent: Extent, rng: np.random.Generator) -> None:
    grain = noise(view.hu.shape, view.spacing_mm, rng.uniform(3, 12), rng)
    density = between(GROUND_GLASS_SHARE, rng.random()) * (1 + rng.uniform(0.03, 0.15) * grain)
    flood(view.hu, extent.share * np.clip(density, 0, 0.7))


def _fill_core(view: View, core: Floats, rng: np.random.Generator) -> None:
    """Fill the airspaces nearly up; bronchi that stay open run through now and then."""
    if rng.random() < BRONCHOGRAM_CHANCE and core.any():
        core = core * (1 - 0.8 * bronchi(view, core, rng))
    flood(view.hu, core * np.float32(between(CONSOLIDATION_SHARE, rng.random())))


def bronchi(view: View, dense: Floats, rng: np.random.Generator) -> Floats:
    """Draw bronchi from the hila out into what is dense: share of a voxel they fill."""
    drawn = np.zeros_like(view.hu)
    middle = view.hu.shape[2] / 2
    places = Places(view, np.where(dense > 0.5, np.float32(1), np.float32(1e-6)))
    for _ in range(int(rng.integers(*BRONCHI))):
        end = places.draw(rng)
        start = hilum(view, int(end[2] >= middle))
        draw_tube(drawn, (start, end), view.spacing_mm, rng.random() < 0.5, rng)
    return drawn


def _mark(view: View, extent: Extent) -> None:
    np.maximum(view.lesions, extent.share * view.lungs >= LESION_LEVEL, out=view.lesions)
