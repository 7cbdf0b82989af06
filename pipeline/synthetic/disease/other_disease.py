"""Paint other diseases that fill or displace lung: tumours, lobar pneumonia, effusion.

Appearances follow the Fleischner glossary (Hansell et al. 2008, doi:10.1148/radiol.2462070712).
"""

from __future__ import annotations

import numpy as np

from pipeline.synthetic.disease.opacities import GROUND_GLASS_SHARE, bronchi
from pipeline.synthetic.disease.shapes import (
    Floats,
    Places,
    Point,
    View,
    airspace,
    anywhere,
    behind_mm,
    between,
    blob,
    draw_tube,
    flood,
    hilum,
    noise,
    side_of,
)

SOLID_NODULE_HU = (20.0, 70.0)
CALCIFIED_HU = (150.0, 500.0)
WATER_HU = (0.0, 25.0)
NODULE_RADIUS_MM = (2.5, 12.0)
MASS_RADIUS_MM = (13.0, 38.0)
HILAR_CHANCE = 0.3  #: of a mass
SPICULATED_CHANCE = 0.5
CAVITY_CHANCE = 0.1
SEGMENT_CHANCE = 0.45  #: of a lobar pneumonia, to fill a part of the lobe only
SEGMENT_RADIUS_MM = (28.0, 60.0)
HALO_CHANCE = 0.4  #: of a lobar pneumonia, to have some ground glass around
EFFUSION_MM = (10.0, 60.0)  #: thickness at the base
BOTH_SIDES_CHANCE = 0.4  #: of an effusion


def paint_nodules(view: View, rng: np.random.Generator, most: int = 10) -> None:
    """Solid, sharply bounded, round; one, or many of like size; calcified now and then."""
    places = anywhere(view)
    size = rng.beta(1.0, 2.0)
    for _ in range(1 + int(rng.beta(0.5, 1.5) * most)):
        radius = between(NODULE_RADIUS_MM, float(np.clip(size + rng.normal(0, 0.08), 0, 1)))
        inside, level = blob(view, places.draw(rng), radius * rng.uniform(0.85, 1.15, 3), rng, 0.08)
        share = np.clip((1.1 - level) / 0.2, 0, 1) * view.lungs[inside]
        solid = CALCIFIED_HU if rng.random() < 0.1 else SOLID_NODULE_HU
        flood(view.hu[inside], share, between(solid, rng.random()))


def paint_mass(view: View, rng: np.random.Generator) -> None:
    """One solid tumour, lobulated or spiculated, in the lung or at the hilum."""
    radius = between(MASS_RADIUS_MM, rng.beta(1.1, 2.0))
    where = anywhere(view).draw(rng)
    if rng.random() < HILAR_CHANCE:
        where = hilum(view, int(rng.integers(2))) + rng.normal(0, 3, 3)
    inside, level = blob(view, where, radius * rng.uniform(0.8, 1.25, 3), rng, 0.2)
    share = np.zeros_like(view.hu)
    share[inside] = np.clip((1 - level) / 0.12, 0, 1)
    if rng.random() < CAVITY_CHANCE:
        share[inside] *= np.clip((level - rng.uniform(0.2, 0.6)) / 0.1, 0, 1)
    if rng.random() < SPICULATED_CHANCE:
        _spikes(view, share, where, radius, rng)
    flood(view.hu, share * airspace(view), between(SOLID_NODULE_HU, rng.random()))


def _spikes(
    view: View, share: Floats, where: Point, radius_mm: float, rng: np.random.Generator
) -> None:
    """Add fine strands that run out from a tumour."""
    strands = np.zeros_like(share)
    for _ in range(int(rng.integers(12, 40))):
        way = rng.standard_normal(3)
        way *= rng.uniform(1.3, 2.2) * radius_mm / (np.linalg.norm(way) * np.array(view.spacing_mm))
        draw_tube(strands, (where, where + way), view.spacing_mm, False, rng)
    np.maximum(share, rng.uniform(0.3, 0.7) * strands, out=share)


def paint_lobar_consolidation(view: View, rng: np.random.Generator) -> None:
    """Fill one lobe, or a segment of it, densely up to the fissure; bronchi stay open in it."""
    side = int(rng.integers(2))
    lung = side_of(view, side)
    lobe = _lobe(view, lung, rng)
    patchy = 1.0 + rng.uniform(0.05, 0.3) * noise(lobe.shape, view.spacing_mm, 8.0, rng)
    dense = lobe * np.clip(patchy, 0, 1)
    if rng.random() < HALO_CHANCE:
        rim = np.clip(lobe * 3, 0, 1) * lung
        flood(view.hu, rim * np.float32(between(GROUND_GLASS_SHARE, rng.random())))
    flood(view.hu, dense * (1 - 0.85 * bronchi(view, dense, rng)) * rng.uniform(0.85, 1.0))


def _lobe(view: View, lung: Floats, rng: np.random.Generator) -> Floats:
    """Cut a lung along an oblique fissure; keep one side of it, or a segment's worth of that."""
    z, y, x = (np.linspace(0, 1, n, dtype=np.float32) for n in lung.shape)
    rise = rng.uniform(0.7, 1.4)  # share of the height climbed from the front to the back
    tilt = rng.uniform(-0.4, 0.4) * (x - 0.5) + rng.uniform(-2, 2) * (x - 0.5) ** 2
    fissure = rng.uniform(0.05, 0.25) + rise * (y[:, None] - 0.3) + tilt[None, :]
    above_mm = (z[:, None, None] - fissure) * lung.shape[0] * view.spacing_mm[0]
    above_mm = above_mm + 2.0 * noise(lung.shape, view.spacing_mm, 20.0, rng)
    below = 1 if rng.random() < 0.6 else -1  # lower lobe, or what lies above it
    cut = np.clip(0.5 - below * above_mm / 5.0, 0, 1)
    lobe: Floats = (lung * cut).astype(np.float32)
    if rng.random() < SEGMENT_CHANCE and np.any(lobe[::2, ::2, ::2] > 0.5):
        centre = Places(view, lobe).draw(rng)
        radii = between(SEGMENT_RADIUS_MM, rng.random()) * rng.uniform(0.8, 1.25, 3)
        inside, level = blob(view, centre, radii, rng)
        segment = np.zeros_like(lobe)
        segment[inside] = np.clip((1.05 - level) / 0.2, 0, 1)
        lobe *= segment
    return lobe


def paint_effusion(view: View, rng: np.random.Generator) -> None:
    """Let a crescent of fluid push the lung forward from behind; the lung in front collapses."""
    sides = range(2) if rng.random() < BOTH_SIDES_CHANCE else [int(rng.integers(2))]
    planes = view.hu.shape[0]
    z = np.linspace(0, 1, planes, dtype=np.float32)[:, None, None]
    behind = behind_mm(view)
    lungs = view.lungs.copy()
    for side in sides:
        top = rng.uniform(0.3, 1.1)
        thick = between(EFFUSION_MM, rng.beta(1.2, 1.8)) * np.clip(1 - z / top, 0, 1) ** 0.7
        lung = side_of(view, side) * _rear(view)
        fluid = np.clip((thick - behind) / 2.0, 0, 1) * lung
        squeezed = (
            np.clip((thick * rng.uniform(1.15, 1.5) - behind) / 5.0, 0, 1) * lung * (thick > 0)
        )
        flood(view.hu, squeezed * rng.uniform(0.4, 1.0), 50.0)
        fluid_hu = np.float32(between(WATER_HU, rng.random()))
        view.hu += fluid * (fluid_hu - view.hu)
        lungs *= fluid < 0.5
    view.lungs = lungs
    view.depth_mm = view.depth_mm * (lungs >= 0.5)
    view.lesions = view.lesions * lungs


def _rear(view: View) -> Floats:
    """Fade from 0 in front to 1 behind: lung before the heart also ends towards the back."""
    rows = np.linspace(0, 1, view.hu.shape[1], dtype=np.float32)
    fade: Floats = np.clip((rows - 0.35) / 0.2, 0, 1)[None, :, None]
    return fade
