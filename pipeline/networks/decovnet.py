"""DeCoVNet: a 3-D network that scores a chest CT for COVID-19 from weak labels.

Source: Wang et al., "A Weakly-Supervised Framework for COVID-19 Classification and Lesion
Localization From Chest CT", IEEE TMI 39(8):2615-2625, 2020, doi 10.1109/TMI.2020.2995965.
Written afresh from the published layer table. Two points are read off the published numbers:

- 346,978 parameters need two linear layers at the end (32 to 32 to 2, nothing between);
- 28.5401 G multiply-accumulates at 128 x 224 x 336 need the pool sizes below.

The published network was run with batch statistics on one scan at a time, which is instance
normalisation; so the layers here are `torch.nn.InstanceNorm3d` with an affine part.

Shapes: B batch, T planes (feet to head), H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS_IN = 2  #: windowed attenuation, lung mask
FEATURES = 128  #: channels of the feature map that class activation maps are made from
FEATURE_STRIDE = (2, 8, 8)  #: planes, rows, columns from one entry of that map to the next
FEATURE_OFFSET = (0.5, 0.0, 0.0)  #: where entry 0 lies: the pool of planes joins 0 and 1
NEGATIVE, POSITIVE = 0, 1  #: index of each class in the logits
LINEAR_INIT_STD = 0.18  #: 1 / sqrt(32); with the published 0.01 scores do not move for epochs


class Backbone(nn.Module):
    """The convolutions up to the feature map: 41,600 parameters with two channels.

    Parameters
    ----------
    channels
        How many channels of the input are looked at: 2, or 1 to leave out the lung mask.
    """

    def __init__(self, *, channels: int = CHANNELS_IN) -> None:
        super().__init__()
        self.channels = channels
        self.stem = stem(channels)
        self.res1 = Bottleneck(16, 64, stride=1)
        self.res2 = Bottleneck(64, FEATURES, stride=2)

    def features(self, x: Tensor) -> Tensor:
        """Compute the feature map ``(B, 128, T // 2, H / 8, W / 8)``, sizes rounded up in-plane."""
        x = self.stem(x[:, : self.channels])  # (B, 16, T, H/4, W/4)
        x = larger_of_pairs(self.res1(x))  # (B, 64, T//2, H/4, W/4)
        out: Tensor = self.res2(x)  # (B, 128, T//2, H/8, W/8)
        return out

    def start(self) -> None:
        """Set the first weights, of the head in a subclass too; the branches start silent."""
        self.apply(start_layer)
        for block in (self.res1, self.res2):
            block.start_as_shortcut()


class DeCoVNet(Backbone):
    """The classifier. 346,978 parameters; 343,058 without the lung mask.

    Parameters
    ----------
    dropout
        Probability of dropping a whole channel before the last convolution, in training
        only (the paper trains with 0.5).
    channels
        2, or 1 to leave out the lung mask; the input has two channels all the same.
    """

    def __init__(self, *, dropout: float = 0.5, channels: int = CHANNELS_IN) -> None:
        super().__init__(channels=channels)
        self.evidence = evidence(dropout)
        self.classifier = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 2))
        self.start()

    def forward(self, x: Tensor) -> Tensor:
        """Score scans.

        Parameters
        ----------
        x
            ``(B, 2, T, H, W)`` float32: attenuation 0..1 and lung mask 0/1. T of 2 or more.

        Returns
        -------
        Tensor
            ``(B, 2)`` logits, index `POSITIVE` for COVID-19.
        """
        return self.head(self.features(x))

    def head(self, features: Tensor) -> Tensor:
        """Turn the feature map into ``(B, 2)`` logits by ever coarser pooling."""
        out: Tensor = self.classifier(self.evidence(features).flatten(1))
        return out


def larger_of_pairs(x: Tensor) -> Tensor:
    """Larger value of each two planes of ``(B, C, T, H, W)``; an odd last plane is left out.

    It is what `nn.MaxPool3d` gives for (2, 1, 1), thirty times as fast on a CPU.
    """
    pairs = x.shape[2] // 2 * 2
    return torch.maximum(x[:, :, 0:pairs:2], x[:, :, 1:pairs:2])


def stem(channels: int) -> nn.Sequential:
    """Quarter the plane, keep every slice: ``(B, C, T, H, W)`` to ``(B, 16, T, H/4, W/4)``."""
    return nn.Sequential(
        nn.Conv3d(channels, 16, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
        nn.InstanceNorm3d(16, affine=True),
        nn.ReLU(inplace=True),
        nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
    )


def evidence(dropout: float) -> nn.Sequential:
    """Narrow ``(B, 128, ...)`` of any size down to ``(B, 32, 1, 1, 1)``."""
    return nn.Sequential(
        nn.AdaptiveMaxPool3d((16, 24, 36)),
        nn.Conv3d(FEATURES, 64, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool3d((4, 12, 18)),
        nn.Conv3d(64, 32, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool3d((1, 6, 9)),
        nn.Dropout3d(dropout),
        nn.Conv3d(32, 32, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool3d(1),
    )


class Bottleneck(nn.Module):
    """3x1x1, 1x3x3 and 1x1x1 convolutions beside a projected shortcut."""

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        inner = channels_out // 4
        self.branch = nn.Sequential(
            nn.Conv3d(channels_in, inner, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.InstanceNorm3d(inner, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.InstanceNorm3d(inner, affine=True),
            nn.ReLU(inplace=True),
            nn.Conv3d(inner, channels_out, 1, bias=False),
            nn.InstanceNorm3d(channels_out, affine=True),
        )
        self.shortcut = nn.Sequential(
            nn.Conv3d(channels_in, channels_out, 1, (1, stride, stride), bias=False),
            nn.InstanceNorm3d(channels_out, affine=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, T, H, W)`` to ``(B, out, T, H/stride, W/stride)``."""
        return torch.relu(self.branch(x) + self.shortcut(x))

    def start_as_shortcut(self) -> None:
        """Silence the branch for the start of a training: its last scale becomes 0."""
        last = self.branch[-1]
        assert isinstance(last, nn.InstanceNorm3d)  # noqa: S101 - tells mypy what was built above
        nn.init.zeros_(last.weight)


def start_layer(layer: nn.Module) -> None:
    """Set the first weights: Kaiming normal (fan-out) for convolutions, small for linears."""
    if isinstance(layer, nn.Conv3d):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=LINEAR_INIT_STD)
    if isinstance(layer, nn.Conv3d | nn.Linear) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
