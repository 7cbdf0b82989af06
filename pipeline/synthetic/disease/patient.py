"""Paint one patient at random: COVID-like opacities, another disease, or healthy lungs.

Both classes get the same light background of look-alikes, and some patients with opacities have
another disease besides, so that nothing but the opacities tells the classes apart. Of twins, the
negative has a disease and the positive the very same with opacities on top of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.synthetic.disease import lookalikes, opacities, other_disease
from pipeline.synthetic.disease.shapes import View

Painter = Callable[[View, np.random.Generator], None]

COMORBID_SHARE = 0.2  #: of the positives, which have a disease of `COMORBIDITIES` as well
STRONG = (0.55, 1.0)  #: of a look-alike that is the disease
LIGHT = (0.0, 0.4)  #: of one in the background

#: How often each look-alike appears in the background, in both classes.
BACKGROUND = {
    "dependent": 0.7,
    "motion": 0.25,
    "nodules": 0.2,
    "emphysema": 0.2,
    "bands": 0.15,
    "fibrosis": 0.08,
    "vessels": 0.2,
}

POSITIVES: Mapping[str, float] = {
    "ground-glass": 0.35,
    "crazy-paving": 0.15,
    "consolidation": 0.2,
    "mixed": 0.3,
}
NEGATIVES: Mapping[str, float] = {
    "healthy": 0.28,
    "lobar-consolidation": 0.13,
    "nodules": 0.06,
    "mass": 0.08,
    "effusion": 0.05,
    "emphysema": 0.04,
    "fibrosis": 0.15,
    "dependent-atelectasis": 0.14,
    "motion": 0.03,
    "prominent-vessels": 0.04,
}
COMORBIDITIES: Mapping[str, float] = {
    "nodules": 0.2,
    "effusion": 0.15,
    "emphysema": 0.2,
    "dependent-atelectasis": 0.2,
    "motion": 0.1,
    "prominent-vessels": 0.15,
}
#: Diseases of twins: most often those that were mistaken for COVID-19.
TWINS: Mapping[str, float] = {
    "dependent-atelectasis": 0.2,
    "fibrosis": 0.2,
    "lobar-consolidation": 0.22,
    "mass": 0.16,
    "effusion": 0.08,
    "emphysema": 0.05,
    "prominent-vessels": 0.05,
    "nodules": 0.02,
    "motion": 0.02,
}


def paint_twin(
    view: View, rng: np.random.Generator, shared: np.random.Generator, *, positive: bool
) -> str:
    """Paint one of twins: what both have by ``shared``, then the positive's opacities by ``rng``.

    Parameters
    ----------
    view, positive
        As of `paint_case`.
    rng
        Source of the chance of the opacities.
    shared
        Source of the chance of background and disease, in the same state for both twins.

    Returns
    -------
    Name of the pattern, a key of `POSITIVES` or `TWINS`.
    """
    _paint_background(view, shared)
    disease = _draw(TWINS, shared)
    PAINTERS[disease](view, shared)
    if not positive:
        return disease
    pattern = _draw(POSITIVES, rng)
    PAINTERS[pattern](view, rng)
    return pattern


def paint_case(view: View, rng: np.random.Generator, *, positive: bool) -> str:
    """Turn healthy lungs into a case, in place.

    Parameters
    ----------
    view
        Lungs as they were scanned; ``hu``, ``lesions`` and, where fluid displaces lung, ``lungs``
        and ``depth_mm`` change.
    rng
        Source of all chance.
    positive
        Whether to paint a COVID-like pattern; ``lesions`` is 1 where it lies, 0 everywhere in a
        negative.

    Returns
    -------
    Name of the pattern, a key of `POSITIVES` or `NEGATIVES`.

    Raises
    ------
    ValueError
        If there are no lungs in the view.
    """
    _paint_background(view, rng)
    if positive and rng.random() < COMORBID_SHARE:
        PAINTERS[_draw(COMORBIDITIES, rng)](view, rng)
    pattern = _draw(POSITIVES if positive else NEGATIVES, rng)
    PAINTERS[pattern](view, rng)
    return pattern


def _draw(weights: Mapping[str, float], rng: np.random.Generator) -> str:
    chance = np.array(list(weights.values()))
    return list(weights)[int(rng.choice(len(chance), p=chance / chance.sum()))]


def _paint_background(view: View, rng: np.random.Generator) -> None:
    """Add what many people's lungs show."""
    lookalikes.paint_breath(view, rng)
    present = {name: rng.random() < chance for name, chance in BACKGROUND.items()}
    if present["nodules"]:
        other_disease.paint_nodules(view, rng, most=2)
    if present["bands"]:
        lookalikes.paint_bands(view, rng, most=2)
    for name, paint in _GRADED.items():
        if present[name]:
            paint(view, rng, rng.uniform(*LIGHT))


def _graded(name: str) -> Painter:
    def paint(view: View, rng: np.random.Generator) -> None:
        _GRADED[name](view, rng, rng.uniform(*STRONG))

    return paint


def _paint_dependent_atelectasis(view: View, rng: np.random.Generator) -> None:
    lookalikes.paint_dependent(view, rng, rng.uniform(*STRONG))
    lookalikes.paint_bands(view, rng)


def _leave(view: View, rng: np.random.Generator) -> None:
    """Paint nothing."""


_GRADED: Mapping[str, Callable[[View, np.random.Generator, float], None]] = {
    "dependent": lookalikes.paint_dependent,
    "emphysema": lookalikes.paint_emphysema,
    "fibrosis": lookalikes.paint_fibrosis,
    "vessels": lookalikes.paint_vessels,
    "motion": lookalikes.paint_motion,
}

PAINTERS: Mapping[str, Painter] = {
    "ground-glass": opacities.paint_ground_glass,
    "crazy-paving": opacities.paint_crazy_paving,
    "consolidation": opacities.paint_consolidation,
    "mixed": opacities.paint_mixed,
    "healthy": _leave,
    "nodules": other_disease.paint_nodules,
    "mass": other_disease.paint_mass,
    "lobar-consolidation": other_disease.paint_lobar_consolidation,
    "effusion": other_disease.paint_effusion,
    "emphysema": _graded("emphysema"),
    "fibrosis": _graded("fibrosis"),
    "dependent-atelectasis": _paint_dependent_atelectasis,
    "motion": _graded("motion"),
    "prominent-vessels": _graded("vessels"),
}
