"""Volumes of low attenuation of the lungs, as of emphysema, air trapping and bullae."""

from __future__ import annotations

from dataclasses import dataclass

LOW_ATTENUATION_MAX_HU = -950
"""HU; darker lung is of low attenuation (Lynch and Al-Qaisi 2013, PMC4161463)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LowAttenuation:
    """Volume of each lung that lies below `LOW_ATTENUATION_MAX_HU`.

    Attributes
    ----------
    right_ml, left_ml, open_ml
        Of the right lung, of the left one, and of lung whose side is open, ml.
    """

    right_ml: float
    left_ml: float
    open_ml: float = 0.0

    @property
    def total_ml(self) -> float:
        """Volume in all lung, ml."""
        return self.right_ml + self.left_ml + self.open_ml
