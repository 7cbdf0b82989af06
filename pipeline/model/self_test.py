"""Try a loaded model on a tiny input, to see whether this machine computes at all."""

from __future__ import annotations

import torch

from pipeline.errors import ModelError
from pipeline.model.loading import Models

SIDE = 32  #: of the tiny slices, pixels: twice the stride of the UNet
SLICES = 4


def self_test(models: Models) -> None:
    """Have both networks compute something small.

    Raises
    ------
    ModelError
        If what comes out is not finite.
    RuntimeError
        If a network cannot compute here, such as for the lack of a working device.
    """
    scan = torch.zeros(1, 2, SLICES, SIDE, SIDE, device=models.device)
    scan[:, 1] = 1  # all lung
    with torch.inference_mode():
        outputs = {"lungs": models.lungs(scan[:, :1, 0]), "classifier": models.classifier(scan)}
    for name, output in outputs.items():
        if not bool(torch.isfinite(output).all()):
            raise ModelError(f"self-test: expected finite values of the {name} network, got others")
