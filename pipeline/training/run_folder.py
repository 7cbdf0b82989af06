"""Write and resume a run folder: settings, checkpoint, curves and metrics of one training.

=================  ==========================================================================
``settings.json``  options and digests of the input; a resumed run must have the same
``checkpoint.pt``  all that the next step needs; written whole, read without unpickling code
``history.json``   one entry per validation
``curves.png``     the same as a picture
``metrics.json``   steps of the run, and of its best validation
=================  ==========================================================================
"""

from __future__ import annotations

import io
import json
import pickle  # its error only: nothing is unpickled here
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from pipeline.atomic_write import write_whole
from pipeline.errors import PipelineError

SETTINGS, CHECKPOINT, HISTORY = "settings.json", "checkpoint.pt", "history.json"
CURVES, METRICS = "curves.png", "metrics.json"
STEP = "step"  #: key of an entry of the history


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder that a run writes to and resumes from."""

    path: Path

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any]) -> RunFolder:
        """Begin a run, or find one of the same settings again.

        From then on the folder is of these settings, so open it when all that the run needs
        has been read.

        Raises
        ------
        PipelineError
            As `require_free`.
        """
        require_free(path, settings)
        path.mkdir(parents=True, exist_ok=True)
        if not (path / SETTINGS).exists():
            write_whole(path / SETTINGS, _json(settings))
        return cls(path=path)

    def save(self, state: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
        """Write a checkpoint and the history up to it."""
        stream = io.BytesIO()
        torch.save({**state, "history": list(history)}, stream)
        write_whole(self.path / CHECKPOINT, stream.getvalue())
        write_whole(self.path / HISTORY, _json(history))

    def saved(self) -> dict[str, Any] | None:
        """Last checkpoint, or None; nothing in it is executed.

        Raises
        ------
        PipelineError
            If the file is none.
        """
        file = self.path / CHECKPOINT
        if not file.exists():
            return None
        expected = f"{CHECKPOINT}: a checkpoint of a run expected (remove it to begin anew), got"
        if not zipfile.is_zipfile(file):
            raise PipelineError(f"{expected} a file that is broken off, or of another kind")
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as exc:
            raise PipelineError(f"{expected}: {exc}") from exc
        return state

    def finish(self, metrics: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
        """Write the metrics and the picture of the curves."""
        write_whole(self.path / METRICS, _json(metrics))
        if history:
            write_whole(self.path / CURVES, draw_curves(history))


def require_free(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder that holds a run of other settings; nothing is written.

    Raises
    ------
    PipelineError
        If it does, if it is no folder, or if its settings cannot be read.
    """
    if path.exists() and not path.is_dir():
        raise PipelineError(f"{path.name}: a folder for the run expected, got a file")
    if not (path / SETTINGS).exists():
        return
    ours, theirs = json.loads(_json(settings)), _settings(path)
    changed = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if changed:
        raise PipelineError(
            f"{path.name} holds a run of other settings ({', '.join(changed)} differ):"
            " expected the same ones, or another folder"
        )


def _settings(path: Path) -> dict[str, Any]:
    try:
        settings = json.loads((path / SETTINGS).read_bytes())
    except (OSError, ValueError) as exc:
        settings = exc
    if not isinstance(settings, dict):
        raise PipelineError(
            f"{path.name}/{SETTINGS}: the settings of a run expected, got: {settings};"
            " take another folder"
        )
    return settings


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n").encode()


def draw_curves(history: Sequence[Mapping[str, float]]) -> bytes:
    """Draw one panel per figure of the history against the step.

    Parameters
    ----------
    history
        One entry per validation; each has ``step``, and figures that may be missing in some.
    """
    names = [name for name in dict.fromkeys(chain.from_iterable(history)) if name != STEP]
    figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        entries = [entry for entry in history if name in entry]
        axes.plot([entry[STEP] for entry in entries], [entry[name] for entry in entries], "o-")
        axes.set(title=name, xlabel="step")
        axes.grid(alpha=0.3)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
