"""Make the classifier input of a listed case: prepared before, or read from DICOM or NIfTI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.cases.case_list import Case
from pipeline.cases.prepared import SUFFIX, Prepared, load, require_label
from pipeline.cases.volumes import read_volume
from pipeline.classifier.input import (
    AVERAGES,
    MIN_PLANES,
    Index,
    NetworkInput,
    averaged_input,
    box,
    lung_box,
    network_input,
    resize,
    window,
)
from pipeline.lungs.segment import segment
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput
from pipeline.series.eligibility import plausible

MASK_LEVEL = 0.5  #: share of lung or lesion from which a resampled voxel counts as such

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A prepared case on the grid of a classifier's input.

    Attributes
    ----------
    channels
        ``(2, planes, rows, columns)`` float32: attenuation 0..1, lung mask 0/1.
    lungs, lesions
        ``(planes, rows, columns)`` float32, 0 or 1.
    infected
        ``(planes,)`` float32: 1 or 0 where readers' labels of slices say so, `UNKNOWN` where they
        do not, or where it lies between two that differ; None of a case without such labels.
    """

    channels: Floats
    lungs: Floats
    lesions: Floats
    infected: Floats | None = None


def case_input(case: Case, models: Models, wanted: ClassifierInput) -> NetworkInput:
    """Classifier input of a case as the node would make it; of a prepared one, its whole box.

    Parameters
    ----------
    models
        Find the lungs; masks of the list are not looked at.
    wanted
        Size and window of the input.

    Raises
    ------
    PipelineError
        If it cannot be read, is no chest CT, has no lungs, or was prepared with another label, or
        with sampling 1 for a network of sampling 2.
    """
    if case.path.name.endswith(SUFFIX):
        require_label(case)
        return prepared_input(load(case.path), wanted)
    volume = plausible(read_volume(case.path))
    return network_input(volume, segment(volume, models), wanted)


def prepared_input(case: Prepared, wanted: ClassifierInput) -> NetworkInput:
    """Classifier input of a prepared case, with the way back to the case's grid.

    A case of sampling 2 has the surroundings of its lungs, so that a network of sampling 1 can be
    shown it as well: that box is cut out of it and resampled once more.

    Raises
    ------
    PipelineError
        If it was prepared with sampling 1 and the network wants 2.
    """
    if wanted.sampling == AVERAGES:
        case.require_sampling(wanted)
        return averaged_input(case.hu, case.lungs, case.spacing_mm, wanted)
    planes, rows, columns = case.hu.shape
    low, high = (0, 0, 0), (planes - 1, rows - 1, columns - 1)
    if case.sampling == AVERAGES:
        low, high = lung_box(case.lungs, case.spacing_mm, wanted.margin_mm)
    return NetworkInput(
        tensor=_whole_box(case, low, high, wanted)[np.newaxis],
        low=low,
        high=high,
        source_shape=(planes, rows, columns),
    )


def _whole_box(case: Prepared, low: Index, high: Index, wanted: ClassifierInput) -> Floats:
    """Channels of a box as the node makes it, its planes `slice_mm` apart."""
    length_mm = (high[0] - low[0]) * case.spacing_mm[0]
    planes = max(MIN_PLANES, round(length_mm / wanted.slice_mm) + 1)
    shape, inside = (planes, wanted.rows, wanted.columns), box(low, high)
    hu, lungs, lesions = (
        resize(array[inside], shape) for array in (case.hu, case.lungs, case.lesions)
    )
    return picture_of(hu, lungs, lesions, wanted.window_hu).channels


def picture_of(
    hu: Floats, lungs: Floats, lesions: Floats, window_hu: tuple[float, float]
) -> Picture:
    """Picture of resampled arrays: window the attenuation, cut the masks at `MASK_LEVEL`.

    Parameters
    ----------
    hu, lungs, lesions
        ``(planes, rows, columns)``: HU, and masks of 0..1.
    """
    lungs, lesions = ((mask >= MASK_LEVEL).astype(np.float32) for mask in (lungs, lesions))
    return Picture(channels=np.stack([window(hu, window_hu), lungs]), lungs=lungs, lesions=lesions)
