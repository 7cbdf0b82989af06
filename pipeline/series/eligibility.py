"""Judge whether a series is one that the algorithm is meant for, by headers and attenuation."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.reasons import UnsuitableReason
from pipeline.series.hounsfield import HIGHEST_HU, LOWEST_HU
from pipeline.series.image_rules import Reason, SelectionRules, too_short
from pipeline.series.selection import Selection, select
from pipeline.types import CtVolume
from pipeline.wording import figure

NOT_MEANT = frozenset(
    {
        UnsuitableReason.OWN_RESULT,
        UnsuitableReason.NOT_CT,
        UnsuitableReason.LOCALIZER,
        UnsuitableReason.NOT_ORIGINAL,
        UnsuitableReason.NOT_AXIAL,
        UnsuitableReason.NO_PLANE,
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


def eligible(headers: Sequence[Dataset], rules: SelectionRules) -> Selection:
    """Choose the images of a series that is ours, by its headers alone.

    Parameters
    ----------
    headers
        One dataset per instance, with or without Pixel Data, in any order.

    Raises
    ------
    UnsuitableSeries
        The first rule that is broken, the most telling first.
    """
    try:
        selected = select(headers, rules)
    except UnsuitableSeries as error:
        raise UnsuitableSeries(error.code, f"{error.text}.") from error
    if reason := too_short(selected.stack, rules):
        raise UnsuitableSeries(reason.code, reason.text)
    return selected


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
                f" got"
                f" {figure(100 * share, 100 * least, digits=1)}%.",
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
