"""Content of the opacities of an analysis together: ground glass and consolidation."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.types import Analysis

CONSOLIDATION_MIN_HU = -300
"""HU; from here a voxel of an opacity is consolidation, below it ground glass. Of eight thresholds
the one that told patients best (10.1186/s12879-021-06556-z). Vessels within ground glass lie above
it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpacityContent:
    """Volumes of opacities by their attenuation, ml."""

    ground_glass_ml: float
    consolidation_ml: float


def content_of(analysis: Analysis) -> OpacityContent | None:
    """Volumes of the opacities together; None where they are not reported, or were not measured."""
    if analysis.involvement.total is None:
        return None
    parts = [(lesion.ground_glass_mm3, lesion.consolidation_mm3) for lesion in analysis.lesions]
    glass = [part for part, _ in parts if part is not None]
    solid = [part for _, part in parts if part is not None]
    if len(glass) < len(parts):
        return None
    return OpacityContent(ground_glass_ml=sum(glass) / 1000, consolidation_ml=sum(solid) / 1000)
