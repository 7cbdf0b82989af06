"""Read axial slices with their lungs for training the UNet: of phantoms, and of real series.

Truth of a phantom is exact. A real series has the unsupervised method's mask instead (see
`pipeline.lungs.unsupervised`): a pseudo-label, good where lungs are mostly aerated. Opacities
and solid lobes are then painted inside the mask, the mask left as it is: so the network learns
that lung without air stays lung, also where it touches the chest wall. Fluid behind the lung, and
organs below a raised diaphragm, are painted as well, and taken out of the mask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.cases.case_list import Case
from pipeline.cases.volumes import read_mask, read_volume
from pipeline.classifier.input import resize
from pipeline.errors import PipelineError
from pipeline.lungs.coarse_grid import coarsen
from pipeline.lungs.unsupervised import segment_unsupervised
from pipeline.series.hounsfield import HIGHEST_HU, LOWEST_HU
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

PIXELS = 256  #: rows and columns of each slice
LEAST_THICK_MM = 2.5  #: thinner slices would be joined
FULL = 1000  #: stands for lung while a mask is made coarse
MASK_LEVEL = 0.5
PAINTED_GROUND_GLASS_HU = (-680.0, -300.0)  #: HU; of a painted opacity, our choice
PAINTED_CONSOLIDATION_HU = (-150.0, 70.0)  #: HU; the same
SOLID_LOBE_HU = (-60.0, 70.0)  #: lung without air, a little contrast medium in it at most
SOLID_TEXTURE_HU = (5.0, 30.0)  #: standard deviation within it
MOST_BRONCHI = 12  #: open ones in a slice of a solid lobe
BRONCHUS_PIXELS = (0.8, 2.5)  #: radius
PAINTED_FLUID_HU = (-5.0, 25.0)
FLUID_DEPTH = (0.05, 0.45)  #: share of a lung's slice that fluid takes, from the back
CURVED = 0.25  #: by how much fluid stands higher at the outer side, share of the image's edge
ORGAN_HU = (30.0, 130.0)  #: liver or spleen, with contrast medium in it or without
ORGAN_TEXTURE_HU = (3.0, 20.0)  #: standard deviation within it
ORGAN_RADIUS = (0.3, 1.6)  #: share of the radius of the circle that has the area of the lung
GAS_CHANCE = 0.3  #: of gas in an organ, as in stomach and bowel
PAINTED_GAS_HU = (-1000.0, -900.0)
GAS_DEPTH = (0.1, 0.7)  #: share of an organ's slice, from the front, that gas takes
WALL_PIXELS = 2  #: of an organ, about its gas
BLOB_RADIUS = (0.012, 0.18)  #: radius of a painted opacity, share of the image's edge


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slices:
    """Slices of one origin.

    Attributes
    ----------
    hu
        ``(N, 256, 256)`` int16.
    lungs
        bool, same shape.
    """

    hu: NDArray[np.int16]
    lungs: NDArray[np.bool_]


def phantom_slices(seeds: Iterable[int]) -> Slices:
    """Phantoms of varied slice distance, field of view, lesions and noise."""
    parts = [_phantom(seed) for seed in seeds]
    return Slices(
        hu=np.concatenate([part.hu for part in parts]),
        lungs=np.concatenate([part.lungs for part in parts]),
    )


def _phantom(seed: int) -> Slices:
    rng = np.random.default_rng(seed)
    spacing = float(rng.uniform(3.0, 6.0))
    phantom = make_phantom(
        PhantomSpec(
            seed=seed,
            slices=round(300 / spacing),
            size=PIXELS,
            spacing_mm=spacing,
            field_mm=float(rng.uniform(320, 420)),
            lesions=int(rng.integers(0, 9)),
            noise_hu=float(rng.uniform(4, 35)),
        )
    )
    return Slices(hu=phantom.hu, lungs=phantom.lungs > 0)


def case_slices(case: Case) -> Slices:
    """Slices of one chest CT, with its mask drawn by people, or else with a pseudo-label.

    Raises
    ------
    PipelineError
        If it cannot be read, or the unsupervised method finds no lungs in it.
    """
    volume = read_volume(case.path)
    thick, row, column = volume.spacing_mm
    coarse = coarsen(volume.hu, (max(thick, LEAST_THICK_MM), row, column))
    if case.lungs is not None:
        drawn = (read_mask(case.lungs, volume) > 0).astype(np.int16) * FULL
        lungs = coarsen(drawn, (max(thick, LEAST_THICK_MM), row, column)).hu * 2 >= FULL
    else:
        lungs = segment_unsupervised(coarse.hu, (thick, *coarse.spacing_mm[1:])) > 0
    if not lungs.any():
        raise PipelineError("lungs expected in a case, the unsupervised method found none")
    hu = np.clip(coarse.hu, LOWEST_HU, HIGHEST_HU)
    return Slices(
        hu=np.rint(squared(hu, LOWEST_HU)).astype(np.int16), lungs=squared(lungs, 0) >= MASK_LEVEL
    )


def squared(slices: NDArray[np.generic], outside: int) -> NDArray[np.float32]:
    """Pad slices to a square and resample them to `PIXELS`, as the network gets them."""
    count, rows, columns = slices.shape
    edge = max(rows, columns)
    grow = ((0, 0), (0, edge - rows), (0, edge - columns))
    return resize(np.pad(slices, grow, constant_values=outside), (count, PIXELS, PIXELS))


def paint_opacities(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Paint one to four opacities into the lungs of one slice, in place.

    Parameters
    ----------
    hu
        ``(rows, columns)`` HU.
    lungs
        Same shape; nothing is painted outside, and nothing if it is empty.
    """
    if not lungs.any():
        return
    rim = np.argwhere(lungs & ~ndimage.binary_erosion(lungs, iterations=3))
    inside = np.argwhere(lungs)
    texture = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), rng.uniform(2, 6), truncate=2.0
    )
    texture /= texture.std()
    for _ in range(int(rng.integers(1, 5))):
        places = rim if rng.random() < 0.7 else inside
        share = _blob(places[rng.integers(len(places))], texture, rng) * lungs
        bounds = PAINTED_CONSOLIDATION_HU if rng.random() < 0.5 else PAINTED_GROUND_GLASS_HU
        target = rng.uniform(*bounds) + rng.uniform(5, 60) * texture
        hu += share * np.maximum(target - hu, 0)


def paint_solid_lobe(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Take the air out of a part of one lung, beyond a straight fissure, in place.

    Bronchi stay open in it now and then (air bronchogram).

    Parameters
    ----------
    hu
        ``(rows, columns)`` HU.
    lungs
        Same shape; it stays lung.
    """
    lung = _one_part(lungs, rng)
    if lung is None:
        return
    rows, columns = _places(hu.shape)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.float32(np.cos(angle)) * columns + np.float32(np.sin(angle)) * rows
    fissure = np.quantile(along[lung], rng.uniform(0.0, 0.85))
    share = np.clip((along - fissure) / rng.uniform(1, 4), 0, 1) * lung
    places = np.argwhere(lung)
    for _ in range(int(rng.integers(MOST_BRONCHI + 1))):
        y, x = places[rng.integers(len(places))]
        away = np.hypot(rows - y, columns - x)
        share *= 1 - 0.9 * np.clip(rng.uniform(*BRONCHUS_PIXELS) + 0.5 - away, 0, 1)
    grain = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), rng.uniform(0.5, 4), truncate=2.0
    )
    target = rng.uniform(*SOLID_LOBE_HU) + rng.uniform(*SOLID_TEXTURE_HU) * grain / grain.std()
    hu += share * np.maximum(target - hu, 0)


def paint_fluid(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Let fluid stand behind one lung of a patient on his back, in place.

    Returns
    -------
    NDArray[np.bool_]
        ``(rows, columns)``: what is left of the lungs.
    """
    lung = _one_part(lungs, rng)
    if lung is None:
        return lungs
    rows, columns = _places(hu.shape)
    middle = columns[lung].mean()
    outward = np.sign(middle - hu.shape[1] / 2) or 1.0
    level = rows + rng.uniform(0, CURVED) * outward * (columns - middle)
    surface = np.quantile(level[lung], 1 - rng.uniform(*FLUID_DEPTH))
    fluid = lung & (level > surface)
    grain = rng.standard_normal(hu.shape, dtype=np.float32)
    hu[fluid] = (rng.uniform(*PAINTED_FLUID_HU) + rng.uniform(2, 15) * grain)[fluid]
    left: NDArray[np.bool_] = lungs & ~fluid
    return left


def paint_organ(
    hu: NDArray[np.float32], lungs: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Let the dome of the diaphragm stand in one lung, with the organ below it, in place.

    A slice through it shows an oval without bronchi, with lung around it as far as there is room,
    and gas at its front now and then.

    Returns
    -------
    NDArray[np.bool_]
        ``(rows, columns)``: what is left of the lungs.
    """
    lung = _one_part(lungs, rng)
    if lung is None:
        return lungs
    rows, columns = _places(hu.shape)
    places = np.argwhere(lung)
    y, x = places.mean(axis=0) + rng.normal(0, 0.4, 2) * places.std(axis=0)
    radius = rng.uniform(*ORGAN_RADIUS) * np.sqrt(len(places) / np.pi)
    flat, angle = rng.uniform(0.6, 1.0), rng.uniform(0, np.pi)
    along = np.cos(angle) * (columns - x) + np.sin(angle) * (rows - y)
    across = (np.cos(angle) * (rows - y) - np.sin(angle) * (columns - x)) / flat
    edge = (radius - np.hypot(along, across)) / rng.uniform(1, 5)
    share = np.clip(0.5 + edge, 0, 1).astype(np.float32) * lung
    grain = ndimage.gaussian_filter(
        rng.standard_normal(hu.shape, dtype=np.float32), rng.uniform(0.5, 2), truncate=2.0
    )
    target = rng.uniform(*ORGAN_HU) + rng.uniform(*ORGAN_TEXTURE_HU) * grain / grain.std()
    hu += share * (target - hu)
    if rng.random() < GAS_CHANCE and (share > MASK_LEVEL).any():
        level = np.quantile(rows[share > MASK_LEVEL], rng.uniform(*GAS_DEPTH))
        hollow = ndimage.binary_erosion(share > MASK_LEVEL, iterations=WALL_PIXELS)
        hu[hollow & (rows < level)] = rng.uniform(*PAINTED_GAS_HU)
    left: NDArray[np.bool_] = lungs & (share < MASK_LEVEL)
    return left


def _one_part(lungs: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_] | None:
    """One of the connected parts of the lungs of a slice, mostly the right or the left one."""
    parts, count = ndimage.label(lungs)
    if not count:
        return None
    part: NDArray[np.bool_] = parts == rng.integers(1, count + 1)
    return part


def _places(shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Row and column of each pixel, ``(rows, columns)`` each."""
    rows, columns = (places.astype(np.float32) for places in np.indices(shape))
    return rows, columns


def _blob(
    centre: NDArray[np.intp], texture: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Irregular tilted ellipse, 1 inside to 0 outside with a soft edge."""
    rows, columns = np.ogrid[: texture.shape[0], : texture.shape[1]]
    low, high = BLOB_RADIUS
    radius = (low + (high - low) * rng.beta(1.0, 2.0)) * texture.shape[0]
    angle, flat = rng.uniform(0, np.pi), rng.uniform(0.4, 1.0)
    y, x = rows - centre[0], columns - centre[1]
    along = (np.cos(angle) * x + np.sin(angle) * y) / radius
    across = (np.cos(angle) * y - np.sin(angle) * x) / (radius * flat)
    level = along**2 + across**2 + rng.uniform(0, 0.4) * texture
    blob: NDArray[np.float32] = np.clip((1 - level) / rng.uniform(0.1, 0.5), 0, 1)
    return blob.astype(np.float32)
