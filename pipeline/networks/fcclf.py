"""DeCoVNet-FCClf: DeCoVNet's backbone under fully connected layers, 43,104,514 parameters.

An ablation of Wang et al., IEEE TMI 39(8):2615-2625, 2020, doi 10.1109/TMI.2020.2995965. Their
table VII prints 64 x 4 x 4 x 6 values after the pool, which would make 24.2 M parameters; the
43.1 M and 25.81 G they report are those of the backbone's 128 channels, as here.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from pipeline.networks.decovnet import FEATURES, Backbone

POOLED = (4, 4, 6)  #: planes, rows, columns that the feature map is pooled to
WIDTHS = (FEATURES * 4 * 4 * 6, 3072, 1536, 384, 2)  #: values before and after each linear layer


class FCClf(Backbone):
    """The classifier with fully connected layers.

    Parameters
    ----------
    dropout
        Probability of dropping a whole channel of the pooled map, in training only.
    """

    def __init__(self, *, dropout: float = 0.5) -> None:
        super().__init__()
        self.evidence = nn.Sequential(nn.AdaptiveMaxPool3d(POOLED), nn.Dropout3d(dropout))
        self.classifier = fully_connected()
        self.start()
        for layer in self.classifier:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Score scans: ``(B, 2, T, H, W)`` as for `DeCoVNet` to ``(B, 2)`` logits."""
        return self.head(self.features(x))

    def head(self, features: Tensor) -> Tensor:
        """Turn the feature map into ``(B, 2)`` logits."""
        pooled = self.evidence(features)  # (B, 128, 4, 4, 6)
        out: Tensor = self.classifier(pooled.flatten(1))
        return out


def fully_connected() -> nn.Sequential:
    """Linear layers of the `WIDTHS`, ReLU between."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])
