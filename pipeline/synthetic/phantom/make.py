"""Make a synthetic chest CT, for tests, demonstrations and training.

Nothing in it comes from a patient. The anatomy is built of level functions (ellipsoids, domes,
branching tubes) whose measures vary with the seed, blurred and made noisy as a scanner does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.synthetic.phantom import lungs
from pipeline.synthetic.phantom.anatomy import PHANTOM_AIR_HU, paint_chest, paint_outline
from pipeline.synthetic.phantom.build import BUILDS, BuildName, built, curve
from pipeline.synthetic.phantom.grid import Figure, Grid
from pipeline.synthetic.phantom.lesions import add_lesions
from pipeline.synthetic.phantom.scan import KernelName, breathe, pad, scan, stored

MAX_LESIONS = 255  #: labels are uint8


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomSpec:
    """Seed, size and kind of a phantom.

    Attributes
    ----------
    seed
        Everything random follows from it.
    slices, size
        Number of images; rows and columns of each.
    spacing_mm, field_mm
        Distance between slices; width of the field of view.
    depth_mm
        Of the field of view, from front to back; its width by default. Another depth makes pixels
        that are not square.
    lesions
        Number of opacities; 0 gives a healthy chest.
    noise_hu
        Standard deviation of the noise with the standard kernel, HU.
    kernel
        Of the reconstruction: soft, standard or sharp.
    motion_mm
        How far a breath moved the diaphragm during the scan; it is seen twice.
    padding_hu
        What stands outside the round field of view; without it the picture goes on there.
    build
        Kind of body, see `pipeline.synthetic.phantom.build.BUILDS`.
    """

    seed: int = 1
    slices: int = 80
    size: int = 512
    spacing_mm: float = 3.0
    field_mm: float = 360.0
    depth_mm: float | None = None
    lesions: int = 4
    noise_hu: float = 14.0
    kernel: KernelName = "standard"
    motion_mm: float = 0.0
    padding_hu: int | None = None
    build: BuildName = "average"

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
    grid = Grid.of(
        spec.slices, spec.size, spec.spacing_mm, (spec.depth_mm or spec.field_mm, spec.field_mm)
    )
    build = BUILDS[spec.build]
    figure = built(Figure.draw(grid, rng), build)
    hu = np.full(grid.shape, PHANTOM_AIR_HU, np.float32)
    paint_outline(hu, grid, figure, rng)
    thorax, labels = paint_chest(hu, grid, figure, rng)
    lungs.fill_parenchyma(hu, labels, grid, figure, rng)
    lungs.add_fissures(hu, labels, grid, figure, rng)
    lungs.add_vessels(hu, labels, grid, figure, rng)
    lungs.add_dependent_density(hu, labels, grid, thorax, rng)
    lungs.add_airways(hu, labels, grid, figure, rng)
    lesions = add_lesions(hu, labels, grid, thorax, spec.lesions, rng)
    if build.curve_mm:
        for volume in (hu, labels, lesions):
            curve(volume, grid, figure, build.curve_mm)
    if spec.motion_mm:
        breathe(hu, grid, spec.motion_mm)
    image = stored(scan(hu, spec.kernel, spec.noise_hu, grid.pixel_mm, rng))
    if spec.padding_hu is not None:
        pad(image, spec.padding_hu)
    return Phantom(hu=image, lungs=labels, lesions=lesions, affine=grid.affine)
