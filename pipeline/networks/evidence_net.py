"""EvidenceNet: a classifier whose explanation is part of its arithmetic.

Our second network beside DeCoVNet (`pipeline.networks.decovnet`), on the same input. It differs
in three ways:

- a 1 x 1 x 1 convolution gives every cell of the feature map its *evidence* for COVID-like
  opacities; the score is a rising function of the largest evidence in each half of the chest and
  of nothing else, so the map that is shown is the map that was judged. Where lesion masks exist,
  the same map learns from them;
- batch norm instead of instance norm: in use it is a fixed scale, so that the evidence of a cell
  follows from what lies around it, not from the rest of the scan, and it folds into the weights;
- a flat stem (1 x 7 x 7 instead of 5 x 7 x 7, which is two thirds of DeCoVNet's arithmetic); the
  planes are joined by the residual blocks, of which there are two more.

Shapes: B batch, T planes (feet to head), H rows, W columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.networks.decovnet import (
    CHANNELS_IN,
    FEATURE_STRIDE,
    FEATURES,
    NEGATIVE,
    POSITIVE,
    larger_of_pairs,
)

INNER = 32  #: channels within the residual blocks
FEW_CELLS = 4  #: the smallest pool: cells of about 8 x 12 x 12 mm
TOP_SHARES = (0.01, 0.05)  #: of the cells of a half: the wider pools
PRIOR = -2.0  #: evidence of any cell before training: lesions are rare


class EvidenceNet(nn.Module):
    """The classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(CHANNELS_IN, 16, (1, 7, 7), (1, 2, 2), (0, 3, 3), bias=False),
            nn.BatchNorm3d(16),
            nn.ReLU(inplace=True),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
        )
        self.res1 = Residual(16, 64, stride=1)
        self.res2 = Residual(64, FEATURES, stride=2)
        self.res3 = Residual(FEATURES, FEATURES, stride=1)
        self.res4 = Residual(FEATURES, FEATURES, stride=1, dilation=2)
        self.evidence = nn.Conv3d(FEATURES, 1, 1)
        nn.init.constant_(self.evidence.bias, PRIOR)  # type: ignore[arg-type]  # built with a bias
        self.rise = nn.Parameter(torch.full((2, 1 + len(TOP_SHARES)), -1.0))
        self.offset = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        """Score scans ``(B, 2, T, H, W)``: ``(B, 2)`` logits, see `DeCoVNet.forward`."""
        return self.head(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Compute the feature map ``(B, 128, T // 2, H / 8, W / 8)``, 0 in cells without lung."""
        lung = x[:, 1:]
        x = self.stem(x)  # (B, 16, T, H/4, W/4)
        x = larger_of_pairs(self.res1(x))  # (B, 64, T//2, H/4, W/4)
        x = self.res4(self.res3(self.res2(x)))  # (B, 128, T//2, H/8, W/8)
        return x * _cells_with_lung(lung, x.shape[2:])

    def evidence_map(self, features: Tensor) -> Tensor:
        """Evidence ``(B, T // 2, H / 8, W / 8)`` of every cell, as a logit."""
        out: Tensor = self.evidence(features)[:, 0]
        return out

    def head(self, features: Tensor) -> Tensor:
        """Turn the feature map into ``(B, 2)`` logits."""
        score = self.score(self.evidence_map(features))
        logits = torch.zeros(len(score), 2, dtype=score.dtype, device=score.device)
        logits[:, POSITIVE], logits[:, NEGATIVE] = score / 2, -score / 2
        return logits

    def score(self, evidence: Tensor) -> Tensor:
        """Logit ``(B,)`` of a scan: rises with the evidence of the more and less affected half.

        COVID-19 is mostly bilateral; one lobe full of consolidation is mostly something else.
        """
        middle = evidence.shape[-1] // 2
        halves = torch.stack([_pools(evidence[..., :middle]), _pools(evidence[..., middle:])])
        both = torch.stack([halves.amax(dim=0), halves.amin(dim=0)], dim=1)  # (B, 2, pools)
        return (both * functional.softplus(self.rise)).sum(dim=(1, 2)) + self.offset


class Residual(nn.Module):
    """3x1x1, 1x3x3 and 1x1x1 convolutions beside a shortcut, each with batch norm."""

    def __init__(
        self, channels_in: int, channels_out: int, *, stride: int, dilation: int = 1
    ) -> None:
        super().__init__()
        inner = min(INNER, channels_out // 4)
        around, apart = (dilation, 0, 0), (dilation, 1, 1)
        self.branch = nn.Sequential(
            nn.Conv3d(channels_in, inner, (3, 1, 1), padding=around, dilation=apart, bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(inplace=True),
            nn.Conv3d(
                inner,
                inner,
                (1, 3, 3),
                (1, stride, stride),
                (0, dilation, dilation),
                (1, dilation, dilation),
                bias=False,
            ),
            nn.BatchNorm3d(inner),
            nn.ReLU(inplace=True),
            nn.Conv3d(inner, channels_out, 1, bias=False),
            nn.BatchNorm3d(channels_out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv3d(channels_in, channels_out, 1, (1, stride, stride), bias=False),
                nn.BatchNorm3d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, T, H, W)`` to ``(B, out, T, H/stride, W/stride)``."""
        return torch.relu(self.branch(x) + self.shortcut(x))


def _cells_with_lung(lung: Tensor, size: torch.Size) -> Tensor:
    """Mask ``(B, 1, T, H, W)`` as 0 or 1 on the cells of the feature map."""
    planes, rows, columns = FEATURE_STRIDE
    padding = (0, rows // 2, columns // 2)  # a cell is centred on its first row and column
    held = functional.max_pool3d(
        lung, (planes, rows + 1, columns + 1), (planes, rows, columns), padding
    )
    return (held > 0).to(lung.dtype)[..., : size[0], : size[1], : size[2]]


def _pools(evidence: Tensor) -> Tensor:
    """Mean of the few and of the top shares of the largest cells: ``(B, pools)``."""
    flat = evidence.flatten(1)
    counts = [FEW_CELLS, *(round(share * flat.shape[1]) for share in TOP_SHARES)]
    highest = flat.topk(min(max(counts), flat.shape[1]), dim=1).values
    return torch.stack([highest[:, : max(1, count)].mean(dim=1) for count in counts], dim=1)
