"""A synthetic chest CT: for tests, demonstrations, and as training material.

Nothing in it comes from a patient. The anatomy is built of level functions (ellipsoids, domes,
branching tubes) whose measures vary with the seed, blurred and made noisy as a scanner does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.training import phantom_lungs as lungs
from pipeline.training.phantom_anatomy import AIR_HU, paint_chest, paint_outline
from pipeline.training.phantom_grid import Figure, Floats, Grid
from pipeline.training.phantom_lesions import add_lesions

LOWEST_HU = -1024  #: as a scanner with 12 bits and an intercept of -1024 stores
HIGHEST_HU = 3071
MAX_LESIONS = 255  #: labels are uint8


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """What to build.

    Attributes
    ----------
    seed
        Everything random follows from it.
    slices, size
        Number of images; rows and columns of each.
    spacing_mm, field_mm
        Distance between slices; edge of the square field of view.
    lesions
        Number of opacities; 0 gives a healthy chest.
    noise_hu
        Standard deviation of the noise, HU.
    """

    seed: int = 1
    slices: int = 80
    size: int = 512
    spacing_mm: float = 3.0
    field_mm: float = 360.0
    lesions: int = 4
    noise_hu: float = 14.0

    def __post_init__(self) -> None:
        if self.slices < 1 or self.size < 16:
            raise ValueError(
                f"at least 1 slice of 16 x 16 expected, got {self.slices} of {self.size}"
            )
        if not 0 <= self.lesions <= MAX_LESIONS:
            raise ValueError(f"0 to {MAX_LESIONS} lesions expected, got {self.lesions}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Phantom:
    """A synthetic chest and the truth about it.

    Attributes
    ----------
    hu
        ``(slices, rows, columns)`` int16, feet to head, columns towards the patient's left,
        rows towards the back.
    lungs
        uint8, same grid: 1 right, 2 left, opacities included, airways left out.
    lesions
        uint8, same grid: 0 none, 1 to n.
    affine
        ``(4, 4)`` index ``(slice, row, column)`` to LPS mm.
    """

    hu: NDArray[np.int16]
    lungs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]
    affine: NDArray[np.float64]


def make_phantom(spec: PhantomSpec) -> Phantom:
    """Build the chest that ``spec`` describes; the same spec gives the same arrays."""
    rng = np.random.default_rng(spec.seed)
    grid = Grid.of(spec.slices, spec.size, spec.spacing_mm, spec.field_mm)
    figure = Figure.draw(grid, rng)
    hu = np.full(grid.shape, AIR_HU, np.float32)
    paint_outline(hu, grid, figure, rng)
    thorax, labels = paint_chest(hu, grid, figure, rng)
    lungs.fill_parenchyma(hu, labels, grid, figure, rng)
    lungs.add_fissures(hu, labels, grid, figure, rng)
    lungs.add_vessels(hu, labels, grid, figure, rng)
    lungs.add_dependent_density(hu, labels, grid, thorax, rng)
    lungs.add_airways(hu, labels, grid, figure, rng)
    lesions = add_lesions(hu, labels, grid, thorax, spec.lesions, rng)
    return Phantom(
        hu=_scan(hu, spec.noise_hu, rng), lungs=labels, lesions=lesions, affine=grid.affine
    )


def _scan(hu: Floats, noise_hu: float, rng: np.random.Generator) -> NDArray[np.int16]:
    """Blur the body as a reconstruction kernel does, add its noise, round to stored values."""
    blur = rng.uniform(0.4, 0.8)
    image = ndimage.gaussian_filter(hu, (0.35, blur, blur), truncate=2.0)
    grain = rng.standard_normal(hu.shape, dtype=np.float32)
    grain = ndimage.gaussian_filter(grain, (0.0, blur, blur), truncate=2.0)
    image += grain * np.float32(noise_hu / max(float(grain.std()), 1e-6))
    stored: NDArray[np.int16] = np.clip(np.rint(image), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return stored
