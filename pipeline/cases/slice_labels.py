"""Read readers' labels of slices: infected or not, and in which lobes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PipelineError
from pipeline.types import LEFT_LUNG, RIGHT_LUNG, CtVolume

LOBES: Mapping[str, int] = {
    "LLL": LEFT_LUNG,
    "LUL": LEFT_LUNG,
    "RLL": RIGHT_LUNG,
    "RML": RIGHT_LUNG,
    "RUL": RIGHT_LUNG,
}
NEEDED = ("z_mm", "infected")
EXPECTED = (
    "slice labels with z_mm, infected and all lobes (LLL, LUL, RLL, RML, RUL) or none expected"
)
UNKNOWN = -1  #: of a slice without a label
CONTRADICTED = 2  #: of a plane with labels of both kinds
AXIAL = 1e-3  #: mm along the body by which a pixel may be off, for each mm of a slice

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SliceLabels:
    """Readers' labels, ``(slices,)`` each, in any order.

    Attributes
    ----------
    z_mm
        Of the slice: the third of its Image Position (Patient).
    lobes
        Whether the lobe is infected there, by its key in `LOBES`; of all lobes, or of none.
    """

    z_mm: NDArray[np.float64]
    infected: Flags
    lobes: Mapping[str, Flags] = field(default_factory=dict)


def read_slice_labels(file: Path) -> SliceLabels:
    """Read a CSV file with ``z_mm``, ``infected`` and, if lobes were noted, a column for each.

    Infected and lobes are 0 or 1; other columns are not looked at.

    Raises
    ------
    PipelineError
        If it is not as expected.
    """
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows, columns = list(reader), reader.fieldnames or ()
        lobes = LOBES if any(lobe in columns for lobe in LOBES) else ()
        z_mm = np.array([float(row["z_mm"]) for row in rows])
        marks = {
            name: np.array([_is_marked(row[name]) for row in rows], bool)
            for name in ("infected", *lobes)
        }
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as exc:
        raise PipelineError(f"{EXPECTED}, got: {exc}") from exc
    if missing := [name for name in NEEDED if name not in columns]:
        raise PipelineError(f"{EXPECTED}, got none of {', '.join(missing)}")
    if not len(z_mm) or not np.isfinite(z_mm).all():
        raise PipelineError(f"slice labels with finite {NEEDED[0]} expected, got others or none")
    infected = marks.pop("infected")
    return SliceLabels(z_mm=z_mm, infected=infected, lobes=marks)


def _is_marked(text: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise ValueError(f"0 or 1 expected, got {text!r}")
    return text.strip() == "1"


def slices_of(labels: SliceLabels, volume: CtVolume) -> NDArray[np.intp]:
    """Index of the volume's slice for each label.

    Raises
    ------
    PipelineError
        If a label lies further than half a slice from every slice, or the slices are tilted, so
        that one number does not say where they lie.
    """
    along, *tilt = volume.affine[2, :3]
    if np.abs(tilt).max() > AXIAL * abs(along):
        raise PipelineError("slices at right angles to the body expected for labels, got others")
    at = (labels.z_mm - volume.affine[2, 3]) / along
    if len(at) == 0 or at.min() < -0.5 or at.max() > len(volume.hu) - 0.5:
        z = volume.affine[2, 3] + along * np.array([0, len(volume.hu) - 1])
        raise PipelineError(f"slice labels from {z.min():g} to {z.max():g} mm expected, got others")
    index: NDArray[np.intp] = np.clip(np.rint(at).astype(np.intp), 0, len(volume.hu) - 1)
    return index


def infected_slices(labels: SliceLabels, volume: CtVolume) -> NDArray[np.int8]:
    """Say of each slice of a volume whether it is infected: 1, 0, or `UNKNOWN`.

    Raises
    ------
    PipelineError
        As `slices_of`, or if two labels of one slice contradict each other.
    """
    at = slices_of(labels, volume)
    found = np.full(len(volume.hu), UNKNOWN, np.int8)
    found[at] = labels.infected
    if (found[at] != labels.infected).any():
        raise PipelineError("one label for each slice expected, got two that differ")
    return found


def on_planes(infected: NDArray[np.int8], at: NDArray[np.float64]) -> NDArray[np.int8]:
    """Bring labels of slices to planes that lie among them.

    Parameters
    ----------
    infected
        ``(slices,)``, from `infected_slices`.
    at
        Places of the planes, as fractional indices of slices, rising evenly.

    Returns
    -------
    NDArray
        ``(planes,)``: what the slice nearest to a plane, and those that have no nearer plane, say
        of it; `UNKNOWN` where none has a label, or two contradict each other.
    """
    step = (at[-1] - at[0]) / (len(at) - 1)
    slices = np.flatnonzero(infected != UNKNOWN)
    nearest = np.rint(np.clip((slices - at[0]) / step, 0, len(at) - 1)).astype(np.intp)
    close = np.abs(at[nearest] - slices) <= step / 2
    of_plane = infected[np.clip(np.rint(at).astype(np.intp), 0, len(infected) - 1)]
    found = np.full(len(at), UNKNOWN, np.int8)
    for label in (0, 1):
        says = of_plane == label
        says[nearest[close & (infected[slices] == label)]] = True
        found[says] = np.where(found[says] == UNKNOWN, label, CONTRADICTED)
    return np.where(found == CONTRADICTED, UNKNOWN, found).astype(np.int8)
