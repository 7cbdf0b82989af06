"""Judge whether a series is one that the algorithm is meant for, by headers and attenuation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import code, codes, items, text
from pipeline.series.common_header import ONE_PATIENT, comparable
from pipeline.series.frames import Frame, frames_of
from pipeline.series.hounsfield import HIGHEST_HU, LOWEST_HU
from pipeline.series.positions import MIN_AXIAL, SAME_POSITION_MM, check_alike
from pipeline.series.sop_classes import CT_CLASSES
from pipeline.types import CtVolume

NOT_AXIAL_WORDS = ("LOCALIZER", "MPR", "CSA MPR", "MIP", "PROJECTION IMAGE")

NOT_MEANT = frozenset(
    {
        UnsuitableReason.OWN_RESULT,
        UnsuitableReason.NOT_CT,
        UnsuitableReason.LOCALIZER,
        UnsuitableReason.NOT_ORIGINAL,
        UnsuitableReason.NOT_AXIAL,
        UnsuitableReason.EXCLUDED_DESCRIPTION,
    }
)
"""Codes of what comes along with chest CT and is no chest CT: nobody waits for its analysis."""

# Attenuation that a chest must hold: our choice, from the usual values of these tissues.
ELIGIBLE_AIR_HU = (-1024, -900)  #: HU; around the patient and in the airways
ELIGIBLE_LUNG_HU = (-950, -300)  #: HU; aerated lung, ground glass included
ELIGIBLE_SOFT_TISSUE_HU = (-50, 150)  #: HU; muscle, blood, liver
MIN_AIR_SHARE = 0.005  #: of all voxels: there is some in every field that holds a thorax
MIN_LUNG_SHARE = 0.005
MIN_SOFT_SHARE = 0.03
SAMPLED_STEP = 4  #: every 4th row and column is looked at


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


def why_not(headers: Sequence[Dataset], rules: SelectionRules) -> Reason | None:
    """Judge a series by its headers alone.

    Parameters
    ----------
    headers
        One dataset per instance, with or without Pixel Data, in any order.

    Returns
    -------
    Reason or None
        The first rule that is broken, the most telling first; None if the series is ours.
    """
    if not headers:
        return Reason(
            code=UnsuitableReason.NO_INSTANCES, text="1 instance or more expected, got 0."
        )
    try:
        return next(_broken(headers, rules), None)
    except UnsuitableSeries as error:
        return Reason(code=error.code, text=f"{error.text}.")


def _broken(headers: Sequence[Dataset], rules: SelectionRules) -> Iterator[Reason]:
    """Reasons in order; lazy, so that no rule meets what an earlier one refuses."""
    for rule in _INSTANCE_RULES:
        for header in headers:
            reason = rule(header, rules)
            if reason is not None:
                yield reason
    yield from _identity_reasons(headers)
    frames = [frame for header in headers for frame in frames_of(header)]
    yield from _plane_reasons(frames)
    yield from _extent_reasons(frames, rules)


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
            return Reason(
                code=UnsuitableReason.MISSING_ATTRIBUTE, text=f"{keyword} expected, got none."
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
        return Reason(code=UnsuitableReason.MISSING_ATTRIBUTE, text="ImageType expected, got none.")
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
        text=f"Series Description matches the excluded {rules.exclude_description!r}.",
    )


Rule = Callable[[Dataset, SelectionRules], Reason | None]
_INSTANCE_RULES: tuple[Rule, ...] = (_own_result, _not_ct, _not_original, _excluded)


def _identity_reasons(headers: Sequence[Dataset]) -> Iterator[Reason]:
    for keyword in ONE_PATIENT:
        values = {comparable(header, keyword) for header in headers} - {""}
        if len(values) > 1:
            yield Reason(
                code=UnsuitableReason.MIXED_IDENTITY,
                text=f"One {keyword} expected, got {len(values)}.",
            )


def _plane_reasons(frames: Sequence[Frame]) -> Iterator[Reason]:
    steepest = min(abs(float(frame.normal[2])) for frame in frames)
    if steepest <= MIN_AXIAL:
        yield Reason(
            code=UnsuitableReason.NOT_AXIAL,
            text=f"Axial slices expected, got a slice normal with z of {steepest:.2f}.",
        )


def _extent_reasons(frames: Sequence[Frame], rules: SelectionRules) -> Iterator[Reason]:
    heights = np.sort([float(frame.position @ frames[0].normal) for frame in frames])
    steps = np.diff(heights)
    steps = steps[steps >= SAME_POSITION_MM]
    if len(steps) + 1 < rules.min_slices:
        yield Reason(
            code=UnsuitableReason.TOO_FEW_SLICES,
            text=f"{rules.min_slices} slices or more expected, got {len(steps) + 1}.",
        )
    check_alike(frames)
    coverage = float(np.ptp(heights))
    if coverage < rules.min_coverage_mm:
        yield Reason(
            code=UnsuitableReason.TOO_LITTLE_COVERAGE,
            text=f"{rules.min_coverage_mm:g} mm or more expected, got {coverage:.1f} mm.",
        )
    spacing = float(np.median(steps)) if len(steps) else 0.0
    if spacing > rules.max_spacing_mm:
        yield Reason(
            code=UnsuitableReason.SLICES_TOO_FAR_APART,
            text=f"Slices {rules.max_spacing_mm:g} mm apart or less expected, got {spacing:.2f}.",
        )


def implausible(volume: CtVolume) -> Reason | None:
    """Judge Hounsfield units; None if there are air, lung and soft tissue enough for a chest."""
    sample = volume.hu[:, ::SAMPLED_STEP, ::SAMPLED_STEP]
    low, high = int(sample.min()), int(sample.max())
    if low == high:
        return Reason(
            code=UnsuitableReason.IMPLAUSIBLE_HU,
            text=f"A picture expected, got {low} HU throughout.",
        )
    if low < LOWEST_HU or high > HIGHEST_HU:
        return Reason(
            code=UnsuitableReason.IMPLAUSIBLE_HU,
            text=f"{LOWEST_HU} to {HIGHEST_HU} HU expected, got {low} to {high} HU.",
        )
    for name, (bottom, top), least in (
        ("air", ELIGIBLE_AIR_HU, MIN_AIR_SHARE),
        ("lung", ELIGIBLE_LUNG_HU, MIN_LUNG_SHARE),
        ("soft tissue", ELIGIBLE_SOFT_TISSUE_HU, MIN_SOFT_SHARE),
    ):
        share = float(((sample >= bottom) & (sample <= top)).mean())
        if share < least:
            return Reason(
                code=UnsuitableReason.IMPLAUSIBLE_HU,
                text=f"{least:.1%} or more voxels of {name} ({bottom} to {top} HU) expected,"
                f" got {share:.1%}.",
            )
    return None


def plausible(volume: CtVolume) -> CtVolume:
    """Return the volume if its attenuation is that of a chest.

    Raises
    ------
    UnsuitableSeries
        ``implausible-hu``, if it is not.
    """
    reason = implausible(volume)
    if reason is not None:
        raise UnsuitableSeries(reason.code, reason.text)
    return volume
