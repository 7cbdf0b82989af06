"""Prepare cases for training: the box of the lungs, resampled once, stored on disk.

Finding the lungs takes longer than learning from them, so it is done once per case; training
draws its random views from these files.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import Case, digest_of
from pipeline.cases.slice_labels import (
    UNKNOWN,
    infected_slices,
    on_planes,
    read_slice_labels,
)
from pipeline.cases.volumes import read_mask, read_volume
from pipeline.classifier.input import AVERAGES, STRETCHED, Index, box, cell_means, lung_box, resize
from pipeline.errors import PipelineError
from pipeline.lungs.segment import segment
from pipeline.model.loading import Models
from pipeline.model.manifest import ClassifierInput

SUFFIX = ".npz"
LENGTH_MM = 288.0  #: planes are stored for lungs of this length; longer or shorter are stretched
SPARE = 8 / 7  #: stored rows and columns per row and column of the network's input
SPARE_OF_AVERAGES = 10 / 7  #: the same of sampling 2, whose boxes have surroundings
SURROUNDINGS_MM = 24.0  #: stored around the box for sampling 2, whose pictures reach beyond it
LUNG_BIT, LESION_BIT = 1, 2

BROKEN = (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile)  #: what a bad file raises

Shape = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """The box of a pair of lungs, on a training's grid.

    Attributes
    ----------
    hu
        ``(planes, rows, columns)`` int16, HU, feet to head.
    lungs, lesions
        bool, same grid.
    lesions_known
        Whether ``lesions`` is the truth; if not, it is empty and nothing may be learnt from it.
    size_mm
        Extent of the box along planes, rows, columns.
    label
        1 positive, 0 negative.
    kind
        Kind of case, for the tables: a painted pattern, or ``given``.
    sampling
        Way in which its voxels were made, see `ClassifierInput`.
    infected
        ``(planes,)`` int8: 1 or 0 as readers labelled the slice there, `UNKNOWN` where they did
        not; None without such labels.
    """

    hu: NDArray[np.int16]
    lungs: NDArray[np.bool_]
    lesions: NDArray[np.bool_]
    lesions_known: bool
    size_mm: Spacing
    label: int
    kind: str = "given"
    sampling: int = STRETCHED
    infected: NDArray[np.int8] | None = None

    @property
    def spacing_mm(self) -> Spacing:
        """Between voxel centres along each axis."""
        z, y, x = (mm / (n - 1) for mm, n in zip(self.size_mm, self.hu.shape, strict=True))
        return z, y, x

    def require_sampling(self, wanted: ClassifierInput) -> None:
        """Refuse a case that was sampled in another way than a network's input.

        Raises
        ------
        PipelineError
            If it was.
        """
        _require_sampling(self.sampling, wanted)


def stored_shape(wanted: ClassifierInput) -> Shape:
    """Planes, rows and columns that a case is stored with for a network's input."""
    length_mm, spare = LENGTH_MM, SPARE
    if wanted.sampling == AVERAGES:
        length_mm, spare = LENGTH_MM + 2 * SURROUNDINGS_MM, SPARE_OF_AVERAGES
    return (
        round(length_mm / wanted.slice_mm),
        round(wanted.rows * spare),
        round(wanted.columns * spare),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGrid:
    """Grid on which the box of a pair of lungs is stored.

    Attributes
    ----------
    low, high
        First and last voxel of the box in the volume; the grid ends on their centres.
    shape
        Planes, rows, columns of the grid.
    size_mm
        Extent of the box along planes, rows, columns.
    averages
        Whether a stored voxel is the mean over its cell, or a single value between voxels.
    """

    low: Index
    high: Index
    shape: Shape
    size_mm: Spacing
    averages: bool

    @classmethod
    def around(
        cls, lungs: NDArray[np.bool_], spacing_mm: Spacing, wanted: ClassifierInput
    ) -> StoredGrid:
        """Put the grid around the lungs of a volume, for a network's input.

        Raises
        ------
        UnsuitableSeries
            ``no-lungs`` if the mask is empty.
        """
        averages = wanted.sampling == AVERAGES
        margin_mm = wanted.margin_mm + (SURROUNDINGS_MM if averages else 0.0)
        low, high = lung_box(lungs, spacing_mm, margin_mm)
        z, y, x = ((b - a) * mm for a, b, mm in zip(low, high, spacing_mm, strict=True))
        return cls(
            low=low,
            high=high,
            shape=stored_shape(wanted),
            size_mm=(z, y, x),
            averages=averages,
        )

    @property
    def planes(self) -> NDArray[np.float64]:
        """Places of the planes among the slices of the volume."""
        return np.linspace(self.low[0], self.high[0], self.shape[0])

    def of(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Bring an array of the volume onto the grid."""
        inside = values[box(self.low, self.high)]
        if not self.averages:
            return resize(inside, self.shape)
        places = [
            np.linspace(0, count - 1, wanted)
            for count, wanted in zip(inside.shape, self.shape, strict=True)
        ]
        return cell_means(inside, places, [float(at[1] - at[0]) for at in places])


def prepare(case: Case, models: Models, wanted: ClassifierInput) -> Prepared:
    """Read a case, find its lungs, cut out and resample their box.

    Raises
    ------
    PipelineError
        If it cannot be read, has no lungs, or a mask does not fit.
    """
    volume = read_volume(case.path)
    if case.lungs is None:
        lungs = segment(volume, models).labels > 0
    else:
        lungs = read_mask(case.lungs, volume) > 0
    grid = StoredGrid.around(lungs, volume.spacing_mm, wanted)
    infected = None
    if case.slices is not None:
        infected = on_planes(infected_slices(read_slice_labels(case.slices), volume), grid.planes)
        if case.label == 0 and (infected == 1).any():
            raise PipelineError("no infected slice expected in a negative case, got some")
        if (infected == UNKNOWN).all():
            raise PipelineError("labels of slices in the lungs expected, all lie beyond them")
    lesions = np.zeros(grid.shape, np.bool_)
    if case.lesions is not None:
        lesions = grid.of(read_mask(case.lesions, volume) > 0) >= 0.5
    return Prepared(
        hu=np.rint(grid.of(volume.hu)).astype(np.int16),
        lungs=grid.of(lungs) >= 0.5,
        lesions=lesions,
        lesions_known=case.lesions is not None or case.label == 0,
        size_mm=grid.size_mm,
        label=int(case.label or 0),
        sampling=wanted.sampling,
        infected=infected,
    )


def prepared(case: Case, models: Models, wanted: ClassifierInput, *, folder: Path) -> Path:
    """Path of a case's prepared file: the case itself, one made earlier, or one made now.

    Raises
    ------
    PipelineError
        As `prepare` and `require_fit`.
    """
    if case.path.name.endswith(SUFFIX):
        require_fit(case, wanted)
        if case.slices is not None and load(case.path).infected is None:
            raise PipelineError(
                "a prepared case with labels of slices expected, got one without: list the images"
                " that it was made of"
            )
        return case.path
    words = f"{case.path.resolve()} {case.lungs} {case.lesions} {case.label}"
    words += f" {stored_shape(wanted)} {wanted.margin_mm}{models.manifest.networks.lungs.sha256}"
    if wanted.sampling == AVERAGES:
        words += f" sampling {wanted.sampling}"
    if case.slices is not None:
        words += f" slices {digest_of(case.slices)}"
    file = folder / f"{hashlib.sha256(words.encode()).hexdigest()[:24]}{SUFFIX}"
    if not file.exists():
        save(file, prepare(case, models, wanted))
    return file


def save(file: Path, case: Prepared) -> None:
    """Write a prepared case; the file is there whole or not at all."""
    stream = io.BytesIO()
    arrays = {
        "hu": case.hu,
        "masks": case.lungs * np.uint8(LUNG_BIT) + case.lesions * np.uint8(LESION_BIT),
        "lesions_known": np.array(case.lesions_known),
        "size_mm": np.array(case.size_mm),
        "label": np.array(case.label),
        "kind": np.array(case.kind),
        "sampling": np.array(case.sampling),
    }
    if case.infected is not None:
        arrays["infected"] = case.infected
    np.savez(stream, allow_pickle=False, **arrays)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, stream.getvalue())


def require_fit(case: Case, wanted: ClassifierInput) -> None:
    """Refuse a prepared case of another label than its list says, or of another sampling.

    Raises
    ------
    PipelineError
        If it is such a case, or the file holds no prepared case.
    """
    _require_sampling(require_label(case), wanted)


def require_label(case: Case) -> int:
    """Refuse a prepared case of another label than its list says.

    Returns
    -------
    int
        How it was sampled.

    Raises
    ------
    PipelineError
        If it is such a case, or the file holds no prepared case.
    """
    try:
        with np.load(case.path, allow_pickle=False) as arrays:
            label, sampling = int(arrays["label"]), _sampling_of(arrays)
    except BROKEN as exc:
        raise _broken(exc) from exc
    if case.label is not None and label != case.label:
        raise PipelineError(f"the list's label {case.label} expected in the case, got {label}")
    return sampling


def _require_sampling(sampling: int, wanted: ClassifierInput) -> None:
    if sampling != wanted.sampling:
        raise PipelineError(
            f"a case prepared with sampling {wanted.sampling} expected, got sampling {sampling}"
            " (`--pixel-mm`, given to synthesise and train alike, makes it 2)"
        )


def _sampling_of(arrays: NpzFile) -> int:
    """Read how a file was sampled: files that do not say so are older, and stretched."""
    return int(arrays["sampling"]) if "sampling" in arrays else STRETCHED


def load(file: Path) -> Prepared:
    """Read a prepared case.

    Raises
    ------
    PipelineError
        If the file holds none.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            masks = arrays["masks"]
            z, y, x = arrays["size_mm"].tolist()
            return Prepared(
                hu=arrays["hu"],
                lungs=(masks & LUNG_BIT) > 0,
                lesions=(masks & LESION_BIT) > 0,
                lesions_known=bool(arrays["lesions_known"]),
                size_mm=(z, y, x),
                label=int(arrays["label"]),
                kind=str(arrays["kind"]),
                sampling=_sampling_of(arrays),
                infected=arrays.get("infected"),
            )
    except BROKEN as exc:
        raise _broken(exc) from exc


def _broken(fault: Exception) -> PipelineError:
    """Say it without the file's name, which may be a patient's."""
    reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else fault
    return PipelineError(f"a prepared case expected, got: {reason}")
