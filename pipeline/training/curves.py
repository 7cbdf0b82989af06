"""Curves of a training run as a PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

STEP = "step"


def draw_curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Draw one panel per figure of the history against the step.

    Parameters
    ----------
    history
        One entry per judgement; each has ``step`` and the same figures.
    """
    names = [name for name in history[0] if name != STEP]
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot([entry[STEP] for entry in history], [entry[name] for entry in history], "o-")
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
