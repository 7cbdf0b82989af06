"""The chests that the classifier is trained on: phantoms, and real lungs without COVID-19."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from pipeline.lung_grid import coarsen, refine
from pipeline.lungs_unsupervised import segment_unsupervised
from pipeline.network_input import box, lung_box, resize
from pipeline.orientation import canonical
from pipeline.training.phantom import PhantomSpec, make_phantom
from pipeline.volume import assemble

MARGIN_MM = 5.0  #: of the box around the lungs, as the classifier gets it
STORED_SHAPE = (72, 128, 192)  #: planes, rows, columns kept of every chest: about 4 x 1.5 x 1.5 mm
MAX_PHANTOM_LESIONS = 8
BODY_MM = 300.0  #: length of a phantom

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chest:
    """The box of a pair of lungs, resampled to `STORED_SHAPE`.

    Attributes
    ----------
    hu
        ``(planes, rows, columns)`` int16, HU.
    lungs, lesions
        bool, same grid. ``lesions`` is empty in a chest without COVID-19.
    depth_mm
        float16, same grid: distance to the lungs' surface, 0 outside.
    size_mm
        Extent of the box along planes, rows, columns.
    real
        Whether it comes from a patient rather than from a phantom.
    """

    hu: NDArray[np.int16]
    lungs: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    depth_mm: NDArray[np.float16]
    size_mm: Spacing
    real: bool


def chest_of(
    hu: NDArray[np.int16],
    labels: NDArray[np.uint8],
    lesions: NDArray[np.uint8],
    spacing_mm: Spacing,
    *,
    real: bool,
) -> Chest:
    """Cut the lungs' box out of a canonical volume and resample it."""
    low, high = lung_box(labels > 0, spacing_mm, MARGIN_MM)
    inside = box(low, high)
    lungs = resize(labels[inside] > 0, STORED_SHAPE) >= 0.5
    extent = [(b - a) * mm for a, b, mm in zip(low, high, spacing_mm, strict=True)]
    size_mm = (extent[0], extent[1], extent[2])
    step = [mm / n for mm, n in zip(size_mm, STORED_SHAPE, strict=True)]
    coarse = ndimage.distance_transform_edt(
        np.pad(lungs[:, ::2, ::2], 1), sampling=(step[0], step[1] * 2, step[2] * 2)
    )[1:-1, 1:-1, 1:-1]
    return Chest(
        hu=resize(hu[inside], STORED_SHAPE).astype(np.int16),
        lungs=lungs,
        lesions=resize(lesions[inside] > 0, STORED_SHAPE) >= 0.5,
        depth_mm=resize(coarse, STORED_SHAPE).astype(np.float16),
        size_mm=size_mm,
        real=real,
    )


def real_chest(folder: Path) -> Chest:
    """Read a CT series without COVID-19; its lungs are found without a network."""
    volume = canonical(assemble([dcmread(path) for path in sorted(folder.glob("*.dcm"))]).volume)
    coarse = coarsen(volume.hu, volume.spacing_mm)
    labels = refine(segment_unsupervised(coarse.hu, coarse.spacing_mm), coarse)
    none = np.zeros(volume.shape, np.uint8)
    return chest_of(volume.hu, labels, none, volume.spacing_mm, real=True)


def phantom_chests(seeds: range, *, diseased: bool) -> Iterator[Chest]:
    """Phantoms of varied slice distance and noise; with 1 to 8 opacities if ``diseased``."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        spacing = float(rng.choice([2.0, 2.5, 3.0, 4.0]))
        spec = PhantomSpec(
            seed=seed,
            slices=round(BODY_MM / spacing),
            size=320,
            spacing_mm=spacing,
            lesions=int(rng.integers(1, MAX_PHANTOM_LESIONS + 1)) if diseased else 0,
            noise_hu=float(rng.uniform(6, 35)),
        )
        phantom = make_phantom(spec)
        pixel = spec.field_mm / spec.size
        yield chest_of(
            phantom.hu, phantom.lungs, phantom.lesions, (spacing, pixel, pixel), real=False
        )
