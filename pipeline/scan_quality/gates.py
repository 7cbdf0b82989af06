"""Gates on the acquisition properties that `pipeline.scan_quality.measure` measures.

Bounds are those of usual chest CT; a model's manifest may set its own. The kernel's lie between
what a Siemens D40s (0.36 to 0.39 per mm) and a B70f (0.52 per mm) gave when they were measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import UnsuitableSeries
from pipeline.lungs.gates import ANY, Bounds
from pipeline.model.manifest import AcquisitionFigure
from pipeline.reasons import QualityFlag, UnsuitableReason
from pipeline.scan_quality.measure import AcquisitionFacts
from pipeline.types import Doubt
from pipeline.wording import figure


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquisitionGate:
    """One figure with its bounds.

    Attributes
    ----------
    figure
        Name of an attribute of `AcquisitionFacts`.
    expected
        Outside, the analysis is doubted.
    possible, refusal
        Outside, the series is refused, with this reason.
    """

    code: QualityFlag
    figure: AcquisitionFigure
    words: str
    unit: str
    expected: Bounds
    possible: Bounds = ANY
    refusal: UnsuitableReason | None = None


GATES = (
    AcquisitionGate(
        code=QualityFlag.UNUSUAL_SPACING,
        figure="slice_mm",
        words="distance between slices",
        unit="mm",
        expected=(0.4, 5.0),
        possible=(0.1, 10.0),
        refusal=UnsuitableReason.UNUSUAL_SPACING,
    ),
    AcquisitionGate(
        code=QualityFlag.UNUSUAL_SPACING,
        figure="pixel_mm",
        words="distance between pixels",
        unit="mm",
        expected=(0.4, 1.0),
    ),
    AcquisitionGate(
        code=QualityFlag.UNUSUAL_NOISE,
        figure="noise_hu",
        words="noise in soft tissue",
        unit="HU",
        expected=(2.0, 50.0),
        possible=(0.0, 300.0),
        refusal=UnsuitableReason.UNUSUAL_NOISE,
    ),
    AcquisitionGate(
        code=QualityFlag.UNUSUAL_KERNEL,
        figure="noise_frequency",
        words="mean frequency of the noise",
        unit="per mm",
        expected=(0.12, 0.46),
    ),
    AcquisitionGate(
        code=QualityFlag.UNUSUAL_ATTENUATION,
        figure="soft_tissue_hu",
        words="soft tissue",
        unit="HU",
        expected=(10.0, 120.0),
    ),
    AcquisitionGate(
        code=QualityFlag.CONTRAST_MEDIUM,
        figure="mediastinum_hu",
        words="upper quartile of the mediastinum",
        unit="HU",
        expected=(-math.inf, 90.0),
    ),
    AcquisitionGate(
        code=QualityFlag.TRUNCATED_LUNGS,
        figure="cut",
        words="a lung on the first or last slice, as a share of its largest area,",
        unit="",
        expected=(-math.inf, 0.1),
    ),
)


def acquisition_doubts(
    facts: AcquisitionFacts, own_bounds: Mapping[AcquisitionFigure, Bounds]
) -> tuple[Doubt, ...]:
    """Gates that a scan does not pass.

    Parameters
    ----------
    own_bounds
        The model's own, by figure; they stand in for those of the gates.

    Raises
    ------
    UnsuitableSeries
        If a figure is out of all reason; the code is the gate's refusal.
    """
    doubts, unmeasured = [], []
    for gate in GATES:
        value = getattr(facts, gate.figure)
        expected = own_bounds.get(gate.figure, gate.expected)
        if math.isnan(value):
            unmeasured.append(gate.words)
        elif gate.refusal and not gate.possible[0] <= value <= gate.possible[1]:
            raise UnsuitableSeries(gate.refusal, sentence(gate, value, gate.possible))
        elif not expected[0] <= value <= expected[1]:
            doubts.append(Doubt(code=gate.code, text=sentence(gate, value, expected)))
    if unmeasured:
        text = f"not measurable: {', '.join(unmeasured)}"
        doubts.append(Doubt(code=QualityFlag.ACQUISITION_UNMEASURED, text=text))
    return tuple(doubts)


def sentence(gate: AcquisitionGate, value: float, bounds: Bounds) -> str:
    """Say the figure, and the bounds that were expected."""
    low, high = bounds
    expected = f"{high:g} or less" if low == -math.inf else f"{low:g} to {high:g}"
    shown = figure(value, *bounds, digits=3, form="g")
    return f"{' '.join(filter(None, (gate.words, shown, gate.unit)))}, {expected} expected"
