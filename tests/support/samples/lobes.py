"""Lobes as an analysis has them: all five, or those of the left lung alone."""

from __future__ import annotations

from pipeline.lobar_extent import Fissure, FissureEvidence, LobarExtent, Lobe, LobeExtent

LEFT = (Lobe.LEFT_UPPER, Lobe.LEFT_LOWER)


def all_lobes() -> LobarExtent:
    """Five lobes of 800 ml: a tenth of the right lower one is opaque, nothing of the others."""
    return LobarExtent(
        lobes=tuple(
            LobeExtent(
                lobe=lobe, volume_ml=800.0, opaque_ml=80.0 if lobe is Lobe.RIGHT_LOWER else 0.0
            )
            for lobe in Lobe
        ),
        fissures=tuple(evidence(fissure, seen=0.3) for fissure in Fissure),
    )


def left_lobes() -> LobarExtent:
    """Lobes of the left lung: the right oblique fissure is not seen."""
    return LobarExtent(
        lobes=tuple(one for one in all_lobes().lobes if one.lobe in LEFT),
        fissures=(
            evidence(Fissure.RIGHT_OBLIQUE, seen=0.1),
            evidence(Fissure.LEFT_OBLIQUE, seen=0.3),
        ),
    )


def no_lobes() -> LobarExtent:
    """No lobe: neither oblique fissure is seen."""
    return LobarExtent(
        lobes=(),
        fissures=(
            evidence(Fissure.RIGHT_OBLIQUE, seen=0.1),
            evidence(Fissure.LEFT_OBLIQUE, seen=0.1),
        ),
    )


def evidence(fissure: Fissure, seen: float) -> FissureEvidence:
    """Evidence of a fissure that stands out, where it is seen at all."""
    return FissureEvidence(fissure=fissure, seen=seen, contrast=8.0)
