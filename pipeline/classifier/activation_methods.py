"""Methods of computing an activation map, by name; `activation` computes them."""

from __future__ import annotations

from enum import StrEnum


class ActivationMethod(StrEnum):
    """A way to compute an activation map."""

    DEFAULT = "default"  #: evidence where the network maps it, else Grad-CAM
    EVIDENCE = "evidence"
    GRAD_CAM = "grad-cam"
    HIRESCAM = "hirescam"
    LAYERCAM = "layercam"
    NORMGRAD = "normgrad"
    PAPER_CAM = "paper-cam"  #: as Wang et al. 2020; DeCoVNet only
