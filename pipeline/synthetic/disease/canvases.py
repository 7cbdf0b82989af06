"""Make canvases, healthy lungs to paint diseases into, and the views that are painted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.cases.prepared import Prepared, StoredGrid
from pipeline.classifier.input import resize
from pipeline.model.manifest import ClassifierInput
from pipeline.synthetic.disease.shapes import View
from pipeline.synthetic.phantom.build import BUILDS
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.synthetic.phantom.scan import KERNELS

BODY_MM = 300.0  #: length of a phantom
SPACINGS_MM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)  #: of its slices
SIZE = 320  #: rows and columns of its images
CANVAS_NOISE_HU = (4.0, 20.0)  #: the scanner of a training step adds its own


def phantom_canvas(seed: int, wanted: ClassifierInput) -> Prepared:
    """Build a healthy phantom of random body, spacing, kernel and noise, as a prepared case."""
    rng = np.random.default_rng(seed)
    spacing = float(rng.choice(SPACINGS_MM))
    builds, kernels = sorted(BUILDS), sorted(KERNELS)
    spec = PhantomSpec(
        seed=seed,
        slices=round(BODY_MM / spacing),
        size=SIZE,
        spacing_mm=spacing,
        lesions=0,
        noise_hu=float(rng.uniform(*CANVAS_NOISE_HU)),
        build=builds[int(rng.integers(len(builds)))],
        kernel=kernels[int(rng.integers(len(kernels)))],
    )
    made = make_phantom(spec)
    pixel = spec.field_mm / spec.size
    spacing_mm = (spacing, pixel, pixel)
    grid = StoredGrid.around(made.lungs > 0, spacing_mm, wanted)
    return Prepared(
        hu=np.rint(grid.of(made.hu)).astype(np.int16),
        lungs=grid.of(made.lungs > 0) >= 0.5,
        lesions=np.zeros(grid.shape, np.bool_),
        lesions_known=True,
        size_mm=grid.size_mm,
        label=0,
        kind="phantom",
        sampling=wanted.sampling,
    )


def view_of(canvas: Prepared, depth_mm: NDArray[np.float32]) -> View:
    """Make a view of a canvas for the painters, who change the view and not the canvas.

    Parameters
    ----------
    depth_mm
        Of the canvas, see `depth_of`; shared by its views.
    """
    return View(
        hu=canvas.hu.astype(np.float32),
        lungs=canvas.lungs.astype(np.float32),
        lesions=np.zeros(canvas.hu.shape, np.float32),
        depth_mm=depth_mm.copy(),
        spacing_mm=canvas.spacing_mm,
    )


def depth_of(canvas: Prepared) -> NDArray[np.float32]:
    """Distance of every lung voxel to the lungs' surface, mm; 0 outside.

    Computed on every second row and column: painters need it to a millimetre or two.
    """
    z, y, x = canvas.spacing_mm
    coarse = ndimage.distance_transform_edt(
        np.pad(canvas.lungs[:, ::2, ::2], 1), sampling=(z, 2 * y, 2 * x)
    )[1:-1, 1:-1, 1:-1]
    return resize(coarse, canvas.lungs.shape) * canvas.lungs
