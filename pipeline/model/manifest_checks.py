"""Check that the figures of a model's manifest can be true: finite, in range, in agreement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from pydantic import JsonValue

from pipeline.model.manifest import Conformal, Manifest, MeasuredShare

#: Ranges within which an entry of a manifest can be meant.
MANIFEST_WINDOW_HU = (-2000.0, 5000.0)  #: HU; each bound of a window
PIXELS = (32, 1024)
SLICE_MM = (0.3, 20.0)
MARGIN_MM = (0.0, 100.0)
TEMPERATURE = (0.05, 20.0)
DISTANCE = (1e-3, 1e4)  #: of features, standard deviations
#: Figures with one of these words in their name are shares.
SHARES = ("auc", "dice", "sensitivity", "specificity", "precision", "ppv", "npv", "accuracy")


def faults(manifest: Manifest) -> Iterator[str]:
    """List every figure that cannot be true, with what was expected."""
    today = datetime.now(UTC).date()
    if manifest.created > today:
        yield f"created: {today} or earlier expected, got {manifest.created}"
    lungs, classifier = manifest.networks.lungs.input, manifest.networks.classifier.input
    ranges = {
        "lungs, size": (lungs.size, PIXELS),
        "lungs, lowest HU": (lungs.window_hu[0], MANIFEST_WINDOW_HU),
        "lungs, highest HU": (lungs.window_hu[1], MANIFEST_WINDOW_HU),
        "classifier, rows": (classifier.rows, PIXELS),
        "classifier, columns": (classifier.columns, PIXELS),
        "classifier, slice_mm": (classifier.slice_mm, SLICE_MM),
        "classifier, margin_mm": (classifier.margin_mm, MARGIN_MM),
        "classifier, lowest HU": (classifier.window_hu[0], MANIFEST_WINDOW_HU),
        "classifier, highest HU": (classifier.window_hu[1], MANIFEST_WINDOW_HU),
        "temperature": (manifest.calibration.temperature, TEMPERATURE),
    }
    if manifest.reference is not None:
        ranges["reference, limit"] = (manifest.reference.limit, DISTANCE)
        yield from _of_share("reference, flagged", manifest.reference.flagged)
    for name, (value, (low, high)) in ranges.items():
        if not low <= value <= high:
            yield f"{name}: {low:g} to {high:g} expected, got {value:g}"
    if manifest.conformal is not None:
        yield from _of_sets(manifest.conformal)
    yield from _of_card("card", manifest.card.metrics)


def _of_sets(conformal: Conformal) -> Iterator[str]:
    """Check the shares, and that a set that keeps more cases lets in more scores."""
    levels = sorted(conformal.levels, key=lambda level: level.coverage)
    for level in levels:
        name = f"prediction sets of {level.coverage:g}"
        yield from _of_share(f"{name}, negative", level.measured_negative)
        yield from _of_share(f"{name}, positive", level.measured_positive)
    for less, more in pairwise(levels):
        narrower = more.negative_at_most < less.negative_at_most
        if narrower or more.positive_at_least > less.positive_at_least:
            yield (
                f"prediction sets: those of {more.coverage:g} as wide as those of"
                f" {less.coverage:g} or wider expected, got narrower ones"
            )


def _of_share(name: str, share: MeasuredShare | None) -> Iterator[str]:
    if share is None:
        return
    value = share.count / share.cases
    if not (value <= 1 and share.low <= value <= share.high):
        yield (
            f"{name}: a share within its interval expected, got {share.count}/{share.cases}"
            f" in {share.low:g} to {share.high:g}"
        )


def _of_card(name: str, value: JsonValue) -> Iterator[str]:
    """Figures at any depth; those below a share's name are shares."""
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _of_card(f"{name}, {key}", entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _of_card(name, entry)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        a_share = any(word in name.rpartition(", ")[2].lower() for word in SHARES)
        if not math.isfinite(value) or (a_share and not 0 <= value <= 1):
            yield f"{name}: {'0 to 1' if a_share else 'a finite figure'} expected, got {value:g}"
