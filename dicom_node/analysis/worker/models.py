"""Find the model of a request on this machine, and load its networks."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dicom_node.analysis.worker.messages import AnalysisConfig, ImagesRequest, ModelReference
from pipeline.model.installed import installed_model

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.model.loading import Models

MODELS = "DICOM_NODE_MODELS"
"""Environment variable of a worker: folders in which to look for models, separated as in PATH."""


Device = Literal["auto", "cpu", "cuda"]


def load_models(wanted: AnalysisConfig | ImagesRequest) -> Models:
    """Load the networks, once for each process: those of the model in use, and of a second one.

    The calling thread gets as many threads of torch as are set, whatever others of this process do.
    """
    import torch

    torch.set_num_threads(wanted.threads or os.cpu_count() or 1)
    return _models(folder_of(wanted.model), wanted.model.sha256, wanted.device)


def folder_of(model: ModelReference) -> Path:
    """Find the folder of a model on this machine.

    Besides the node's own folder for it, folders that `MODELS` names are looked through.

    Raises
    ------
    pipeline.errors.ModelError
        If there is none with that digest.
    """
    places = [Path(place) for place in os.environ.get(MODELS, "").split(os.pathsep) if place]
    return installed_model(f"{model.name} {model.version}", model.sha256, [model.folder, *places])


@lru_cache(maxsize=2)
def _models(folder: Path, _sha256: str, device: Device) -> Models:
    """Load a folder; once more if another model lies there, as a second one may at any time."""
    from pipeline.model.loading import device_for, load

    return load(folder, device_for(device))
