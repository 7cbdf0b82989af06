"""Measure how far a score moves when a scan is changed in ways that should not matter.

Kernel, a shift of attenuation, a small turn, matrix, spacing of slices, the lungs' mask, the margin
of the box, the patient mirrored or upside down: a reader would say the same of each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.cases.case_list import Case
from pipeline.cases.prepared import SUFFIX
from pipeline.cases.volumes import read_volume
from pipeline.classifier.area_average import averaged
from pipeline.classifier.input import network_input
from pipeline.classifier.score import classify
from pipeline.decision import answered
from pipeline.errors import PipelineError
from pipeline.lungs.segment import segment
from pipeline.model.loading import Models
from pipeline.options import AnalysisOptions
from pipeline.series.eligibility import plausible
from pipeline.types import Answer, Classification, CtVolume, LungMask

AS_IT_CAME = "as it came"
SHIFT_HU = 20  #: scanners and calibrations differ by about so much in lung
TURN_DEGREES = 4.0
KERNEL_MM = 0.7  #: standard deviation of the blur that a softer kernel stands for
SHARPENING = 0.8  #: of what that blur takes away, a sharper kernel gives so much
THICK_MM = (3.0, 5.0)
MASK_PIXELS = 3
MARGINS_MM = (2.0, 8.0, 12.0)
OUTSIDE_HU = -1024  #: what a turn brings into the image
INT16 = (-32768, 32767)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change that should not matter.

    Attributes
    ----------
    volume
        Changes the scan; its lungs are found anew, unless ``lungs`` changes them as well.
    lungs
        Changes the labels of the lungs ``(slices, rows, columns)``.
    margin_mm
        Margin of the classifier's box in place of the model's.
    """

    name: str
    volume: Callable[[CtVolume], CtVolume] | None = None
    lungs: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] | None = None
    margin_mm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedScore:
    """Score of a changed case, and the answer that it gives."""

    case: str
    change: str
    score: float
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Spread of one case's scores.

    Attributes
    ----------
    as_it_came
        Score of the case as it is.
    deviation
        Standard deviation of all scores, the unchanged one included.
    answers
        Every answer that was given, in the order of `Answer`.
    """

    case: str
    as_it_came: float
    deviation: float
    low: float
    high: float
    answers: tuple[Answer, ...]

    @property
    def changes_side(self) -> bool:
        """True if one change is answered by above and another by below."""
        return Answer.ABOVE in self.answers and Answer.BELOW in self.answers


def kernel(volume: CtVolume, sharpness: float) -> CtVolume:
    """Blur slices (``sharpness`` -1), or sharpen them by so much of what a blur takes away."""
    _, row_mm, column_mm = volume.spacing_mm
    hu = np.empty_like(volume.hu)
    for plane, out in zip(volume.hu, hu, strict=True):
        sharp = plane.astype(np.float32)
        soft = ndimage.gaussian_filter(sharp, (KERNEL_MM / row_mm, KERNEL_MM / column_mm))
        out[:] = _whole(sharp + sharpness * (sharp - soft))
    return replace(volume, hu=hu)


def shifted(volume: CtVolume, by_hu: int) -> CtVolume:
    """Add to every voxel."""
    return replace(volume, hu=_whole(volume.hu.astype(np.float32) + by_hu))


def turned(volume: CtVolume, degrees: float) -> CtVolume:
    """Turn the patient about his long axis; the grid stays."""
    hu = np.stack(
        [
            ndimage.rotate(plane, degrees, reshape=False, order=1, mode="constant", cval=OUTSIDE_HU)
            for plane in volume.hu
        ]
    )
    return replace(volume, hu=hu)


def half_matrix(volume: CtVolume) -> CtVolume:
    """Average pixels two by two."""
    _, rows, columns = (count // 2 for count in volume.shape)
    hu = np.empty((volume.shape[0], rows, columns), np.int16)
    for plane, out in zip(volume.hu, hu, strict=True):
        even = plane[: 2 * rows, : 2 * columns].astype(np.float32)
        out[:] = _whole(even.reshape(rows, 2, columns, 2).mean(axis=(1, 3)))
    affine = volume.affine.copy()
    affine[:3, 3] += (affine[:3, 1] + affine[:3, 2]) / 2
    affine[:3, 1:3] *= 2
    return replace(volume, hu=hu, affine=affine)


def thick(volume: CtVolume, slice_mm: float) -> CtVolume:
    """Make slices of this thickness and distance, each the mean of what lies within it."""
    width = slice_mm / volume.spacing_mm[0]
    count = max(2, int(len(volume.hu) / width))
    at = (np.arange(count) + 0.5) * width - 0.5
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * at[0]
    affine[:3, 0] *= width
    hu = np.empty((count, *volume.shape[1:]), np.int16)
    for row in range(volume.shape[1]):  # row by row: all at once would need much memory
        hu[:, row] = _whole(averaged(volume.hu[:, row : row + 1], at, width, axis=0)[:, 0])
    return replace(volume, hu=hu, affine=affine, source=(None,) * count)


def flipped(volume: CtVolume, axis: int) -> CtVolume:
    """Reverse the patient along an axis; the grid stays."""
    return replace(volume, hu=np.ascontiguousarray(np.flip(volume.hu, axis)))


def flipped_lungs(labels: NDArray[np.uint8], axis: int) -> NDArray[np.uint8]:
    """Reverse the lungs with him."""
    return np.ascontiguousarray(np.flip(labels, axis))


def grown(labels: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    """Widen the lungs in the plane by so many pixels, or narrow them where that is negative."""
    near = ndimage.iterate_structure(ndimage.generate_binary_structure(2, 1), abs(pixels))
    change = ndimage.grey_dilation if pixels > 0 else ndimage.grey_erosion
    return np.stack([change(plane, footprint=near) for plane in labels])


def changes(spacing_mm: float) -> Iterator[Change]:
    """List the changes for a scan whose slices lie so far apart, mm."""
    yield Change(name=AS_IT_CAME)
    yield Change(name="softer kernel", volume=partial(kernel, sharpness=-1.0))
    yield Change(name="sharper kernel", volume=partial(kernel, sharpness=SHARPENING))
    for by_hu in (SHIFT_HU, -SHIFT_HU):
        yield Change(name=f"{by_hu:+d} HU", volume=partial(shifted, by_hu=by_hu))
    for degrees in (TURN_DEGREES, -TURN_DEGREES):
        yield Change(name=f"turned {degrees:+g} degrees", volume=partial(turned, degrees=degrees))
    yield Change(name="half the matrix", volume=half_matrix)
    for slice_mm in THICK_MM:
        if slice_mm > spacing_mm:
            thicker = partial(thick, slice_mm=slice_mm)
            yield Change(name=f"slices of {slice_mm:g} mm", volume=thicker)
    for pixels in (MASK_PIXELS, -MASK_PIXELS):
        yield Change(name=f"mask {pixels:+d} pixels", lungs=partial(grown, pixels=pixels))
    for margin_mm in MARGINS_MM:
        yield Change(name=f"margin {margin_mm:g} mm", margin_mm=margin_mm)
    for name, axis in (("mirrored", 2), ("slices in reverse", 0)):
        yield Change(
            name=name,
            volume=partial(flipped, axis=axis),
            lungs=partial(flipped_lungs, axis=axis),
        )


def changed_scores(
    case: Case, name: str, models: Models, only: Collection[str] = ()
) -> Iterator[ChangedScore]:
    """Score a case as it came and after each change.

    Parameters
    ----------
    name
        Of the case, for the table.
    only
        Names of the changes that are made; empty makes all.

    Raises
    ------
    PipelineError
        If it is a prepared case, of which there is no scan to change; or if it cannot be read,
        is no chest CT, or has no lungs.
    """
    if case.path.name.endswith(SUFFIX):
        raise PipelineError("a scan expected (DICOM or NIfTI), got a prepared case")
    volume = plausible(read_volume(case.path))
    lungs = segment(volume, models)
    for change in changes(volume.spacing_mm[0]):
        if only and change.name not in {AS_IT_CAME, *only}:
            continue
        try:
            found = _classified(volume, lungs, change, models)
        except PipelineError as fault:
            raise PipelineError(f"{change.name}: {fault}") from fault
        called = answered(found, AnalysisOptions(), models.manifest)
        yield ChangedScore(case=name, change=change.name, score=called.score, answer=called.answer)


def _classified(
    volume: CtVolume, lungs: LungMask, change: Change, models: Models
) -> Classification:
    changed = volume if change.volume is None else change.volume(volume)
    if change.lungs is not None:
        mask = replace(lungs, labels=change.lungs(lungs.labels))
    else:
        mask = lungs if change.volume is None else segment(changed, models)
    wanted = models.manifest.networks.classifier.input
    if change.margin_mm is not None:
        wanted = wanted.model_copy(update={"margin_mm": change.margin_mm})
    return classify(network_input(changed, mask, wanted), models).classification


def _whole(hu: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.rint(hu), *INT16).astype(np.int16)


def names_of(cases: Sequence[Case]) -> list[str]:
    """Name each case by as many of the last parts of its path as tell it from all others."""
    paths = [case.path.resolve() for case in cases]
    for parts in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(map(str, paths))


def spreads(scores: Sequence[ChangedScore]) -> tuple[Spread, ...]:
    """Spread of each case, in the order in which cases first come."""
    return tuple(
        _spread([one for one in scores if one.case == case])
        for case in dict.fromkeys(one.case for one in scores)
    )


def _spread(scores: Sequence[ChangedScore]) -> Spread:
    values = np.array([one.score for one in scores])
    given = {one.answer for one in scores}
    return Spread(
        case=scores[0].case,
        as_it_came=next(one.score for one in scores if one.change == AS_IT_CAME),
        deviation=float(values.std()),
        low=float(values.min()),
        high=float(values.max()),
        answers=tuple(answer for answer in Answer if answer in given),
    )
