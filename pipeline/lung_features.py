"""A series in one short vector: the classifier's features, averaged over the lungs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def lung_features(features: Tensor, lungs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Mean of the feature map over the cells of the lungs.

    Parameters
    ----------
    features
        ``(1, C, t, h, w)``: `pipeline.classify.Scored.features`.
    lungs
        ``(T, H, W)``, 0 to 1: the second channel of the network's input. Each cell counts as
        much as there is lung in it.

    Returns
    -------
    NDArray
        ``(C,)`` float64; zeros without any lung.
    """
    with torch.no_grad():
        held = torch.from_numpy(lungs)[None].to(features.device)
        planes, rows, columns = features.shape[2:]
        weights = functional.adaptive_avg_pool3d(held, (planes, rows, columns))[0].double()
        total = torch.einsum("czyx,zyx->c", features[0].double(), weights)
        mean: NDArray[np.float64] = (total / weights.sum().clamp(min=1e-9)).cpu().numpy()
    return mean
