"""The values that flow through the pipeline.

One convention everywhere: arrays are indexed ``[slice, row, column]``; slices ascend from
feet to head; an affine maps ``(slice, row, column, 1)`` to ``(x, y, z, 1)`` in mm, LPS
(DICOM PS3.3 C.7.6.2.1.1); attenuation is in Hounsfield units. Rows and columns are those of
the source images: nothing is flipped in the plane (see :mod:`pipeline.series.orientation`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.lobar_extent import LobarExtent
from pipeline.low_attenuation import LowAttenuation


class Completeness(StrEnum):
    """Certainty that every slice of the series has arrived."""

    PROVED = "complete, proved"  #: no gap, and somebody else told as many
    QUIET = "complete as far as known"  #: no gap, and nothing arrived for the quiet time
    INCOMPLETE = "incomplete"  #: slices are missing; where is stated


class Side(StrEnum):
    """A side of the patient."""

    RIGHT = "right"
    LEFT = "left"


class Planes(Protocol):
    """A map on the grid of a volume, by slices: an array, or what makes its planes one by one."""

    def __len__(self) -> int:
        """Count the slices."""

    def __getitem__(self, index: int, /) -> NDArray[np.float32]:
        """Give the plane ``(rows, columns)`` of a slice."""

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Give the planes in turn."""


RIGHT_LUNG = 1  #: label in ``LungMask.labels``
LEFT_LUNG = 2  #: label in ``LungMask.labels``
LUNG_OF_OPEN_SIDE = 3  #: label in ``LungMask.labels``: a lung, but not clear which


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFrame:
    """Source of one slice of a volume.

    Attributes
    ----------
    frame_number
        1-based frame of a multi-frame instance; None for a single-frame instance.
    """

    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtVolume:
    """A CT series as one regular grid.

    Attributes
    ----------
    hu
        ``(slices, rows, columns)`` int16, Hounsfield units. Made read-only.
    affine
        ``(4, 4)`` float64, voxel index ``(slice, row, column)`` to LPS mm. Made read-only.
    frame_of_reference_uid
        Frame of Reference UID of the source; empty if the source has none.
    source
        One entry per slice; None for a slice that was missing and has been interpolated.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]
    frame_of_reference_uid: str
    source: tuple[SourceFrame | None, ...]

    def __post_init__(self) -> None:
        if self.hu.ndim != 3 or self.hu.dtype != np.int16:
            raise ValueError(f"hu must be 3-D int16, got {self.hu.shape} {self.hu.dtype}")
        if self.affine.shape != (4, 4):
            raise ValueError(f"affine must be (4, 4), got {self.affine.shape}")
        if len(self.source) != len(self.hu):
            raise ValueError(f"{len(self.hu)} slices need as many sources, got {len(self.source)}")
        self.hu.flags.writeable = False
        self.affine.flags.writeable = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        slices, rows, columns = self.hu.shape
        return slices, rows, columns

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along slice, row and column index, mm."""
        along = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(along[0]), float(along[1]), float(along[2])

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel, mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A run of missing slices.

    Attributes
    ----------
    after_slice
        0-based index, in the assembled volume, of the last slice before the gap.
    missing
        How many slices are missing.
    position_mm
        Position of the slice before the gap along the slice normal, mm.
    """

    after_slice: int
    missing: int
    position_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Images of a series that are no part of its volume, left out by one rule.

    Attributes
    ----------
    code
        A `pipeline.reasons.UnsuitableReason`: what a series of such images would be refused for.
    images
        How many; frames, of multi-frame images that are left out in part.
    """

    code: str
    images: int
    sop_instance_uids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GeometryVerdict:
    """Regularity and completeness of a series, by the positions of its slices.

    Attributes
    ----------
    spacing_mm
        Distance between neighbouring slices along the normal, mm.
    coverage_mm
        Extent along the normal, first to last slice centre, mm.
    gaps
        Missing slices (interpolated in the volume), feet to head.
    duplicates
        SOP Instance UIDs left out because another instance has the same position.
    left_out
        Other images that are no part of the volume.
    completeness, statement
        The verdict and one sentence for the report.
    closed_by
        The proof by which the series was taken for complete; empty if none is known.
    """

    spacing_mm: float
    coverage_mm: float
    gaps: tuple[Gap, ...] = ()
    duplicates: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    completeness: Completeness = Completeness.QUIET
    statement: str = ""
    closed_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonHeader:
    """What the instances of a series say together; see :mod:`pipeline.series.common_header`.

    Attributes
    ----------
    header
        The header that speaks for the series: what most instances say, completed from all.
    instances
        How many there are.
    differing
        By keyword, how many say something else than most; absent and empty is nothing else.
    """

    header: Dataset
    instances: int
    differing: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CtSeries:
    """A CT series ready to be analysed.

    Attributes
    ----------
    common
        What the headers say together.
    headers
        The source datasets without pixel data, one per instance, feet to head (a
        multi-frame series has one). Duplicates left out of the volume are left out here.
    instance_count
        How many instances were given, duplicates included.
    """

    volume: CtVolume
    headers: tuple[Dataset, ...]
    common: CommonHeader
    geometry: GeometryVerdict
    instance_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Reason to trust an analysis less.

    Attributes
    ----------
    code
        A `pipeline.reasons.QualityFlag`, or one of another version in a kept analysis.
    text
        The figure, and what was expected; no full stop.
    """

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFigures:
    """Figures of a scan by which a scanner is watched; None where one cannot be measured.

    Attributes
    ----------
    noise_hu, slice_mm, pixel_mm, mediastinum_hu
        As in `pipeline.scan_quality.measure.AcquisitionFacts`.
    air_hu
        As in `pipeline.scan_quality.measure.air_hu`.
    distance
        From the training data, as in `pipeline.model.feature_reference`.
    """

    noise_hu: float | None
    slice_mm: float | None
    pixel_mm: float | None
    mediastinum_hu: float | None
    air_hu: float | None
    distance: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LungMask:
    """The lungs, opacities included, airways left out.

    Attributes
    ----------
    labels
        ``(slices, rows, columns)`` uint8: 0 outside, `RIGHT_LUNG`, `LEFT_LUNG`,
        `LUNG_OF_OPEN_SIDE`. Read-only.
    method
        ``unet`` or ``unsupervised``: which one passed the quality gates and was used.
    doubts
        Quality gates that it did not pass, without being refused.
    """

    labels: NDArray[np.uint8]
    method: str
    doubts: tuple[Doubt, ...] = ()

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.dtype != np.uint8:
            raise ValueError(
                f"labels must be 3-D uint8, got {self.labels.shape} {self.labels.dtype}"
            )
        self.labels.flags.writeable = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Reason codes of the doubts."""
        return tuple(dict.fromkeys(doubt.code for doubt in self.doubts))


class ScoreClass(StrEnum):
    """Class that a score may speak for."""

    NEGATIVE = "negative"
    POSITIVE = "positive"


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionSet:
    """Classes that a score leaves open (`pipeline.classifier.conformal`).

    Attributes
    ----------
    coverage
        Share of each class that is promised to have its own class in the set, 0 to 1.
    classes
        One; both, if the score cannot tell; none, if it is like neither.
    """

    coverage: float
    classes: tuple[ScoreClass, ...]

    @property
    def words(self) -> str:
        """The set in words, as ``supports only 'positive' (90 % coverage)``."""
        unsure = {0: "not certain: neither fits", len(ScoreClass): "not certain: both possible"}
        words = unsure.get(len(self.classes)) or f"supports only '{self.classes[0]}'"
        return f"{words} ({100 * self.coverage:g} % coverage)"


class Answer(StrEnum):
    """On which side of the threshold, or of the indeterminate range, a score lies."""

    BELOW = "below"
    INDETERMINATE = "indeterminate"
    ABOVE = "above"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannerBounds:
    """Group of a series' scanner, where a site takes bounds by scanner.

    Attributes
    ----------
    group
        Its name in the model's manifest; empty if the scanner is in none.
    own
        Whether the group's own bounds decide, or those of all scanners.
    negatives, positives
        Cases of the group by which the model was calibrated.
    """

    group: str = ""
    own: bool = False
    negatives: int = 0
    positives: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """The classifier's answer. A model output, never a diagnosis.

    Attributes
    ----------
    score
        Calibrated model output for the class COVID-19, 0 to 1.
    threshold
        Scores strictly above it are called positive.
    operating_point
        Where the threshold comes from: ``prediction sets``, ``prediction sets of the scanner
        group``, a name in the model's manifest, or ``site``.
    indeterminate_from
        Scores from here up to the threshold, both included, are indeterminate; None where the
        threshold alone decides.
    prediction_set
        None if the model has no conformal thresholds.
    scanner_bounds
        None where the site does not take bounds by scanner, or has set a threshold.
    """

    score: float
    threshold: float
    operating_point: str
    indeterminate_from: float | None = None
    prediction_set: PredictionSet | None = None
    scanner_bounds: ScannerBounds | None = None

    @property
    def answer(self) -> Answer:
        """One of three answers; one of two where the threshold alone decides."""
        if self.score > self.threshold:
            return Answer.ABOVE
        if self.indeterminate_from is not None and self.score >= self.indeterminate_from:
            return Answer.INDETERMINATE
        return Answer.BELOW

    @property
    def positive(self) -> bool:
        """True if the answer is above."""
        return self.answer is Answer.ABOVE

    @property
    def decided(self) -> bool | None:
        """True if positive, False if negative, None if indeterminate."""
        return None if self.answer is Answer.INDETERMINATE else self.positive

    @property
    def uncertain(self) -> bool:
        """True if there is a prediction set, and it leaves both classes open, or none."""
        return self.prediction_set is not None and len(self.prediction_set.classes) != 1

    @property
    def contradicted(self) -> bool:
        """True if the prediction set leaves one class open, and the threshold calls the other."""
        if self.prediction_set is None or self.uncertain:
            return False
        if self.answer is Answer.INDETERMINATE:
            return False
        called = ScoreClass.POSITIVE if self.positive else ScoreClass.NEGATIVE
        return called not in self.prediction_set.classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """One localised opacity inside the lungs.

    Attributes
    ----------
    number
        1-based label in ``Analysis.lesion_labels``, largest lesion first.
    side
        None if it lies in both lungs, or in one whose side is open.
    volume_mm3
        Volume, mm³.
    centroid_mm
        Centre of mass ``(x, y, z)``, LPS mm.
    mean_hu
        Mean attenuation, HU.
    activation
        Mean activation of the classifier over the voxels, 0 to 1.
    key_slice
        0-based slice of the volume where the lesion's area is largest.
    long_axis_mm
        Longest diameter in the plane of its largest connected area on the key slice, mm.
    consolidation_mm3
        Part of the volume that is consolidation by its attenuation
        (`pipeline.opacity_content.CONSOLIDATION_MIN_HU`), mm³. This and the long axis are None in
        an analysis that was kept before they were measured.
    """

    number: int
    side: Side | None
    volume_mm3: float
    centroid_mm: tuple[float, float, float]
    mean_hu: float
    activation: float
    key_slice: int
    long_axis_mm: float | None = None
    consolidation_mm3: float | None = None

    @property
    def volume_ml(self) -> float:
        """Volume, ml."""
        return self.volume_mm3 / 1000

    @property
    def solid(self) -> bool:
        """Whether consolidation makes up half of the volume or more; not if it was not measured."""
        return self.consolidation_mm3 is not None and 2 * self.consolidation_mm3 >= self.volume_mm3

    @property
    def ground_glass_mm3(self) -> float | None:
        """Part of the volume that is no consolidation, mm³; None if that was not measured."""
        if self.consolidation_mm3 is None:
            return None
        return self.volume_mm3 - self.consolidation_mm3


@dataclass(frozen=True, slots=True, kw_only=True)
class Involvement:
    """Lung volumes, and the share of each taken by lesions.

    Attributes
    ----------
    right_ml, left_ml
        Lung volume, opacities included, ml; 0 if no such lung was found.
    open_ml
        Volume of lung whose side is open, ml.
    right, left, total
        Lesion volume over lung volume, 0 to 1; None where lesions are not reported, and for a
        lung that was not found.
    """

    right_ml: float
    left_ml: float
    right: float | None
    left: float | None
    total: float | None
    open_ml: float = 0.0

    @property
    def total_ml(self) -> float:
        """Volume of all lung, ml."""
        return self.right_ml + self.left_ml + self.open_ml


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Dense patch, or solid body, within the lungs that is no lesion (`pipeline.lesions.changes`).

    Attributes
    ----------
    side
        None if it lies in both lungs, or in one whose side is open.
    voxel
        0-based slice, row and column of the volume, each the one where its area is largest.
    solid
        Whether it is a body as dense as tissue, such as a mass.
    """

    volume_ml: float
    side: Side | None
    voxel: tuple[int, int, int]
    solid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreported:
    """Changes that were found and are neither outlined nor listed.

    Opacities, where the score is negative; and whatever else is dense without being a lesion.

    Attributes
    ----------
    share
        Of all lung, 0 to 1.
    right, left
        Of each lung; None of one that was not found.
    largest_ml
        Volume of the largest one, ml.
    solid_ml
        Volume of the largest solid one, ml; 0 where none is solid.
    voxel
        0-based slice, row and column of the volume, each the one where the area is largest of
        the largest solid one if that is to be named, else of the largest.
    """

    share: float
    largest_ml: float
    voxel: tuple[int, int, int]
    right: float | None = None
    left: float | None = None
    solid_ml: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Model, software, settings and time of an analysis.

    Attributes
    ----------
    parameters
        Settings that change results, as ``name: value`` for the report.
    weights_sha256
        SHA-256 of the model's manifest (which holds those of the weight files).
    """

    model_name: str
    model_version: str
    weights_sha256: str
    software_version: str
    device: str
    started: datetime
    finished: datetime
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysis:
    """All that was found in one series, on the grid of its volume.

    Attributes
    ----------
    lesion_labels
        ``(slices, rows, columns)`` uint8: 0 none, else `Lesion.number`. Read-only.
    activation
        ``(slices, rows, columns)`` uint8: class activation, 0 to 255 for 0 to 1. Read-only.
    flags
        Reason codes: quality of the input or of a step that a reader should know of.
    doubts
        Those of the flags that a figure stands behind, with it.
    changes
        What is dense and no lesion, the largest first; none in an analysis that was kept before
        it was looked for.
    unreported
        What is neither outlined nor listed, where it is so much that a reader must know; else None.
    low_attenuation
        None where the scan does not allow to measure it, and in an analysis that was kept before
        it was measured.
    lobar
        None where lobes are not asked for, or opacities not reported.
    figures
        None in an analysis that was kept before they were measured.
    """

    lungs: LungMask
    classification: Classification
    activation: NDArray[np.uint8]
    lesion_labels: NDArray[np.uint8]
    lesions: tuple[Lesion, ...]
    involvement: Involvement
    provenance: Provenance
    flags: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    changes: tuple[Change, ...] = ()
    unreported: Unreported | None = None
    low_attenuation: LowAttenuation | None = None
    lobar: LobarExtent | None = None
    figures: ScanFigures | None = None

    def __post_init__(self) -> None:
        for name in ("activation", "lesion_labels"):
            array = getattr(self, name)
            if array.shape != self.lungs.labels.shape or array.dtype != np.uint8:
                raise ValueError(f"{name} must be uint8 of the lungs' shape, got {array.shape}")
            array.flags.writeable = False
