"""2DClfNet: every slice on its own, the strongest slice decides. 602,370 parameters.

The 2-D baseline of Wang et al., IEEE TMI 39(8):2615-2625, 2020, doi 10.1109/TMI.2020.2995965.
Their figures (0.600 M parameters, 378.6 G) cannot be reproduced from their table VI: as printed
it has 827,394 parameters and 242.0 G multiply-accumulates for 128 slices of 224 x 336, and no
network of 0.600 M at its resolutions reaches 378.6 G. This is the nearest sensible build; it has
208.1 G. Report what is measured here, not the paper's figures.

Each slice is normalised by itself (instance norm), so that a slice's evidence does not depend on
its neighbours, nor on how many slices are computed at a time.

Shapes: B batch, T planes, H rows, W columns, N slices at a time.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pipeline.networks.decovnet import CHANNELS_IN, FEATURES

FEATURE_STRIDE = (1, 8, 8)  #: planes, rows, columns from one entry of the feature map to the next
SLICES_AT_A_TIME = 16  #: bounds memory: their widest map is 77 MB at 224 x 336
LINEAR_INIT_STD = FEATURES**-0.5  #: as for `DeCoVNet`: keeps the spread of the features


class ClfNet2D(nn.Module):
    """The slice-wise classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.of_slices = nn.Sequential(
            convolved(CHANNELS_IN, 64, size=7, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
            basic_block(64, FEATURES),
            nn.MaxPool2d(2),
            bottleneck_block(FEATURES, 64),
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Linear(FEATURES, 2)
        self.apply(start_layer)

    def forward(self, x: Tensor) -> Tensor:
        """Score scans.

        Parameters
        ----------
        x
            ``(B, 2, T, H, W)`` float32: attenuation 0..1 and lung mask 0/1.

        Returns
        -------
        Tensor
            ``(B, 2)`` logits, index 1 for COVID-19.
        """
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Compute the feature map ``(B, 128, T, H // 8, W // 8)``, a few slices at a time.

        With gradients, nothing of a slice is kept for the backward pass but its input: it is
        computed a second time then.
        """
        slices = x.transpose(1, 2).flatten(0, 1)  # (B * T, 2, H, W)
        maps = [self._map(some) for some in torch.split(slices, SLICES_AT_A_TIME)]
        every = torch.cat(maps)  # (B * T, 128, H // 8, W // 8)
        return every.view(x.shape[0], x.shape[2], *every.shape[1:]).transpose(1, 2)

    def head(self, features: Tensor) -> Tensor:
        """Turn the feature map into ``(B, 2)`` logits: maximum of each slice, then over slices."""
        out: Tensor = self.classifier(features.amax(dim=(2, 3, 4)))
        return out

    def _map(self, slices: Tensor) -> Tensor:
        """``(N, 2, H, W)`` to ``(N, 128, H // 8, W // 8)``."""
        if not torch.is_grad_enabled():
            return cast(Tensor, self.of_slices(slices))
        again = checkpoint(self.of_slices, slices, use_reentrant=False, preserve_rng_state=False)
        return cast(Tensor, again)


class Residual(nn.Module):
    """A branch beside a projected shortcut, summed and rectified."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """``(N, in, H, W)`` to ``(N, out, H, W)``."""
        return torch.relu(self.branch(x) + self.shortcut(x))


def basic_block(channels_in: int, channels_out: int) -> Residual:
    """Two 3 x 3 convolutions."""
    return Residual(
        nn.Sequential(
            convolved(channels_in, channels_out, size=3),
            nn.ReLU(inplace=True),
            convolved(channels_out, channels_out, size=3),
        ),
        convolved(channels_in, channels_out, size=1),
    )


def bottleneck_block(channels: int, inner: int) -> Residual:
    """Narrow by 1 x 1, convolve by 3 x 3, widen by 1 x 1."""
    return Residual(
        nn.Sequential(
            convolved(channels, inner, size=1),
            nn.ReLU(inplace=True),
            convolved(inner, inner, size=3),
            nn.ReLU(inplace=True),
            convolved(inner, channels, size=1),
        ),
        convolved(channels, channels, size=1),
    )


def convolved(channels_in: int, channels_out: int, *, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution of ``size`` x ``size`` without bias, then instance norm."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.InstanceNorm2d(channels_out, affine=True),
    )


def start_layer(layer: nn.Module) -> None:
    """Set the first weights: Kaiming normal (fan-out) for convolutions, small for linears."""
    if isinstance(layer, nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=LINEAR_INIT_STD)
    if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
