"""Quality gates on masks of the lungs: choose between two, or refuse both.

Each gate compares one figure of a mask with the bounds of plausible lungs. Outside the wide
bounds the mask is refused; outside the narrow ones it raises a doubt that the report carries.
Bounds: adult lungs on inspiratory CT hold 3 to 8 L, 1 to 2 L when badly affected; they are 180
to 320 mm tall and have a mean of -850 HU, up to -400 HU with wide consolidation. From the bases
to the apices their area rises once and falls once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.area_profile import one_sided_share
from pipeline.lungs.coarse_grid import Mask, Spacing
from pipeline.lungs.facts import NAMES, LungFacts, LungFigures
from pipeline.reasons import QualityFlag
from pipeline.types import LUNG_OF_OPEN_SIDE, Doubt
from pipeline.wording import figure

Bounds = tuple[float, float]
Read = TypeVar("Read")

MIN_DICE = 0.9  #: of two methods that agree
MAX_ONE_SIDED = 0.6
"""Largest share of a lung's area, over 20 mm, that one of two methods that agree has alone;
measured on six series: 0.35 at most, and 1 where one has lost the upper 10 mm of a lung."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Generic[Read]):
    """One figure with its bounds.

    Attributes
    ----------
    wide
        Outside, the mask is refused.
    narrow
        Outside, it is doubted.
    """

    code: QualityFlag
    unit: str
    read: Callable[[Read], float]
    narrow: Bounds
    wide: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Doubt):
    """A gate that a mask did not pass."""

    refuses: bool = False


ANY: Bounds = (-float("inf"), float("inf"))
GATES: tuple[Gate[LungFacts], ...] = (
    Gate(
        code=QualityFlag.LUNGS_VOLUME,
        unit="L",
        read=lambda facts: facts.litres,
        narrow=(1.5, 8.5),
        wide=(1.0, 9.0),
    ),
    Gate(
        code=QualityFlag.LUNGS_RATIO,
        unit="right/left",
        read=lambda facts: facts.ratio,
        narrow=(0.3, 3.3),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_HEIGHT,
        unit="mm",
        read=lambda facts: facts.height_mm,
        narrow=(150, 400),
        wide=(100, 500),
    ),
    Gate(
        code=QualityFlag.LUNGS_ATTENUATION,
        unit="HU",
        read=lambda facts: facts.mean_hu,
        narrow=(-950, -400),
        wide=(-980, -200),
    ),
    Gate(
        code=QualityFlag.LUNGS_AT_EDGE,
        unit="of the outline",
        read=lambda facts: facts.at_edge,
        narrow=(0, 0.01),
        wide=(0, 0.2),
    ),
    Gate(
        code=QualityFlag.LUNGS_PROFILE,
        unit="of the largest area as a dip between slices",
        read=lambda facts: facts.dip,
        narrow=(0, 0.2),
        wide=(0, 0.8),
    ),
    Gate(
        code=QualityFlag.LUNGS_OUTSIDE_BODY,
        unit="of the mask outside the body",
        read=lambda facts: facts.outside,
        narrow=(0, 0.01),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_APEX,
        unit="mm between the heights of the two apices",
        read=lambda facts: facts.top_apart_mm,
        narrow=(0, 40),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_BASE,
        unit="mm between the heights of the two bases",
        read=lambda facts: facts.bottom_apart_mm,
        narrow=(0, 60),
        wide=ANY,
    ),
)
GATES_OF_EACH: tuple[Gate[LungFigures], ...] = (
    Gate(
        code=QualityFlag.LUNGS_PROFILE,
        unit="of its area lost between neighbouring slices",
        read=lambda lung: lung.profile.dip,
        narrow=(0, 0.4),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_APEX,
        unit="mm2 too wide on its highest slice",
        read=lambda lung: lung.profile.top_mm2,
        narrow=(0, 1500),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_BASE,
        unit="mm2 too wide on its lowest slice",
        read=lambda lung: lung.profile.bottom_mm2,
        narrow=(0, 4000),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_FLUID,
        unit="of the chest behind the lung, without air",
        read=lambda lung: lung.behind,
        narrow=(0, 0.12),
        wide=ANY,
    ),
    Gate(
        code=QualityFlag.LUNGS_FREE_GAS,
        unit="ml in one pocket of free gas",
        read=lambda lung: lung.gas_ml,
        narrow=(0, 50),
        wide=ANY,
    ),
)
"""Measured on six real series (in brackets: 18 phantoms), and where lungs were painted or parts of
masks were taken away. Dips: 0.11 at most (0.27); 0.67 where apices were lost. Apices apart: 15 mm
(0); 70 without an upper lobe. Bases apart: 30 mm (0); 80 where the lower half is fluid. Too wide
at an apex: 0 (0); 2900 mm2 where it was lost. Too wide at a base: 0 (600); 10500. Behind a lung:
0.023 (0.09, with a curved spine); 0.15 where a quarter of it is fluid. Free gas: 4 ml (11); 268
where half of a lung is gas."""


def doubts_of(facts: LungFacts) -> tuple[Failed, ...]:
    """Gates that these figures do not pass."""
    of_each = (
        replace(doubt, text=f"{name} lung: {doubt.text}")
        for name, figures in facts.by_side.items()
        for doubt in _not_passed(GATES_OF_EACH, figures)
    )
    return (*_not_passed(GATES, facts), *_side_doubts(facts), *of_each)


def _not_passed(gates: Iterable[Gate[Read]], facts: Read) -> Iterator[Failed]:
    for gate in gates:
        value = gate.read(facts)
        refuses = not gate.wide[0] <= value <= gate.wide[1]
        low, high = gate.wide if refuses else gate.narrow
        if not low <= value <= high:
            shown = figure(value, low, high, digits=4, form="g")
            text = f"{shown} {gate.unit}, expected {low:g} to {high:g}"
            yield Failed(code=gate.code, text=text, refuses=refuses)


def _side_doubts(facts: LungFacts) -> Iterator[Failed]:
    """Doubt lungs of which there are not two, one on either side."""
    if facts.open_ml:
        text = f"{facts.open_ml:.0f} ml of lung whose side is open"
        yield Failed(code=QualityFlag.LUNGS_SIDE_OPEN, text=text)
    elif bool(facts.right_ml) != bool(facts.left_ml):
        here, there = ("right", "left") if facts.right_ml else ("left", "right")
        text = f"{here} lung of {facts.right_ml + facts.left_ml:.0f} ml, no {there} lung found"
        yield Failed(code=QualityFlag.LUNGS_ONE_ONLY, text=text)


def choose(doubts: Mapping[str, tuple[Failed, ...]]) -> str | None:
    """Pick the method with the fewest doubts among those not refused; the first wins a tie.

    Parameters
    ----------
    doubts
        By method, the preferred one first.

    Returns
    -------
    str | None
        None if every method is refused.
    """
    fit = [name for name, found in doubts.items() if not any(doubt.refuses for doubt in found)]
    return min(fit, key=lambda name: len(doubts[name]), default=None)


def dice(first: Mask, second: Mask) -> float:
    """Overlap of two masks, 0 to 1; two empty ones agree."""
    total = np.count_nonzero(first) + np.count_nonzero(second)
    return 2 * np.count_nonzero(first & second) / total if total else 1.0


def agreement(code: QualityFlag, first: Mask, second: Mask) -> tuple[Failed, ...]:
    """Doubt two masks that overlap too little; empty if they agree."""
    overlap = dice(first, second)
    if overlap >= MIN_DICE:
        return ()
    text = f"Dice {figure(overlap, MIN_DICE)} of two methods, expected {MIN_DICE:g} to 1"
    return (Failed(code=code, text=text),)


def agreement_of_each(
    first: NDArray[np.uint8], second: NDArray[np.uint8], spacing_mm: Spacing
) -> tuple[Failed, ...]:
    """Doubt two methods of which one has a part of a lung that the other has not.

    Where a side is open the lungs are compared together.
    """
    if LUNG_OF_OPEN_SIDE in first or LUNG_OF_OPEN_SIDE in second:
        pairs = {"open": (first > 0, second > 0)}
    else:
        pairs = {
            name: (first == label, second == label)
            for label, name in NAMES.items()
            if label != LUNG_OF_OPEN_SIDE
        }
    shares = {name: one_sided_share(*masks, spacing_mm) for name, masks in pairs.items()}
    return tuple(
        Failed(
            code=QualityFlag.LUNGS_METHODS_DISAGREE,
            text=f"{name} lung: {share:.2f} of its area over 20 mm found by one method alone,"
            f" expected 0 to {MAX_ONE_SIDED:g}",
        )
        for name, share in shares.items()
        if share > MAX_ONE_SIDED
    )
