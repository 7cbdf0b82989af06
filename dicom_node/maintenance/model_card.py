"""Write the card of the model that comes with the package as Markdown, for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import JsonValue

from pipeline.classifier.conformal import fewest_cases
from pipeline.model.errata import read_errata
from pipeline.model.manifest import (
    BUNDLED,
    Conformal,
    Manifest,
    MeasuredShare,
    ReferenceEntry,
    ScannerGroup,
    read_manifest,
)

NO_GROUPS = "None: they are alike for all scanners."


def bundled_card() -> str:
    """Write what the manifest and the corrections of the bundled model say.

    Raises
    ------
    ModelError
        If one of them cannot be read.
    """
    manifest, sha256 = read_manifest(BUNDLED)
    card = manifest.card
    corrections = [
        f"{erratum.date.isoformat()}: {erratum.text}" for erratum in read_errata(BUNDLED)
    ]
    chapters = [
        ("Intended use", card.intended_use),
        ("Not for", _list(card.not_for)),
        ("Corrections", _list(corrections)),
        ("Networks", _networks(manifest)),
        ("Trained on", _list(card.trained_on)),
        ("Limits", _list(card.limits)),
        ("Operating points", _points(manifest)),
        ("Prediction sets", _sets(manifest.conformal)),
        ("Bounds by scanner", _groups(manifest)),
        ("Cases of its kind", reference_in_words(manifest.reference)),
        ("Figures", "\n".join(_tree(card.metrics))),
        ("Made again by", card.reproduce),
    ]
    head = (
        f"`{manifest.name}` {manifest.version}, of {manifest.created.isoformat()};"
        f" SHA-256 of its manifest `{sha256}`.\n"
    )
    parts = [f"## {title}\n\n{text}\n" for title, text in chapters if text]
    return "\n".join([head, *parts])


def share_in_words(share: MeasuredShare | None, unmeasured: str = "not measured") -> str:
    """Share with its interval and its counts, or why there is none."""
    if share is None:
        return unmeasured
    value = share.count / share.cases
    return f"{value:.3f} ({share.low:.3f} to {share.high:.3f}; {share.count}/{share.cases})"


def group_lines(groups: Mapping[str, ScannerGroup], of_all: Conformal | None) -> Iterator[str]:
    """Say of each group of scanners what its bounds are, and by which cases.

    Parameters
    ----------
    of_all
        Prediction sets of all scanners.
    """
    needed = fewest_cases(of_all.levels[0].coverage) if of_all else 0
    for name, group in groups.items():
        cases = f"{group.negatives} negative and {group.positives} positive cases"
        scanners = ", ".join(group.scanners)
        if group.conformal is None:
            few = f"too few, {needed} patients of each class are needed"
            yield f"{name} ({scanners}): {cases}, {few}; the bounds of all scanners hold"
            continue
        level = group.conformal.levels[0]
        low, high = level.indeterminate
        kept = (
            _kept("negative", group.kept_negative, level.measured_negative, group.by_all_negative),
            _kept("positive", group.kept_positive, level.measured_positive, group.by_all_positive),
        )
        yield (
            f"{name} ({scanners}): indeterminate {low:.4f} to {high:.4f}, by {cases}; "
            + "; ".join(kept)
        )


def _kept(
    name: str,
    likely: tuple[float, float] | None,
    own: MeasuredShare | None,
    by_all: MeasuredShare | None,
) -> str:
    """Write what the sets of a group keep of a class, and what those of all keep of the same."""
    low, high = likely or (0.0, 1.0)
    measured = f"of test cases {share_in_words(own)}, by the bounds of all {share_in_words(by_all)}"
    return f"kept, {name}: between {low:.3f} and {high:.3f} of new cases (95 %), {measured}"


def reference_in_words(reference: ReferenceEntry | None) -> str:
    """Say how cases that are unlike the model's own are known."""
    if reference is None:
        return "not described: nothing is flagged as unlike the training's kind"
    return (
        f"features of {reference.source}; flagged as unlike them beyond a distance of"
        f" {reference.limit:.1f}, which {reference.quantile:.0%} of such cases stay within;"
        f" of other such cases flagged: {share_in_words(reference.flagged)}"
    )


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _networks(manifest: Manifest) -> str:
    lungs, classifier = manifest.networks.lungs, manifest.networks.classifier
    box = classifier.input
    return _table(
        ("network", "architecture", "parameters", "input"),
        [
            (
                "lungs",
                lungs.architecture,
                f"{lungs.parameters:,}",
                f"slices of {lungs.input.size} x {lungs.input.size},"
                f" {_window(lungs.input.window_hu)}",
            ),
            (
                "classifier",
                classifier.architecture,
                f"{classifier.parameters:,}",
                f"{box.rows} x {box.columns}, planes {box.slice_mm:g} mm apart, margin"
                f" {box.margin_mm:g} mm, {_window(box.window_hu)}",
            ),
        ],
    )


def _window(window_hu: tuple[float, float]) -> str:
    low, high = window_hu
    return f"{low:g} to {high:g} HU"


def _points(manifest: Manifest) -> str:
    rows = [
        (f"`{name}`", f"{point.threshold:.4f}", point.source)
        for name, point in manifest.operating_points.items()
    ]
    temperature = (
        f"Temperature, by which logits are divided: {manifest.calibration.temperature:.4f}."
    )
    return f"{_table(('point', 'threshold', 'chosen by'), rows)}\n\n{temperature}"


def _sets(conformal: Conformal | None) -> str:
    """Promised and measured coverage; a score may be in both sets, or in none."""
    if conformal is None:
        return "None: `dicom-node calibrate --cases` has not been run."
    rows = [
        (
            f"{level.coverage:.0%}",
            f"{level.negative_at_most:.4f}",
            f"{level.positive_at_least:.4f}",
            share_in_words(level.measured_negative),
            share_in_words(level.measured_positive),
        )
        for level in conformal.levels
    ]
    head = ("promised", "negative up to", "positive from", "kept, negative", "kept, positive")
    return f"{_table(head, rows)}\n\nChosen on {conformal.source}."


def _groups(manifest: Manifest) -> str:
    return _list(group_lines(manifest.scanner_groups, manifest.conformal)) or NO_GROUPS


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def _tree(values: Mapping[str, JsonValue], depth: int = 0) -> Iterator[str]:
    """List figures beside their names; groups of figures indented under theirs."""
    for name, value in values.items():
        words = f"{'  ' * depth}- {name.replace('_', ' ')}"
        if isinstance(value, dict):
            yield words
            yield from _tree(value, depth + 1)
        else:
            yield f"{words}: {_figure(value)}"


def _figure(value: JsonValue) -> str:
    """Write a figure; of two, where the second is a pair, as a figure and its interval."""
    match value:
        case [figure, [low, high]]:
            return f"{figure} ({low} to {high})"
        case list():
            return ", ".join(map(str, value))
        case _:
            return str(value)
