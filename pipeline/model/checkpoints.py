"""Read the authors' published checkpoints without executing anything; rename to our networks.

Both files are a ``state_dict`` saved by ``torch.save``, from ``DataParallel``: every name starts
with ``module.``. The layout is that of the modules of Wang et al.'s repository (IEEE TMI 2020,
doi 10.1109/TMI.2020.2995965; github.com/sydney0zq/covid-19-detection, commit 4eba9ff8). Only
tensors are read: a pickle that asks for any other object is refused, not run.
"""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_from_bytes
from torch import Tensor, nn

from pipeline.errors import ModelError
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.unet import UNet, slicewise_unet

WRAPPER = "module."  #: put before every name by ``DataParallel``
NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.InstanceNorm3d)  #: ours; theirs are batch norms

#: What reading a file can end with that is broken, or no checkpoint: found by breaking files.
UNREADABLE = (
    SafetensorError,
    pickle.UnpicklingError,
    struct.error,
    EOFError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
)

#: Which statistics the UNet's norms use: each slice's own, or those gathered in training.
Statistics = Literal["slice", "running"]

#: Their layer to ours. A norm is the convolution's name and ``_bn``.
DECOVNET_LAYERS: Mapping[str, str] = {
    "s1.pathway0_stem.conv": "stem.0",
    "s1.pathway0_stem.bn": "stem.1",
    **{
        f"{theirs}.pathway0_res0.{layer}": f"{ours}.{place}"
        for theirs, ours in (("s2", "res1"), ("s3", "res2"))
        for layer, place in (
            ("branch1", "shortcut.0"),
            ("branch1_bn", "shortcut.1"),
            ("branch2.a", "branch.0"),
            ("branch2.a_bn", "branch.1"),
            ("branch2.b", "branch.3"),
            ("branch2.b_bn", "branch.4"),
            ("branch2.c", "branch.6"),
            ("branch2.c_bn", "branch.7"),
        )
    },
    **{f"head.{at}": f"evidence.{at}" for at in (1, 4, 8)},
    **{f"classifier.{at}": f"classifier.{at}" for at in (0, 1)},
}
UNET_LAYERS: Mapping[str, str] = {
    f"{theirs}.double_conv.{at}": f"{ours}.{at}"
    for theirs, ours in (
        ("inc", "stem"),
        *((f"down{n}.maxpool_conv.1", f"down{n}.1") for n in range(1, 5)),
        *((f"up{n}.conv", f"up{n}.conv") for n in range(1, 5)),
    )
    for at in (0, 1, 3, 4)
} | {"outc.conv": "out"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Layout of a checkpoint, and the network that it becomes.

    Attributes
    ----------
    what
        For messages.
    architecture
        As `pipeline.model.loading.ARCHITECTURES` names it.
    layers
        Their layer to ours.
    dead
        Beginnings of names that are ignored: stages that are built and never run.
    """

    what: str
    architecture: str
    build: Callable[[], nn.Module]
    layers: Mapping[str, str]
    dead: tuple[str, ...] = ()


DECOVNET = Layout(
    what="classifier",
    architecture="decovnet",
    build=DeCoVNet,
    layers=DECOVNET_LAYERS,
    dead=("s4.", "s5."),
)
UNETS: Mapping[Statistics, Layout] = {
    "slice": Layout(
        what="UNet", architecture="unet-2d-slicewise", build=slicewise_unet, layers=UNET_LAYERS
    ),
    "running": Layout(what="UNet", architecture="unet-2d", build=UNet, layers=UNET_LAYERS),
}


def read_checkpoint(path: Path, layout: Layout) -> dict[str, Tensor]:
    """Weights of one checkpoint under our names.

    Running statistics that our network does not use are checked, and left out.

    Raises
    ------
    ModelError
        If the file cannot be read as tensors alone, or its tensors are not exactly those of the
        layout, of its shapes and types, and finite; the message lists every fault.
    """
    held = _named(_read(path), path.name)
    held = {name: value for name, value in held.items() if not name.startswith(layout.dead)}
    network = layout.build()
    expected = _expected(network, layout.layers)
    if not expected.keys() & held.keys():
        raise ModelError(
            f"{path.name}: expected the authors' {layout.what} ({next(iter(expected))} and"
            f" {len(expected) - 1} more), got {_some(held)}"
        )
    faults = _faults(expected, held)
    if faults:
        raise ModelError(f"{path.name}: not the authors' {layout.what}: {'; '.join(faults)}")
    tensors = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    return {
        f"{place}.{part}": tensors[f"{theirs}.{part}"]
        for theirs, place in layout.layers.items()
        for part in network.get_submodule(place).state_dict()
    }


def _read(path: Path) -> object:
    """Read a file of safetensors or of ``torch.save``, executing nothing."""
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ModelError(f"expected a readable file {path}, got: {exc.strerror}") from exc
    try:
        if path.suffix == ".safetensors":
            return tensors_from_bytes(data)
        with warnings.catch_warnings(action="ignore"):  # of what is refused in a moment
            return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UNREADABLE as exc:
        raise ModelError(
            f"{path.name}: expected tensors alone, saved by torch.save or safetensors,"
            f" got {_instead(exc)}"
        ) from exc


def _instead(exc: Exception) -> str:
    """Say what could not be read; torch's own words advise to load it unsafely."""
    wanted = re.search(r"GLOBAL (\S+)", str(exc))
    if wanted:
        return f"a pickle that asks for {wanted[1]}; it was not executed"
    return f"a file that is broken, cut short or of another kind ({type(exc).__name__})"


def _named(held: object, file: str) -> dict[str, object]:
    """Values by their names, without the wrapper's prefix if all have it."""
    if not isinstance(held, Mapping) or not all(isinstance(name, str) for name in held):
        raise ModelError(f"{file}: expected tensors by their names, got a {type(held).__name__}")
    wrapped = all(name.startswith(WRAPPER) for name in held)
    return {name.removeprefix(WRAPPER) if wrapped else name: held[name] for name in held}


def _some(held: Mapping[str, object]) -> str:
    """Name the first of what is held."""
    return f"{next(iter(held))} and {len(held) - 1} more" if held else "nothing"


def _expected(network: nn.Module, layers: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors of the authors' file, by their names; only shapes and types matter."""
    expected: dict[str, Tensor] = {}
    for theirs, place in layers.items():
        layer = network.get_submodule(place)
        if isinstance(layer, NORMS):
            layer = nn.BatchNorm1d(layer.num_features)
        expected |= {f"{theirs}.{part}": value for part, value in layer.state_dict().items()}
    return expected


def _faults(expected: Mapping[str, Tensor], got: Mapping[str, object]) -> list[str]:
    """Say all that is missing, surplus, of another shape or type, or not finite."""
    faults = [f"missing {name}" for name in expected.keys() - got.keys()]
    faults += [f"surplus {name}" for name in got.keys() - expected.keys()]
    for name in expected.keys() & got.keys():
        value, wanted = got[name], _kind(expected[name])
        if _kind(value) != wanted:
            faults.append(f"{name} is {_kind(value)}, expected {wanted}")
        elif isinstance(value, Tensor) and not bool(value.isfinite().all()):
            faults.append(f"{name} has values that are not finite")
    return sorted(faults)


def _kind(value: object) -> str:
    """Shape and type in words."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.layout is not torch.strided:
        return f"a {str(value.layout).removeprefix('torch.')} tensor"
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
