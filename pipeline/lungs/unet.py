"""Segment the lungs by the 2D UNet: axial slices on their own, in batches."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import ModelError
from pipeline.lungs.coarse_grid import Mask
from pipeline.model.manifest import LungsInput
from pipeline.model.memory import in_batches
from pipeline.model.torch_threads import in_halves
from pipeline.networks.unet import UNet, folded

BATCH = {"cpu": 4, "cuda": 32}  #: slices at a time: 4 to 8 were fastest on a CPU


@torch.inference_mode()
def segment_unet(
    hu: NDArray[np.int16],
    network: nn.Module,
    seen: LungsInput,
    at_once: int = 0,
    *,
    pixel_mm: tuple[float, float] = (1.0, 1.0),
    step: int = 1,
) -> Mask:
    """Segment the lungs of every slice.

    Parameters
    ----------
    hu
        ``(slices, rows, columns)``, any size; an oblong slice is padded to a square.
    pixel_mm
        Distance between rows, and between columns: the network sees square pixels.
    network
        A `UNet` on the device to compute on.
    seen
        Size and window that the network was trained with.
    step
        The network sees so many-th slices, those in the middle of their block; between them its
        answer is interpolated.
    at_once
        Slices at a time; 0 for what suits the device. Where memory runs out they become fewer.

    Returns
    -------
    NDArray[np.bool_]
        Same shape. The lead of lung over the rest is interpolated to the grid of the images
        and then cut at 0: much closer than resizing the classes.
    """
    if not isinstance(network, UNet):
        raise ModelError(f"expected a UNet for the lungs, got {type(network).__name__}")
    device = next(network.parameters()).device
    kind = _kind(device)
    ready = folded(network).to(dtype=kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    held = _size_held(hu.shape[1:], pixel_mm, seen.size)
    places = np.arange(min(step // 2, len(hu) - 1), len(hu), step)
    leads = torch.empty((len(places), *held), device=device)
    found = np.zeros(hu.shape, bool)

    def see(batch: slice) -> None:
        images = torch.from_numpy(hu[places[batch]].astype(np.float32)).to(device)
        logits = ready(_as_seen(images, seen, held).to(kind, memory_format=torch.channels_last))
        leads[batch] = _lead(logits.float(), held)

    def cut(batch: slice) -> None:
        lead = _between(leads, (np.arange(len(hu))[batch] - places[0]) / step)
        found[batch] = _at_size(lead, hu.shape[1:]).cpu().numpy()

    count = at_once or BATCH[device.type]
    for total, step_of in ((len(places), see), (len(hu), cut)):
        if device.type == "cpu" and not at_once:
            in_halves(total, partial(in_batches, count=count, work=step_of))
        else:
            in_batches(range(total), count, step_of)
    return found


def _kind(device: torch.device) -> torch.dtype:
    """Half precision on a GPU, bfloat16 on a CPU that computes in it, else single precision."""
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def _size_held(shape: tuple[int, ...], pixel_mm: tuple[float, float], size: int) -> tuple[int, int]:
    """Rows and columns that a slice takes of the network's square, in pixels of one length."""
    lengths = [count * mm for count, mm in zip(shape, pixel_mm, strict=True)]
    rows, columns = (max(1, round(size * length / max(lengths))) for length in lengths)
    return rows, columns


def _as_seen(images: Tensor, seen: LungsInput, held: tuple[int, int]) -> Tensor:
    """Window, resize and pad ``(B, rows, columns)`` to ``(B, 1, size, size)``."""
    low, high = seen.window_hu
    images = ((images - low) / (high - low)).clamp(0, 1)[:, None]
    images = functional.interpolate(images, held, mode="area")
    return functional.pad(images, [0, seen.size - held[1], 0, seen.size - held[0]])


def _lead(logits: Tensor, held: tuple[int, int]) -> Tensor:
    """Lead of lung over the rest, ``(B, rows, columns)``, without the padding."""
    return (logits[:, 1] - logits[:, 0])[..., : held[0], : held[1]]


def _between(leads: Tensor, at: NDArray[np.float64]) -> Tensor:
    """Interpolate linearly between slices; beyond the outermost their values go on."""
    at = np.clip(at, 0, len(leads) - 1)
    below = np.floor(at).astype(np.intp)
    share = torch.from_numpy(at - below).to(leads)[:, None, None]
    if not share.any():
        return leads[below]
    return torch.lerp(leads[below], leads[np.minimum(below + 1, len(leads) - 1)], share)


def _at_size(lead: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Lung or not, ``(B, rows, columns)`` bool."""
    lead = functional.interpolate(lead[:, None], tuple(shape), mode="bilinear", align_corners=False)
    return lead[:, 0] > 0
