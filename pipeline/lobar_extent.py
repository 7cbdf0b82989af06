"""Extent of the opacities lobe by lobe, and the CT severity score that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SEVERITY_ABOVE = (0.25, 0.50, 0.75)
"""Shares of a lobe above which its score is 3, 4 and 5 (Pan et al., Radiology 2020,
10.1148/radiol.2020200370): 0 without involvement, 1 below `MILD`, else 2."""
MILD = 0.05
MIN_SEEN, MIN_CONTRAST = 0.25, 5.0
"""Of `FissureEvidence`, from which a fissure counts as seen. Surfaces fitted where no fissure runs
(36 in six series) reached 0.23 and 6.0; see docs/tables/lobes.md."""


class Lobe(StrEnum):
    """Lobe of a lung."""

    RIGHT_UPPER = "right upper lobe"
    RIGHT_MIDDLE = "right middle lobe"
    RIGHT_LOWER = "right lower lobe"
    LEFT_UPPER = "left upper lobe"
    LEFT_LOWER = "left lower lobe"


class Fissure(StrEnum):
    """Fissure between two lobes."""

    RIGHT_OBLIQUE = "right oblique fissure"
    RIGHT_HORIZONTAL = "right horizontal fissure"
    LEFT_OBLIQUE = "left oblique fissure"


BOUNDED_BY = {
    Lobe.RIGHT_UPPER: (Fissure.RIGHT_OBLIQUE, Fissure.RIGHT_HORIZONTAL),
    Lobe.RIGHT_MIDDLE: (Fissure.RIGHT_OBLIQUE, Fissure.RIGHT_HORIZONTAL),
    Lobe.RIGHT_LOWER: (Fissure.RIGHT_OBLIQUE,),
    Lobe.LEFT_UPPER: (Fissure.LEFT_OBLIQUE,),
    Lobe.LEFT_LOWER: (Fissure.LEFT_OBLIQUE,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FissureEvidence:
    """Evidence that a fitted surface is the fissure.

    Attributes
    ----------
    seen
        Share of the surface on which a bright sheet lies, 0 to 1.
    contrast
        Strength of the sheet on the surface over that on surfaces parallel to it.
    """

    fissure: Fissure
    seen: float
    contrast: float

    @property
    def is_seen(self) -> bool:
        """Whether the evidence is enough to divide the lung by it."""
        return self.seen >= MIN_SEEN and self.contrast >= MIN_CONTRAST


@dataclass(frozen=True, slots=True, kw_only=True)
class LobeExtent:
    """Volume of a lobe, and of the opacities in it, ml."""

    lobe: Lobe
    volume_ml: float
    opaque_ml: float

    @property
    def share(self) -> float:
        """Share of the lobe that opacities take, 0 to 1."""
        return self.opaque_ml / self.volume_ml

    @property
    def severity(self) -> int:
        """CT severity score of the lobe, 0 to 5."""
        if self.share < MILD:
            return int(self.share > 0)
        return 2 + sum(self.share > bound for bound in SEVERITY_ABOVE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LobarExtent:
    """Lobes whose fissures are seen.

    Attributes
    ----------
    lobes
        In the order of `Lobe`; those that a fissure which is not seen bounds are left out.
    fissures
        Evidence of each fissure that was looked for; none where the lungs are not told apart.
    """

    lobes: tuple[LobeExtent, ...]
    fissures: tuple[FissureEvidence, ...]

    @property
    def severity(self) -> int | None:
        """CT severity score, 0 to 25; None unless all five lobes are there."""
        if len(self.lobes) < len(Lobe):
            return None
        return sum(lobe.severity for lobe in self.lobes)

    @property
    def unseen(self) -> tuple[Fissure, ...]:
        """Fissures that are not seen well enough."""
        return tuple(found.fissure for found in self.fissures if not found.is_seen)
