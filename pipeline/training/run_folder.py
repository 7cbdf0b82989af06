"""The folder of one training run: settings, checkpoint, curves, metrics.

=================  ==========================================================================
``settings.json``  what was asked for; a resumed run must ask for the same
``checkpoint.pt``  all that the next step needs; written whole, read without unpickling code
``history.json``   one entry per judgement on the validation cases
``curves.png``     the same as a picture
``metrics.json``   what the run came to
=================  ==========================================================================
"""

from __future__ import annotations

import io
import json
import pickle  # its error only: nothing is unpickled here
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.durably import write_whole
from pipeline.errors import PipelineError
from pipeline.training.curves import draw_curves

SETTINGS, CHECKPOINT, HISTORY = "settings.json", "checkpoint.pt", "history.json"
CURVES, METRICS = "curves.png", "metrics.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder that a run writes to and resumes from."""

    path: Path

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any]) -> RunFolder:
        """Begin a run, or find one of the same settings again.

        Raises
        ------
        PipelineError
            If the folder holds a run of other settings, or anything else.
        """
        path.mkdir(parents=True, exist_ok=True)
        file = path / SETTINGS
        text = _json(settings)
        if not file.exists():
            write_whole(file, text)
        elif (before := json.loads(file.read_bytes())) != json.loads(text):
            asked = json.loads(text)
            changed = sorted(
                key for key in before.keys() | asked.keys() if before.get(key) != asked.get(key)
            )
            raise PipelineError(
                f"{path.name} holds a run of other settings ({', '.join(changed)} differ):"
                " expected the same ones, or another folder"
            )
        return cls(path=path)

    def save(self, state: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
        """Keep a checkpoint and the history up to it."""
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
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as exc:
            raise PipelineError(
                f"{CHECKPOINT}: a checkpoint of a run expected, got: {exc}"
            ) from exc
        return state

    def finish(self, metrics: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
        """Write the metrics and the picture of the curves."""
        write_whole(self.path / METRICS, _json(metrics))
        if history:
            write_whole(self.path / CURVES, draw_curves(history))


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n").encode()
