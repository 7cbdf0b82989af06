"""Judge what the self-test found: score and volumes within tolerances, each with its source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.options import METHOD

CASE = 1  #: number of the synthetic series; one more whenever its picture changes
PAINTED_LUNGS_ML = 4497.6  #: volume of the lungs that were drawn, opacities included
PAINTED_OPACITIES_ML = 44.3  #: volume of the opacities that were drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What an analysis says of the synthetic series.

    Attributes
    ----------
    score
        0 to 1.
    lungs_ml, opacities_ml
        Volume of both lungs; of all opacities that are outlined.
    """

    score: float
    lungs_ml: float
    opacities_ml: float

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Figures:
        """Read them from the summary of an analysis.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        return cls(
            score=float(found["score"]),
            lungs_ml=float(found["lungs_ml"]["total"]),
            opacities_ml=sum(map(float, (found["opacities_ml"] or {}).values())),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What is expected, and from where that is known.

    Attributes
    ----------
    figures
        None where nothing but the drawn lungs is known.
    """

    source: str
    figures: Figures | None = None


REFERENCES = {
    f"22254bd0e0b0b2c1536c28d5017e47d67fcc6b20605e8ab6af5a050898994226 method 5 case {CASE}": (
        Expectation(
            source="the bundled model on the CPU on which this version was made, 2026-11-30",
            figures=Figures(score=0.58227, lungs_ml=4555.4, opacities_ml=34.45),
        )
    )
}
"""By basis: manifest of the model, number of the method, number of the synthetic series."""

FIRST_RUN = "the lungs that were drawn; later runs are compared with this one"

SCORE_TOLERANCE = 0.005
LUNGS_TOLERANCE, OPACITIES_TOLERANCE = 0.01, 0.03  #: shares of the volumes
DRAWN_TOLERANCE = 0.05  #: share of the drawn lungs, of which 1.3 % more are found
TOLERANCES = (
    "score ±0.005, lungs ±1 %, opacities ±3 %. Measured on one CPU, 2026-11-30: single precision"
    " instead of bfloat16 moves them by 0.0002, 0.02 % and 0.03 %, threads and instruction sets by"
    " less (measured with opacities-1); images that are 5 HU off by up to 0.007, 0.06 % and 4.9 %,"
    " 20 HU by 0.026, 0.1 % and 9.2 %."
    " Half precision on a GPU was not measured."
)
"""The tolerances, and where they come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Whether the figures are as expected.

    Attributes
    ----------
    faults
        Sentences; empty if all is as expected.
    score_error
        Found less expected; None where no score is expected.
    """

    figures: Figures
    expected: Expectation
    faults: tuple[str, ...]
    score_error: float | None

    def as_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {**asdict(self), "tolerances": TOLERANCES}


def basis_of(found: Mapping[str, Any]) -> str:
    """Name what the figures of an analysis may be compared with.

    Raises
    ------
    KeyError, TypeError
        If it is not the summary of an analysis.
    """
    return f"{found['provenance']['manifest_sha256']} method {METHOD} case {CASE}"


def expectation(basis: str, first: Figures | None) -> Expectation:
    """Choose what is expected: of the bundled model what is known, of another its first run here.

    Parameters
    ----------
    first
        Figures of the first run of this basis that has passed; None if there is none.
    """
    known = REFERENCES.get(basis)
    if known is not None:
        return known
    if first is None:
        return Expectation(source=FIRST_RUN)
    return Expectation(source="the first run of this model here", figures=first)


def judge(figures: Figures, expected: Expectation) -> Judgement:
    """Compare figures with what is expected."""
    faults = []
    for name, value in asdict(figures).items():
        if not math.isfinite(value):
            faults.append(f"{name}: expected a number, got {value}")
    if not _near(figures.lungs_ml, PAINTED_LUNGS_ML, DRAWN_TOLERANCE):
        faults.append(
            f"lungs: {PAINTED_LUNGS_ML:.0f} ml ±{DRAWN_TOLERANCE:.0%} were drawn,"
            f" got {figures.lungs_ml:.0f} ml"
        )
    known = expected.figures
    if known is None:
        return Judgement(figures=figures, expected=expected, faults=tuple(faults), score_error=None)
    error = figures.score - known.score
    if not abs(error) <= SCORE_TOLERANCE:
        faults.append(
            f"score: expected {known.score:.3f} ±{SCORE_TOLERANCE}, got {figures.score:.3f}"
        )
    for name, got, wanted, share in (
        ("lungs", figures.lungs_ml, known.lungs_ml, LUNGS_TOLERANCE),
        ("opacities", figures.opacities_ml, known.opacities_ml, OPACITIES_TOLERANCE),
    ):
        if not _near(got, wanted, share):
            faults.append(f"{name}: expected {wanted:.1f} ml ±{share:.0%}, got {got:.1f} ml")
    return Judgement(figures=figures, expected=expected, faults=tuple(faults), score_error=error)


def _near(got: float, wanted: float, share: float) -> bool:
    return abs(got - wanted) <= share * wanted
