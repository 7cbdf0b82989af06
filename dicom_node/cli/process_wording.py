"""The findings of an analysis in lines for people; the numbers keep their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.encode.common.sentences import NOT_REPORTED


def findings(summary: Mapping[str, Any]) -> Iterator[str]:
    """Say in a few lines what `pipeline.encode.bundle.summary` holds."""
    provenance, share, lungs = summary["provenance"], summary["involvement"], summary["lungs_ml"]
    yield f"{summary['notice']}"
    yield (
        f"score {summary['score']:.3f}, threshold {summary['threshold']:.3f}"
        f" ({summary['operating_point']}): {summary['decision']}"
    )
    yield (
        f"lungs {lungs['total']:.0f} ml (right {lungs['right']:.0f}, left {lungs['left']:.0f}),"
        f" by {summary['lung_method']}"
    )
    if share["total"] is None:
        yield NOT_REPORTED
    else:
        yield (
            f"involvement {share['total']:.1%}"
            f" (right {share['right']:.1%}, left {share['left']:.1%})"
        )
        yield f"{len(summary['lesions'])} localised opacities"
    for lesion in summary["lesions"][:5]:
        seen = lesion["key_image"] or "interpolated slices only"
        yield (
            f"  {lesion['number']}: {lesion['side']}, {lesion['volume_ml']:.1f} ml,"
            f" mean {lesion['mean_hu']:.0f} HU, seen best on {seen}"
        )
    yield f"series: {summary['geometry']['completeness']}. {summary['geometry']['statement']}"
    if summary["flags"]:
        yield f"flags: {', '.join(summary['flags'])}"
    for doubt in summary["doubts"]:
        yield f"  {doubt['code']}: {doubt['text']}"
    yield f"model {provenance['model']} {provenance['version']} on {provenance['device']}"
