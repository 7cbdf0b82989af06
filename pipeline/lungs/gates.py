"""Quality gates on masks of the lungs: choose between two, or refuse both.

Each gate compares one figure of a mask with the bounds of plausible lungs. Outside the wide
bounds the mask is refused; outside the narrow ones it raises a doubt that the report carries.
Bounds: adult lungs on inspiratory CT hold 3 to 8 L, 1 to 2 L when badly affected; they are 180
to 320 mm tall and have a mean of -850 HU, up to -400 HU with wide consolidation. From the bases
to the apices their area rises once and falls once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.lungs.coarse_grid import Mask, Spacing, edge_of_field
from pipeline.reasons import QualityFlag
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, Doubt

Bounds = tuple[float, float]

MIN_DICE = 0.9  #: of two methods that agree
PROFILE_MM = 15.0  #: length over which the profile of the area along the body is averaged


@dataclass(frozen=True, slots=True, kw_only=True)
class LungFacts:
    """The figures of a mask that the gates look at.

    Attributes
    ----------
    open_ml
        Volume of lung whose side is open.
    height_mm
        Extent along the slices.
    mean_hu
        Mean attenuation inside, HU; 0 for an empty mask.
    at_edge
        Share of the mask's outline that lies on the edge of the field of view.
    dip
        Deepest dip between two modes of the area along the body, share of its largest value; 0
        with one mode.
    """

    right_ml: float
    left_ml: float
    height_mm: float
    mean_hu: float
    at_edge: float
    dip: float
    open_ml: float = 0.0

    @property
    def litres(self) -> float:
        """Volume of all lung, L."""
        return (self.right_ml + self.left_ml + self.open_ml) / 1000

    @property
    def ratio(self) -> float:
        """Right over left volume; 1 where there are not both: that is a doubt of its own."""
        if not self.right_ml or not self.left_ml:
            return 1.0
        return self.right_ml / self.left_ml


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
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
    read: Callable[[LungFacts], float]
    narrow: Bounds
    wide: Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Doubt):
    """A gate that a mask did not pass."""

    refuses: bool = False


ANY: Bounds = (-float("inf"), float("inf"))
GATES = (
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
)


def facts_of(labels: NDArray[np.uint8], hu: NDArray[np.int16], spacing_mm: Spacing) -> LungFacts:
    """Figures of a mask, ``(slices, rows, columns)`` like the attenuation."""
    lungs = labels > 0
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    held = np.flatnonzero(lungs.any(axis=(1, 2)))
    return LungFacts(
        right_ml=float(np.count_nonzero(labels == RIGHT_LUNG)) * voxel_ml,
        left_ml=float(np.count_nonzero(labels == LEFT_LUNG)) * voxel_ml,
        open_ml=float(np.count_nonzero(labels == LUNG_OF_OPEN_SIDE)) * voxel_ml,
        height_mm=float(held[-1] - held[0] + 1) * spacing_mm[0] if len(held) else 0.0,
        mean_hu=float(hu[lungs].mean()) if len(held) else 0.0,
        at_edge=_at_edge(lungs, edge_of_field(hu, spacing_mm)),
        dip=_dip(lungs.sum(axis=(1, 2)), max(1, round(PROFILE_MM / spacing_mm[0]))),
    )


def doubts_of(facts: LungFacts) -> tuple[Failed, ...]:
    """Gates that these figures do not pass."""
    found = []
    for gate in GATES:
        value = gate.read(facts)
        refuses = not gate.wide[0] <= value <= gate.wide[1]
        low, high = gate.wide if refuses else gate.narrow
        if not low <= value <= high:
            text = f"{value:.4g} {gate.unit}, expected {low:g} to {high:g}"
            found.append(Failed(code=gate.code, text=text, refuses=refuses))
    return (*found, *_side_doubts(facts))


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
    text = f"Dice {overlap:.2f} of two methods, expected {MIN_DICE:g} to 1"
    return (Failed(code=code, text=text),)


def _dip(area: NDArray[np.int64], slices: int) -> float:
    """Deepest dip between two modes of a profile that is averaged over so many slices."""
    if not area.any():
        return 0.0
    smooth = np.convolve(area, np.ones(slices) / slices, mode="same")
    below, above = (np.maximum.accumulate(side) for side in (smooth, smooth[::-1]))
    return float((np.minimum(below, above[::-1]) - smooth).max() / smooth.max())


def _at_edge(lungs: Mask, edge: Mask) -> float:
    """Share of the in-plane outline that touches the edge of the field of view."""
    padded = np.pad(lungs, ((0, 0), (1, 1), (1, 1)))
    within = padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]
    outline = lungs & ~within
    total = np.count_nonzero(outline)
    return np.count_nonzero(outline & edge) / total if total else 0.0
