"""Simulate scanners that do not change, and scanners that do, and count what drift tells.

``python -m benchmarks.drift.simulate > docs/tables/drift.md``. Every scanner draws its own habits;
figures are drawn from distributions with the widths that are written down here, independent of one
another and of the day. The tests are the product's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from dicom_node.drift.decision import FIGURES, LEAST_REFERENCE, LIMIT, first_shift

SERIES_A_DAY = 20
YEAR = 365 * SERIES_A_DAY  #: series
REFERENCE = 200  #: series; the default of [drift] reference_series
SCANNERS = 200  #: of each kind
SHOWN = 300  #: series that a changed scanner sends
WITHIN = 50  #: series within which a change must be told
SEED = 20261130

Figures = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What the series of one scanner are like; drawn once."""

    noise: float
    slices: np.ndarray
    weights: np.ndarray
    pixel: float
    air: float
    contrast: float
    flagged: float
    refused: float


def habits(rng: np.random.Generator) -> Habits:
    """Draw the habits of a scanner."""
    main = rng.choice([1.0, 1.25, 1.5, 2.0])
    return Habits(
        noise=rng.uniform(8, 40),
        slices=np.array([main, 3.0, 5.0]),
        weights=np.array([0.8, 0.1, 0.1]),
        pixel=rng.uniform(0.65, 0.8),
        air=rng.uniform(-1005, -985),
        contrast=rng.uniform(0.0, 0.6),
        flagged=rng.uniform(0.05, 0.3),
        refused=rng.uniform(0.02, 0.15),
    )


def draw(of: Habits, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw the figures of series."""
    contrast = rng.random(count) < of.contrast
    return {
        "noise_hu": of.noise * rng.lognormal(0, 0.25, count),
        "slice_mm": rng.choice(of.slices, count, p=of.weights),
        "pixel_mm": of.pixel * rng.lognormal(0, 0.08, count),
        "air_hu": of.air + rng.normal(0, 6, count),
        "mediastinum_hu": np.where(contrast, rng.normal(170, 40, count), rng.normal(48, 8, count)),
        "lungs_ml": 4500 * rng.lognormal(0, 0.28, count),
        "distance": 12 * rng.lognormal(0, 0.3, count),
        "score": rng.beta(0.7, 2.5, count),
        "flagged": (rng.random(count) < of.flagged).astype(float),
        "refused": (rng.random(count) < of.refused).astype(float),
    }


def noisier(figures: dict[str, np.ndarray]) -> None:
    """Make the noise two thirds more, as a sharper kernel does whose name stays the same."""
    figures["noise_hu"] *= 1.67


def wider(figures: dict[str, np.ndarray]) -> None:
    """Put slices and pixels 5 % farther apart."""
    figures["slice_mm"] *= 1.05
    figures["pixel_mm"] *= 1.05


def shifted(figures: dict[str, np.ndarray]) -> None:
    """Raise everything by 20 HU."""
    figures["air_hu"] += 20
    figures["mediastinum_hu"] += 20


CHANGES: Mapping[str, Callable[[dict[str, np.ndarray]], None]] = {
    "another kernel (noise x 1.67)": noisier,
    "spacing + 5 %": wider,
    "+ 20 HU": shifted,
}


def false_alarms(figure: str, reference: np.ndarray, values: np.ndarray) -> int:
    """Count the alarms of a figure; after each the sums begin anew, with the same reference.

    The product takes a new reference with every acceptance, which is not simulated.
    """
    count, start = 0, 0
    while (found := first_shift(figure, reference, values[start:])) is not None:
        count += 1
        start += found.at + 1
    return count


def delay(reference: Figures, values: Figures) -> int | None:
    """Give the number of series until the first figure tells of a change."""
    found = [first_shift(name, reference[name], values[name]) for name in FIGURES]
    return min((one.at + 1 for one in found if one is not None), default=None)


def quiet_years(rng: np.random.Generator) -> dict[str, list[int]]:
    """Count the false alarms of each scanner in a year, by figure."""
    alarms: dict[str, list[int]] = {name: [] for name in FIGURES}
    for _ in range(SCANNERS):
        of = habits(rng)
        reference, year = draw(of, REFERENCE, rng), draw(of, YEAR, rng)
        for name in FIGURES:
            alarms[name].append(false_alarms(name, reference[name], year[name]))
    return alarms


def delays(change: Callable[[dict[str, np.ndarray]], None], rng: np.random.Generator) -> list[int]:
    """Count the series of each scanner until a change is told; one more than sent if never."""
    found = []
    for _ in range(SCANNERS):
        of = habits(rng)
        values = draw(of, SHOWN, rng)
        change(values)
        found.append(delay(draw(of, REFERENCE, rng), values) or SHOWN + 1)
    return found


def main() -> None:
    """Write the table."""
    rng = np.random.default_rng(SEED)
    alarms = quiet_years(rng)
    of_scanner = np.sum([alarms[name] for name in FIGURES], axis=0)
    lines = [
        "# Drift: false alarms and delays",
        "",
        "Made by `python -m benchmarks.drift.simulate`: simulated scanners, not real ones. Habits"
        " and widths of the figures stand in the script; figures are independent there, of one"
        " another and from series to series. In a hospital they are not: a series is a sample, so"
        " several reconstructions of one patient count as several, and patients differ by weekday"
        " and season. Both make more false alarms than stand here. These are figures of the test,"
        " not a promise for a scanner.",
        "",
        "After an alarm the simulation goes on with the same reference; the product takes a new one"
        " when the change is accepted.",
        "",
        f"{SCANNERS} scanners that do not change, {SERIES_A_DAY} series a day for a year after a"
        f" reference of {REFERENCE} series, limit {LIMIT:g}:"
        f" **{of_scanner.mean():.2f} false alarms a scanner and year** (all figures together;"
        f" {np.count_nonzero(of_scanner == 0)} of {SCANNERS} scanners had none, the worst"
        f" {of_scanner.max()}).",
        "",
        "| figure | false alarms a scanner and year |",
        "|---|---|",
        *(f"| {FIGURES[name]} | {np.mean(alarms[name]):.3f} |" for name in FIGURES),
        "",
        f"{SCANNERS} scanners of each kind that change after the reference; series until that is"
        " told:",
        "",
        f"| change | median | 95 % | longest | within {WITHIN} |",
        "|---|---|---|---|---|",
    ]
    for name, change in CHANGES.items():
        found = delays(change, rng)
        within = np.count_nonzero(np.array(found) <= WITHIN)
        lines.append(
            f"| {name} | {median(found):g} | {np.quantile(found, 0.95):g} | {max(found)} |"
            f" {within} of {SCANNERS} |"
        )
    lines += [
        "",
        "The two shares can hardly be seen to change, which is also why they have no false alarms:"
        " a series has a flag or none, so where 10 % of a reference have one, a share of less than"
        " about 36 % is let pass, and that it falls is never told.",
        "",
        "A reference is a number of series, those not analysed among them, which have no figure"
        f" but the last; a figure with fewer than {LEAST_REFERENCE} values in the reference is not"
        " watched. With the least `reference_series`, 50, one series that was not analysed is"
        " enough for that.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
