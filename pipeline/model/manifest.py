"""Read the manifest of a model folder, ``manifest.json``, into frozen values.

Preprocessing constants and operating points are part of the model: they were chosen on the data
the weights were fitted to, and are not turned on site.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date
from math import nextafter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PositiveInt,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from pipeline.errors import ModelError

#: The model that comes with the package.
BUNDLED = Path(__file__).parents[1] / "weights" / "opacities-2"
MANIFEST = "manifest.json"  #: its name in a model folder
DEFAULT_POINT = "default"  #: the operating point that is used unless a site sets its own
UNET_STRIDE = 16  #: the UNet halves its input four times


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    if window[0] >= window[1]:
        raise ValueError(f"expected lower bound < upper bound, got {window[0]} and {window[1]}")
    return window


def _at_default(points: dict[str, OperatingPoint]) -> dict[str, OperatingPoint]:
    if DEFAULT_POINT not in points:
        raise ValueError(f"expected a point named '{DEFAULT_POINT}', got {sorted(points)}")
    return points


#: Figures of a scan that `pipeline.scan_quality.measure` measures.
AcquisitionFigure = Literal[
    "slice_mm", "pixel_mm", "noise_hu", "noise_frequency", "soft_tissue_hu", "mediastinum_hu", "cut"
]
Bounds = Annotated[tuple[float, float], AfterValidator(_rising)]
#: Lower and upper bound of the attenuation window, HU; mapped to 0 and 1.
WindowHu = Bounds
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*\.safetensors$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Text = Annotated[str, Field(min_length=1)]
#: Written into objects of any character set: ASCII without backslash, and LO has 64 characters.
Label = Annotated[str, Field(pattern=r"^[ -\[\]-~]{1,40}$")]
Share = Annotated[float, Field(ge=0, le=1)]


class LungsInput(_Value):
    """Input of the UNet: whole slices of ``size`` x ``size`` pixels."""

    size: Annotated[int, Field(gt=0, multiple_of=UNET_STRIDE)]
    window_hu: WindowHu


class ClassifierInput(_Value):
    """Input of the classifier: the box of the lungs with a margin, resampled.

    `sampling` is the number of the way. 1: the box is stretched to `rows` x `columns`, by single
    values between voxels. 2: square pixels of `pixel_mm`, each the mean over its area, in a box
    that reaches outward to whole cells of the feature map; `rows` and `columns` are those of a
    picture in training.
    """

    rows: PositiveInt
    columns: PositiveInt
    slice_mm: Annotated[float, Field(gt=0)]
    window_hu: WindowHu
    margin_mm: Annotated[float, Field(ge=0)]
    sampling: Literal[1, 2] = 1
    pixel_mm: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _pixels_have_a_size(self) -> Self:
        if (self.pixel_mm is None) == (self.sampling == 2):
            raise ValueError(
                f"pixel_mm with sampling 2 and not with 1 expected, got sampling {self.sampling}"
                f" and pixel_mm {self.pixel_mm}"
            )
        return self

    def as_settings(self) -> dict[str, Any]:
        """All of it for JSON; what older versions did not have only where it is used."""
        return self.model_dump(mode="json", exclude_defaults=True)


class NetworkEntry(_Value):
    """One network: its architecture and its file."""

    architecture: str
    file: FileName
    sha256: Sha256
    parameters: PositiveInt


class LungsEntry(NetworkEntry):
    """The network that finds the lungs."""

    architecture: Literal["unet-2d", "unet-2d-slicewise"]
    input: LungsInput


class ClassifierEntry(NetworkEntry):
    """The network that scores a series."""

    architecture: Literal["decovnet", "evidence-net"]
    input: ClassifierInput


class Networks(_Value):
    """The networks of a model."""

    lungs: LungsEntry
    classifier: ClassifierEntry

    @property
    def digest(self) -> str:
        """Of the weights that a score depends on, whatever its temperature."""
        return digest_of_weights(self.lungs.sha256, self.classifier.sha256)


def digest_of_weights(lungs_sha256: str, classifier_sha256: str) -> str:
    """One SHA-256 for the weights of both networks."""
    return hashlib.sha256(f"{lungs_sha256} {classifier_sha256}".encode()).hexdigest()


class Calibration(_Value):
    """Temperature by which the logits are divided (Guo et al. 2017, arXiv:1706.04599)."""

    temperature: Annotated[float, Field(gt=0)]


class OperatingPoint(_Value):
    """A threshold on the calibrated score, and where it comes from."""

    threshold: Share
    source: Annotated[Text, Field(alias="from")]


class MeasuredShare(_Value):
    """So many of the cases, none of which had a part in choosing; Wilson's 95 % interval."""

    count: Annotated[int, Field(ge=0)]
    cases: PositiveInt
    low: Share
    high: Share


class ConformalLevel(_Value):
    """Thresholds on the calibrated score that keep a promise (`pipeline.classifier.conformal`)."""

    coverage: Annotated[float, Field(gt=0, lt=1)]
    negative_at_most: Share
    positive_at_least: Share
    measured_negative: MeasuredShare | None = None
    measured_positive: MeasuredShare | None = None

    @property
    def indeterminate(self) -> tuple[float, float]:
        """Scores from where, and up to where, both included, both classes are left open, or none.

        A score at a bound of the gap in which neither class is left open leaves one open.
        """
        if self.positive_at_least <= self.negative_at_most:
            return self.positive_at_least, self.negative_at_most
        return nextafter(self.negative_at_most, 1), nextafter(self.positive_at_least, 0)


class Conformal(_Value):
    """Prediction sets of the model; the first level is the one that is reported."""

    levels: Annotated[tuple[ConformalLevel, ...], Field(min_length=1)]
    negatives: PositiveInt
    positives: PositiveInt
    source: Annotated[Text, Field(alias="from")]


class ScannerGroup(_Value):
    """Scanners whose series may have bounds of their own.

    `scanners` are the names with which results of theirs are stored. `conformal` is missing where
    there were too few cases: the sets of all hold. Of new cases like those that chose the bounds
    a share between `kept_negative` (`kept_positive`) has its own class in the set of the first
    level, with 95 %; `by_all_negative` (`by_all_positive`) says what the sets of all kept of the
    cases on which those of the group were measured.
    """

    scanners: Annotated[tuple[Text, ...], Field(min_length=1)]
    negatives: Annotated[int, Field(ge=0)]
    positives: Annotated[int, Field(ge=0)]
    conformal: Conformal | None = None
    kept_negative: tuple[Share, Share] | None = None
    kept_positive: tuple[Share, Share] | None = None
    by_all_negative: MeasuredShare | None = None
    by_all_positive: MeasuredShare | None = None


def _each_in_one(groups: dict[str, ScannerGroup]) -> dict[str, ScannerGroup]:
    listed = Counter(name for group in groups.values() for name in set(group.scanners))
    if several := sorted(name for name, count in listed.items() if count > 1):
        raise ValueError(f"expected each scanner in one group, got {', '.join(several)} in several")
    return groups


class ReferenceEntry(_Value):
    """Features of cases of the training's kind: those far from them are doubted.

    `limit` is the distance (`pipeline.model.feature_reference`) that the share `quantile` of such
    cases stays within; `flagged` says how many of other such cases lay beyond.
    """

    file: FileName
    sha256: Sha256
    cases: PositiveInt
    quantile: Annotated[float, Field(gt=0, lt=1)]
    limit: Annotated[float, Field(gt=0)]
    source: Annotated[Text, Field(alias="from")]
    flagged: MeasuredShare | None = None


class Card(_Value):
    """The model card: what it was made of, what it is for, and what not."""

    trained_on: Annotated[tuple[Text, ...], Field(min_length=1)]
    intended_use: Text
    not_for: tuple[Text, ...]
    limits: tuple[Text, ...]
    metrics: dict[str, JsonValue]
    reproduce: Text


class Manifest(_Value):
    """Networks, calibration, operating points and model card of a model folder."""

    name: Label
    version: Label
    created: date
    networks: Networks
    calibration: Calibration
    operating_points: Annotated[dict[str, OperatingPoint], AfterValidator(_at_default)]
    conformal: Conformal | None = None
    scanner_groups: Annotated[dict[Text, ScannerGroup], AfterValidator(_each_in_one)] = {}
    reference: ReferenceEntry | None = None
    acquisition: dict[AcquisitionFigure, Bounds] = {}
    card: Card

    def group_of(self, scanner: str) -> tuple[str, ScannerGroup] | None:
        """Find the group of a scanner, with its name; None if it is in none."""
        for name, group in self.scanner_groups.items():
            if scanner in group.scanners:
                return name, group
        return None


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Read the manifest of a model folder, and its SHA-256, without loading any weights.

    Raises
    ------
    ModelError
        If it is missing, unreadable or faulty; the message lists every fault.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ModelError(f"expected a model folder with {MANIFEST}, found none in {folder}")
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"expected a readable file {path}, got: {exc.strerror}") from exc
    return parse_manifest(raw), hashlib.sha256(raw).hexdigest()


def parse_manifest(raw: bytes) -> Manifest:
    """Manifest out of the bytes of its file.

    Raises
    ------
    ModelError
        If it is faulty; the message lists every fault with its place.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as exc:
        faults = "; ".join(_fault(fault) for fault in exc.errors(include_url=False))
        raise ModelError(f"manifest.json is not as expected: {faults}") from exc


def _fault(fault: ErrorDetails) -> str:
    """Say the place, what was expected and what was there."""
    place = ".".join(str(part) for part in fault["loc"]) or "file"
    return f"{place}: {fault['msg']}, got {_short(fault['input'])}"


def _short(value: object) -> str:
    """Representation of a value, cut to fit in a message."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
