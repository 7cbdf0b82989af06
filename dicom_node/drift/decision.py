"""Decide whether the series of one scanner have changed since its reference, figure by figure.

Each value is turned into the normal score of its rank among those of the reference, so that nothing
is supposed of how a figure is distributed; two sums of scores (CUSUM: Page 1954,
doi:10.1093/biomet/41.1-2.100) tell a rise and a fall. The limit was chosen by simulation, of which
docs/tables/drift.md is the table: `python -m benchmarks.drift.simulate`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from storage.results.drift import Sample

FIGURES: Mapping[str, str] = {
    "noise_hu": "noise, HU",
    "slice_mm": "distance between slices, mm",
    "pixel_mm": "distance between pixels, mm",
    "air_hu": "air, HU",
    "mediastinum_hu": "mediastinum, HU",
    "lungs_ml": "volume of the lungs, ml",
    "distance": "distance from the training data",
    "score": "score",
    "flagged": "share of series with a flag",
    "refused": "share of series not analysed",
}
"""What is watched, with its unit."""

OF_HEADERS = frozenset({"slice_mm", "pixel_mm", "refused"})
"""Figures that no network has a part in; all others are measured in the lungs that one has found.
They are compared only among series of the same model, method and settings."""

ALLOWANCE = 0.5  #: shift that is let pass, in standard deviations
LIMIT = 12.0  #: of a sum, in standard deviations; by simulation
LEAST_REFERENCE = 50  #: values of a figure; with fewer it is not watched
STANDARD = NormalDist()

Value = float | None  #: None where a series does not have the figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """A figure that has changed.

    Attributes
    ----------
    at
        0-based place of the series at which that was certain, among those after the reference.
    series
        Number of series that the change took to be seen, as far as the sum tells.
    before, after
        Medians of the reference, and of those series; of a share their means.
    """

    figure: str
    at: int
    series: int
    before: float
    after: float

    @property
    def text(self) -> str:
        """Say it in one line."""
        return f"{FIGURES[self.figure]}: {self.before:.4g} before, {self.after:.4g} now"


def normal_score(ascending: Sequence[float], value: float) -> float:
    """Turn a value into the normal score of its rank among others, ties in the middle."""
    rank = (bisect_left(ascending, value) + bisect_right(ascending, value)) / 2
    return STANDARD.inv_cdf((rank + 0.5) / (len(ascending) + 1))


def first_shift(
    figure: str, reference: Iterable[Value], values: Iterable[Value], limit: float = LIMIT
) -> Shift | None:
    """Find the first change of a figure; None as long as there is none.

    Parameters
    ----------
    reference
        Values of the reference, in any order.
    values
        Those of the series that followed, in their order.
    """
    ascending = sorted(one for one in reference if one is not None and math.isfinite(one))
    if len(ascending) < LEAST_REFERENCE:
        return None
    rise = fall = 0.0
    since_rise, since_fall = list[float](), list[float]()
    for at, value in enumerate(values):
        if value is None or not math.isfinite(value):
            continue
        score = normal_score(ascending, value)
        rise = max(0.0, rise + score - ALLOWANCE)
        fall = max(0.0, fall - score - ALLOWANCE)
        since_rise = [*since_rise, value] if rise else []
        since_fall = [*since_fall, value] if fall else []
        if max(rise, fall) > limit:
            since = since_rise if rise > fall else since_fall
            return Shift(
                figure=figure,
                at=at,
                series=len(since),
                before=middle(figure, ascending),
                after=middle(figure, since),
            )
    return None


def middle(figure: str, values: Sequence[float]) -> float:
    """Give the median; of a share the mean."""
    is_share = figure in {"flagged", "refused"}
    return sum(values) / len(values) if is_share else median(values)


def shifts(reference: Sequence[Sample], values: Sequence[Sample]) -> Iterator[Shift]:
    """Find the first change of each figure of a scanner, on the basis of its latest analysis."""
    basis = next((one.basis for one in reversed(values) if one.basis), "")
    for figure in FIGURES:
        found = first_shift(
            figure,
            (comparable(one, figure, basis) for one in reference),
            (comparable(one, figure, basis) for one in values),
        )
        if found is not None:
            yield found


def comparable(sample: Sample, figure: str, basis: str) -> Value:
    """Give a figure of a series; None where it was found on another basis."""
    is_comparable = figure in OF_HEADERS or sample.basis == basis
    return sample.figures.get(figure) if is_comparable else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """What a series was made with, as its headers say; empty where they do not."""

    scanner: str
    kernel: str
    software: str


def news_of(series: Equipment, known: Iterable[Equipment]) -> tuple[str, ...]:
    """Say what of the equipment of a series was not known: its scanner, else kernel and software.

    Parameters
    ----------
    known
        That of all series that were judged before.
    """
    of_scanner = [one for one in known if one.scanner == series.scanner]
    if not of_scanner:
        return (f"new scanner: {series.scanner or 'one that does not say what it is'}",)
    news = []
    if series.kernel and all(one.kernel != series.kernel for one in of_scanner):
        news.append(f"new kernel: {series.kernel}")
    if series.software and all(one.software != series.software for one in of_scanner):
        news.append(f"new software version: {series.software}")
    return tuple(news)
