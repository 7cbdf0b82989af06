"""Load and write a model folder: one manifest and one safetensors file per network.

What a network was trained to see (sizes, attenuation window), its operating points and its
model card travel with the weights in ``manifest.json``. Nothing is loaded unless it is what the
manifest says: SHA-256 of the file, architecture, names and shapes of the tensors, number of
parameters. Pickles are never read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from pipeline.atomic_write import write_whole
from pipeline.errors import ModelError
from pipeline.model.feature_reference import Reference, from_bytes
from pipeline.model.manifest import (
    MANIFEST,
    Manifest,
    NetworkEntry,
    ReferenceEntry,
    read_manifest,
)
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.networks.unet import UNet, slicewise_unet

ARCHITECTURES: Mapping[str, Callable[[], nn.Module]] = {
    "unet-2d": UNet,
    "unet-2d-slicewise": slicewise_unet,
    "decovnet": DeCoVNet,
    "evidence-net": EvidenceNet,
}
OF_CLASSIFIER = ("conformal", "reference")  #: entries that are void when the classifier changes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Models:
    """The networks, in evaluation mode on their device, and their manifest.

    Attributes
    ----------
    weights_sha256
        SHA-256 of the manifest file, which holds those of the weight files.
    reference
        Features of the training's kind of cases; None if the model has none.
    slices_at_once
        Most slices that the network for the lungs sees at a time; 0 for what suits the device.
    """

    manifest: Manifest
    lungs: nn.Module
    classifier: nn.Module
    device: torch.device
    weights_sha256: str
    reference: Reference | None = None
    slices_at_once: int = 0


def device_for(choice: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Device to compute on.

    Raises
    ------
    ModelError
        If CUDA was asked for and torch sees no such device.
    """
    if choice == "cpu" or (choice == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ModelError("expected a CUDA device, as asked for; torch sees none on this machine")
    return torch.device("cuda")


def load(folder: Path, device: torch.device) -> Models:
    """Load the networks of a model folder, checked against its manifest.

    Raises
    ------
    ModelError
        If anything is missing, altered, or of another architecture.
    """
    manifest, sha256 = read_manifest(folder)
    return Models(
        manifest=manifest,
        lungs=_network(folder, manifest.networks.lungs).to(device),
        classifier=_network(folder, manifest.networks.classifier).to(device),
        device=device,
        weights_sha256=sha256,
        reference=_reference(folder, manifest.reference),
    )


def write_network(
    folder: Path, name: str, state_dict: Mapping[str, Tensor], entry: Mapping[str, Any]
) -> None:
    """Save the weights of one network and bring its manifest entry up to date.

    Parameters
    ----------
    folder
        The model folder; its ``manifest.json`` is written anew, other entries are kept, but
        for what was found out about an earlier classifier (`OF_CLASSIFIER`).
    name
        ``lungs`` or ``classifier``.
    entry
        ``architecture``, ``file``, ``parameters`` and ``input``; the ``sha256`` is added.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = tensors_to_bytes(
        {key: value.detach().cpu().contiguous() for key, value in state_dict.items()}
    )
    write_whole(folder / str(entry["file"]), data)
    path = folder / MANIFEST
    manifest: dict[str, Any] = {"name": folder.name, "networks": {}}
    if path.exists():
        manifest = json.loads(path.read_bytes())
    for void in OF_CLASSIFIER if name == "classifier" else ():
        manifest.pop(void, None)
    manifest["networks"][name] = {**entry, "sha256": hashlib.sha256(data).hexdigest()}
    write_whole(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())


def _network(folder: Path, entry: NetworkEntry) -> nn.Module:
    """Build the network of one manifest entry, in evaluation mode on the CPU."""
    network = ARCHITECTURES[entry.architecture]()
    count = sum(parameter.numel() for parameter in network.parameters())
    if count != entry.parameters:
        raise ModelError(
            f"{entry.file}: {entry.architecture} has {count} parameters, "
            f"the manifest says {entry.parameters}"
        )
    state = _tensors(folder / entry.file, entry.sha256)
    _check_tensors(entry.file, network.state_dict(), state)
    network.load_state_dict(state)
    return network.eval()


def _reference(folder: Path, entry: ReferenceEntry | None) -> Reference | None:
    return None if entry is None else from_bytes(_checked(folder / entry.file, entry.sha256))


def _checked(path: Path, sha256: str) -> bytes:
    """Contents of a file whose digest is as promised."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"expected a readable file {path}, got: {exc.strerror}") from exc
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        raise ModelError(f"{path.name}: expected SHA-256 {sha256}, got {found}")
    return data


def _tensors(path: Path, sha256: str) -> dict[str, Tensor]:
    """Tensors of a safetensors file whose digest is as promised."""
    data = _checked(path, sha256)
    try:
        return tensors_from_bytes(data)
    except SafetensorError as exc:
        raise ModelError(f"{path.name}: expected a safetensors file, got: {exc}") from exc


def _check_tensors(file: str, expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> None:
    """Refuse missing and surplus tensors, and other shapes or types."""
    faults = [f"missing {key}" for key in expected.keys() - got.keys()]
    faults += [f"surplus {key}" for key in got.keys() - expected.keys()]
    faults += [
        f"{key} is {_kind(got[key])}, expected {_kind(expected[key])}"
        for key in expected.keys() & got.keys()
        if _kind(got[key]) != _kind(expected[key])
    ]
    if faults:
        raise ModelError(
            f"{file}: tensors are not those of the network: {'; '.join(sorted(faults))}"
        )


def _kind(tensor: Tensor) -> str:
    """Shape and type in words."""
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
