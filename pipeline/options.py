"""Options of an analysis that a site may choose; importable without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.classifier.activation_methods import ActivationMethod

METHOD = 5
"""Number of the way from images to findings: one more whenever the same images come to other
findings with the same model. Rounding makes no other: scores to 0.0002, the activation to 1 %.
2: the lungs' network sees thin slices 2.5 mm apart. 3: round ground glass is an opacity
wherever the activation lies. 4: what is dense and no lesion is measured, and lesions grow back
into what vessels took. 5: opacities are looked for in slices of up to 1.5 mm made of thinner
ones. A kept analysis of another number is not issued again: it would hide what this one finds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisOptions:
    """Settings of an analysis that a site may choose.

    Attributes
    ----------
    threshold
        Scores strictly above it are positive, all others negative; None takes the three answers
        of the model's prediction sets (`pipeline.decision.answered`).
    lesions_when_negative
        Report lesions although the answer is not above. Off: an opacity found in a series that
        is not called positive would read as COVID-19 all the same. The activation map is always
        computed.
    unreported_share, unreported_ml
        Of opacities in a series that is called negative: share of the lungs, 0 to 1, and volume
        of the largest one, ml, from which on the results say that there are changes.
    by_scanner
        Take the bounds of the scanner's group where the model has some; not with a `threshold`.
    lobes
        Look for the lobes, and measure the opacities in each.
    activation
        How the activation is computed: one of `ActivationMethod`.
    """

    threshold: float | None = None
    lesions_when_negative: bool = False
    unreported_share: float = 0.01
    unreported_ml: float = 3.0
    by_scanner: bool = False
    lobes: bool = False
    activation: str = str(ActivationMethod.DEFAULT)

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must lie in 0 to 1, got {self.threshold}")
        if self.unreported_share < 0 or self.unreported_ml < 0:
            raise ValueError("unreported_share and unreported_ml must not be negative")
        methods = sorted(map(str, ActivationMethod))
        if self.activation not in methods:
            raise ValueError(f"activation must be of {methods}, got {self.activation}")

    def as_parameters(self) -> Mapping[str, str]:
        """Name the settings that change results, for the result key and the report."""
        return {
            "threshold": "model" if self.threshold is None else f"{self.threshold:g}",
            "lesions when negative": "yes" if self.lesions_when_negative else "no",
            "unreported share": f"{self.unreported_share:g}",
            "unreported ml": f"{self.unreported_ml:g}",
            "activation": self.activation,
            **({"bounds by scanner": "yes"} if self.by_scanner else {}),
            **({"lobes": "yes"} if self.lobes else {}),
        }
