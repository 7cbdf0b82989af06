"""Curves of a training run as a PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import chain

from matplotlib.figure import Figure

STEP = "step"


def draw_curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Draw one panel per figure of the history against the step.

    Parameters
    ----------
    history
        One entry per judgement; each has ``step``, and figures that may be missing in some.
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(history)) if name != STEP]
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        held = [entry for entry in history if name in entry]
        axes.plot([entry[STEP] for entry in held], [entry[name] for entry in held], "o-")
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
