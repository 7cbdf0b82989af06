"""Judge by its header whether one image may be a slice of a chest CT.

What comes along in a series beside its slices (localizers, dose pages, screen saves, projections)
is told by rules that look at one image alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import code, codes, items, optional_integer, text
from pipeline.series.frames import Frame
from pipeline.series.positions import Stack, stack
from pipeline.series.sop_classes import CT_CLASSES, MULTI_FRAME_CT
from pipeline.wording import figure

PLANE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Image Plane module (PS3.3 C.7.6.2): an image with none of it shows no place of the patient."""
NOT_AXIAL_WORDS = (
    *("LOCALIZER", "MPR", "CSA MPR", "MIP", "CSA MIP", "MINIP", "PROJECTION IMAGE"),
    *("SCREEN SAVE", "SCREENSAVE", "DOSE_INFO"),
)
"""Values of Image Type that no slice of a volume has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """Conditions that a series must meet to be analysed.

    Attributes
    ----------
    min_slices
        Fewest slices.
    max_spacing_mm
        Largest distance between slices: thicker ones hide small opacities.
    min_coverage_mm
        Least extent along the body: an adult's lungs are 200 to 300 mm high.
    require_original
        Refuse images derived from other images (Image Type value 1).
    own_uids
        Marks of this node's own results: its Device UID, and its Instance Creator UID, which
        those of its earlier models have as well.
    exclude_description
        Regular expression, searched in Series Description, case ignored; empty
        excludes nothing.
    """

    min_slices: int = 30
    max_spacing_mm: float = 5.0
    min_coverage_mm: float = 150.0
    require_original: bool = True
    own_uids: frozenset[str] = frozenset()
    exclude_description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Reason for which a series is not analysed.

    Attributes
    ----------
    text
        One sentence for people.
    """

    code: UnsuitableReason
    text: str


def _own_result(header: Dataset, rules: SelectionRules) -> Reason | None:
    equipment = items(header, "ContributingEquipmentSequence")
    makers = {text(item, "DeviceUID") for item in (header, *equipment)}
    if rules.own_uids & {*makers, text(header, "InstanceCreatorUID")}:
        return Reason(code=UnsuitableReason.OWN_RESULT, text="The series is a result of this node.")
    return None


def _not_ct(header: Dataset, _: SelectionRules) -> Reason | None:
    sop_class, modality = text(header, "SOPClassUID"), code(header, "Modality")
    for keyword, value in (("SOPClassUID", sop_class), ("Modality", modality)):
        if not value:
            raise UnsuitableSeries(
                UnsuitableReason.MISSING_ATTRIBUTE, f"{keyword} expected, got none"
            )
    if modality != "CT" or sop_class not in CT_CLASSES:
        return Reason(
            code=UnsuitableReason.NOT_CT,
            text=f"CT images expected, got {modality} of SOP class {sop_class}.",
        )
    return None


def _not_original(header: Dataset, rules: SelectionRules) -> Reason | None:
    kinds = codes(header, "ImageType")
    if not kinds:
        raise UnsuitableSeries(UnsuitableReason.MISSING_ATTRIBUTE, "ImageType expected, got none")
    return not_an_original_slice(kinds, rules)


def not_an_original_slice(kinds: Sequence[str], rules: SelectionRules) -> Reason | None:
    """Judge the values of Image Type, or of Frame Type, in upper case."""
    if "LOCALIZER" in kinds:
        return Reason(code=UnsuitableReason.LOCALIZER, text="Slices expected, got a localizer.")
    if rules.require_original and kinds[0] not in ("ORIGINAL", "MIXED"):
        return Reason(
            code=UnsuitableReason.NOT_ORIGINAL, text=f"Original images expected, got {kinds[0]}."
        )
    words = [kind for kind in kinds if kind in NOT_AXIAL_WORDS]
    if words:
        return Reason(
            code=UnsuitableReason.NOT_AXIAL, text=f"Axial slices expected, got {words[0]}."
        )
    return None


def _excluded(header: Dataset, rules: SelectionRules) -> Reason | None:
    if not rules.exclude_description:
        return None
    found = re.search(rules.exclude_description, text(header, "SeriesDescription"), re.IGNORECASE)
    if found is None:
        return None
    return Reason(
        code=UnsuitableReason.EXCLUDED_DESCRIPTION,
        text=f"Series Description matches the excluded {rules.exclude_description!a}.",
    )


def _no_picture(header: Dataset, _: SelectionRules) -> Reason | None:
    """Find colour pictures, and images without anything of a plane: screens, dose pages.

    One that has a part of a plane, such as the Pixel Spacing of a capture, has a fault: it may be
    a slice that lost the rest.
    """
    samples = optional_integer(header, "SamplesPerPixel")
    if samples is not None and samples > 1:
        return Reason(code=UnsuitableReason.NOT_CT, text="Grey images expected, got one in colour.")
    if text(header, "SOPClassUID") in MULTI_FRAME_CT or any(text(header, k) for k in PLANE):
        return None
    return Reason(
        code=UnsuitableReason.NO_PLANE, text=f"{', '.join(PLANE)} expected, got none of them."
    )


Rule = Callable[[Dataset, SelectionRules], Reason | None]
_IMAGE_RULES: tuple[Rule, ...] = (_own_result, _not_ct, _not_original, _excluded, _no_picture)


def of_another_kind(header: Dataset, rules: SelectionRules) -> Reason | None:
    """First rule that an image breaks by itself; None if it may be a slice.

    Raises
    ------
    UnsuitableSeries
        ``missing-attribute``, if what decides that is absent.
    """
    return next((found for rule in _IMAGE_RULES if (found := rule(header, rules))), None)


def too_short(found: Stack, rules: SelectionRules) -> Reason | None:
    """First rule about number, distance and extent of the slices that a stack breaks."""
    return next(_extent_reasons(found, rules), None)


def is_whole(frames: Sequence[Frame], rules: SelectionRules) -> bool:
    """Whether frames are a regular stack as long and as dense as a chest CT."""
    try:
        found = stack(frames)
    except UnsuitableSeries:
        return False
    return too_short(found, rules) is None


def _extent_reasons(found: Stack, rules: SelectionRules) -> Iterator[Reason]:
    slices = sum(frame is not None for frame in found.frames)
    coverage = found.spacing_mm * (len(found.frames) - 1)
    if slices < rules.min_slices:
        yield Reason(
            code=UnsuitableReason.TOO_FEW_SLICES,
            text=f"{rules.min_slices} slices or more expected, got {slices}.",
        )
    if round(coverage, 3) < rules.min_coverage_mm:
        yield Reason(
            code=UnsuitableReason.TOO_LITTLE_COVERAGE,
            text=f"{rules.min_coverage_mm:g} mm or more expected, got"
            f" {figure(coverage, rules.min_coverage_mm, digits=1)} mm.",
        )
    if round(found.spacing_mm, 3) > rules.max_spacing_mm:
        yield Reason(
            code=UnsuitableReason.SLICES_TOO_FAR_APART,
            text=f"Slices {rules.max_spacing_mm:g} mm apart or less expected,"
            f" got {figure(found.spacing_mm, rules.max_spacing_mm)}.",
        )
