"""Prepared cases as classifier input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.analyse import plausible
from pipeline.cases.case_list import Case
from pipeline.cases.prepared import SUFFIX, Prepared, load, require_label
from pipeline.cases.volumes import read_volume
from pipeline.classifier.input import MIN_PLANES, NetworkInput, network_input, resize, window
from pipeline.lungs import segment
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput

MASK_LEVEL = 0.5
Floats = NDArray[np.float32]


def plain_picture(case: Prepared, wanted: ClassifierInput) -> Picture:
    """See a case as the node does: the whole box, planes `slice_mm` apart."""
    planes = max(MIN_PLANES, round(case.size_mm[0] / wanted.slice_mm) + 1)
    shape = (planes, wanted.rows, wanted.columns)
    hu, lungs, lesions = (resize(each, shape) for each in (case.hu, case.lungs, case.lesions))
    return _picture(hu, lungs, lesions, wanted.window_hu)


def see_case(case: Case, models: Models, wanted: ClassifierInput) -> NetworkInput:
    """One case as the node would show it to a classifier; a prepared one as its box is.

    Parameters
    ----------
    models
        Find the lungs; masks of the list are not looked at.
    wanted
        What the classifier sees.

    Raises
    ------
    PipelineError
        If it cannot be read, is no chest CT, has no lungs, or was prepared with another label.
    """
    if case.path.name.endswith(SUFFIX):
        require_label(case)
        prepared = load(case.path)
        shape = prepared.hu.shape
        return NetworkInput(
            tensor=plain_picture(prepared, wanted).seen[np.newaxis],
            low=(0, 0, 0),
            high=(shape[0] - 1, shape[1] - 1, shape[2] - 1),
            source_shape=(shape[0], shape[1], shape[2]),
        )
    volume = plausible(read_volume(case.path))
    return network_input(volume, segment.segment(volume, models), wanted)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A case as a classifier sees it.

    Attributes
    ----------
    seen
        ``(2, planes, rows, columns)`` float32: attenuation 0..1, lung mask 0/1.
    lungs, lesions
        ``(planes, rows, columns)`` float32, 0 or 1.
    """

    seen: Floats
    lungs: Floats
    lesions: Floats


def _picture(hu: Floats, lungs: Floats, lesions: Floats, window_hu: tuple[float, float]) -> Picture:
    lungs, lesions = ((mask >= MASK_LEVEL).astype(np.float32) for mask in (lungs, lesions))
    return Picture(seen=np.stack([window(hu, window_hu), lungs]), lungs=lungs, lesions=lesions)
