"""Segments of a result: the lungs, and the opacities one by one.

The report and the segmentation give them the same numbers and Tracking UIDs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from pipeline.encode.language.translation import _, ngettext
from pipeline.encode.result.identity import derived_uid
from pipeline.errors import PipelineError
from pipeline.types import LEFT_LUNG, LUNG_OF_OPEN_SIDE, RIGHT_LUNG, Analysis, Lesion, Side

REMAINING, WHOLE = "opacities-remaining", "whole"  #: names of findings
MAX_LESION_SEGMENTS = 20
"""Opacities with a segment of their own; smaller ones share one. OHIF fails above 90 (its #4335),
and nobody reads a list of more."""

LUNG_COLOURS = {Side.RIGHT: (86, 180, 233), Side.LEFT: (0, 158, 115)}
OPEN_SIDE_COLOUR = (153, 221, 255)
LESION_COLOURS = (
    (230, 159, 0),
    (213, 94, 0),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (120, 94, 240),
    (170, 255, 136),
    (221, 0, 68),
)
REMAINING_COLOUR = (221, 221, 221)
"""RGB, told apart with every colour vision: Okabe and Ito (2008); the sixth, and the grey,
are of IBM's palette for colour blindness and of Tol's "light" (SRON/EPS/TN/09-002, 2021), as is
that of a lung whose side is open. The last two are those that lie furthest from all the others,
so that each row of the page's table has a colour of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment of the segmentation, or one finding of the report.

    Attributes
    ----------
    number
        Segment Number, from 1 without holes.
    label
        Segment Label, in the language of the context.
    values
        Labels that belong to it: of the lungs for a lung, else of the lesions.
    tracking_id
        Tracking Identifier of segment and finding: number and side, as viewers list it; English in
        every language, as programs compare it.
    lesions
        The lesions it shows; empty for a lung.
    side
        None for lesions on both sides, and where the side is open.
    """

    number: int
    label: str
    tracking_id: str
    tracking_uid: UID
    colour: tuple[int, int, int]
    values: tuple[int, ...]
    side: Side | None
    lesions: tuple[Lesion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    name: str
    label: str
    tracking: str
    colour: tuple[int, int, int]
    values: tuple[int, ...]
    side: Side | None
    lesions: tuple[Lesion, ...] = ()


def segments(analysis: Analysis, planes: tuple[int, ...], key: str) -> tuple[Segment, ...]:
    """Segments with at least one voxel on the given planes.

    Parameters
    ----------
    planes
        0-based slices of the volume that have a source image.
    key
        Result key; the Tracking UIDs derive from it.

    Raises
    ------
    PipelineError
        If nothing is segmented on these planes.
    """
    lungs = _labels_present(analysis.lungs.labels, planes)
    lesions = _labels_present(analysis.lesion_labels, planes)
    drafts = [draft for draft in _lungs() if lungs[list(draft.values)].any()]
    drafts += [draft for draft in _lesions(analysis) if lesions[list(draft.values)].any()]
    if not drafts:
        raise PipelineError("expected a lung or a lesion on a source slice, all masks are empty")
    return tuple(_numbered(number, draft, key) for number, draft in enumerate(drafts, start=1))


def finding_names(key: str) -> dict[str, str]:
    """Name the findings that a result may have, by their Tracking UIDs.

    Parameters
    ----------
    key
        Result key.
    """
    opacities = (f"opacity-{number}" for number in range(1, MAX_LESION_SEGMENTS + 1))
    names = (*opacities, REMAINING, *(draft.name for draft in _lungs()), WHOLE)
    return {str(derived_uid(key, "tracking", name)): name for name in names}


def _labels_present(labels: NDArray[np.uint8], planes: tuple[int, ...]) -> NDArray[np.bool_]:
    present = np.zeros(256, dtype=np.bool_)
    for plane in planes:
        present |= labels_of(labels[plane])
    return present


def labels_of(plane: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say of each label above 0 whether a plane has it, ``(256,)``."""
    present = np.zeros(256, dtype=np.bool_)
    held = plane.tobytes()  # looked through four times as fast as the array
    present[[label for label in range(1, int(plane.max()) + 1) if label in held]] = True
    return present


def _lungs() -> tuple[_Draft, ...]:
    sided = tuple(
        _Draft(
            name=f"lung-{side}",
            label=_("Right lung") if side is Side.RIGHT else _("Left lung"),
            tracking=f"{side} lung",
            colour=LUNG_COLOURS[side],
            values=(value,),
            side=side,
        )
        for side, value in ((Side.RIGHT, RIGHT_LUNG), (Side.LEFT, LEFT_LUNG))
    )
    open_side = _Draft(
        name="lung-open",
        label=_("Lung, side open"),
        tracking="lung, side open",
        colour=OPEN_SIDE_COLOUR,
        values=(LUNG_OF_OPEN_SIDE,),
        side=None,
    )
    return (*sided, open_side)


def _lesions(analysis: Analysis) -> list[_Draft]:
    ordered = sorted(analysis.lesions, key=lambda lesion: lesion.number)
    alone, rest = ordered[:MAX_LESION_SEGMENTS], ordered[MAX_LESION_SEGMENTS:]
    drafts = [_lesion(lesion) for lesion in alone]
    return [*drafts, _remaining(tuple(rest))] if rest else drafts


def _lesion(lesion: Lesion) -> _Draft:
    return _Draft(
        name=f"opacity-{lesion.number}",
        label=_label(lesion),
        tracking=f"opacity {lesion.number}, {lung_name(lesion.side)}",
        colour=lesion_colour(lesion.number),
        values=(lesion.number,),
        side=lesion.side,
        lesions=(lesion,),
    )


def lesion_colour(number: int) -> tuple[int, int, int]:
    """RGB of a numbered opacity: no two have the same; later rounds are lighter, then darker."""
    turn, place = divmod(number - 1, len(LESION_COLOURS))
    red, green, blue = LESION_COLOURS[place]
    if turn == 0:
        return red, green, blue
    towards = 255 if turn == 1 else 0
    red, green, blue = ((2 * part + towards) // 3 for part in (red, green, blue))
    return red, green, blue


def _label(lesion: Lesion) -> str:
    if lesion.side is None:
        return _("Opacity {n} (side open)", n=lesion.number)
    if lesion.side is Side.RIGHT:
        return _("Opacity {n} (right)", n=lesion.number)
    return _("Opacity {n} (left)", n=lesion.number)


def _remaining(lesions: tuple[Lesion, ...]) -> _Draft:
    sides = {lesion.side for lesion in lesions}
    noun = "opacity" if len(lesions) == 1 else "opacities"
    return _Draft(
        name=REMAINING,
        label=ngettext("{n} further opacity", "{n} further opacities", len(lesions)),
        tracking=f"{len(lesions)} further {noun}",
        colour=REMAINING_COLOUR,
        values=tuple(lesion.number for lesion in lesions),
        side=sides.pop() if len(sides) == 1 else None,
        lesions=lesions,
    )


def lung_name(side: Side | None) -> str:
    """Lung of a side in words."""
    return f"{side} lung" if side else "side open"


def _numbered(number: int, draft: _Draft, key: str) -> Segment:
    return Segment(
        number=number,
        label=draft.label,
        tracking_id=f"AI {draft.tracking}",
        tracking_uid=derived_uid(key, "tracking", draft.name),
        colour=draft.colour,
        values=draft.values,
        side=draft.side,
        lesions=draft.lesions,
    )
