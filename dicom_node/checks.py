"""What `dicom-node check` looks at beyond the INI file: the model and the storage folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

from config.settings import Settings
from dicom_node.equipment import model_folder, read_manifest
from dicom_node.errors import NodeError
from pipeline.errors import ModelError


def faults(settings: Settings) -> list[str]:
    """List everything that would keep the node from doing its work."""
    return [*_model(settings), *_folder(settings)]


def _model(settings: Settings) -> Iterator[str]:
    from pipeline.models import device_for, load

    folder = model_folder(settings)
    try:
        read_manifest(folder)
        load(folder, device_for(settings.analysis.device))
    except (NodeError, ModelError) as fault:
        yield f"[analysis] {fault}"


def _folder(settings: Settings) -> Iterator[str]:
    folder = settings.storage.folder
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        yield f"[storage] folder: expected a folder we may write to, got {folder}"
