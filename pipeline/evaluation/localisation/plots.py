"""FROC curves as a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from pipeline.evaluation.localisation.summary import FALSE_PER_SCAN, Summary
from pipeline.evaluation.localisation.verdict import LEAST_IOU


def draw_froc(systems: Sequence[Summary]) -> bytes:
    """Draw sensitivity against false positives per scan; a panel for each sense of *detected*."""
    figure = Figure(figsize=(13, 5.5), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, sense in zip(panels, ("touch", "iou"), strict=True):
        for number, system in enumerate(systems):
            curve = getattr(system, sense)
            axes.step(
                (*curve.false_per_scan, FALSE_PER_SCAN[-1]),
                (*curve.sensitivity, max(curve.sensitivity, default=0.0)),
                where="post",
                color=f"C{number % 10}",
                linestyle=("-", "--", ":")[number // 10 % 3],
                label=system.system,
            )
        axes.set_xscale("log", base=2)
        axes.set(
            xlim=(FALSE_PER_SCAN[0], FALSE_PER_SCAN[-1]),
            ylim=(0, 1),
            xlabel="false positives per scan",
            title={"touch": "touched", "iou": f"intersection over union of {LEAST_IOU:g}"}[sense],
        )
        axes.set_xticks(FALSE_PER_SCAN, [f"{rate:g}" for rate in FALSE_PER_SCAN])
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("true lesions found")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return stream.getvalue()
