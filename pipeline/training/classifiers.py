"""Classifiers that can be trained, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from pipeline.networks.clfnet2d import ClfNet2D
from pipeline.networks.decovnet import DeCoVNet
from pipeline.networks.evidence_net import EvidenceNet
from pipeline.networks.fcclf import FCClf

CLASSIFIERS: Mapping[str, Callable[[], nn.Module]] = {
    "evidence-net": EvidenceNet,
    "decovnet": DeCoVNet,
    "decovnet-no-dropout": lambda: DeCoVNet(dropout=0.0),
    "decovnet-no-mask": lambda: DeCoVNet(channels=1),
    "decovnet-fcclf": FCClf,
    "2dclfnet": ClfNet2D,
}
#: Those that the node can run, with their architecture's name in a manifest.
DEPLOYABLE: Mapping[str, str] = {
    "evidence-net": "evidence-net",
    "decovnet": "decovnet",
    "decovnet-no-dropout": "decovnet",
}
#: Highest learning rate of each in a comparison: at EvidenceNet's, DeCoVNet's heads die.
RATES: Mapping[str, float] = dict.fromkeys(CLASSIFIERS, 5e-4) | {"evidence-net": 2e-3}
