"""Choose Series Numbers for the results of a series, beside those of its study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, islice

DEFAULT_SERIES_NUMBER_BASE = 9000
"""Far above the numbers that scanners give, so that results come last in a viewer's list."""
NUMBERS_PER_RESULT = 10  #: set aside for the series of one result


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOfStudy:
    """A series as the others of its study see it.

    Attributes
    ----------
    number
        Series Number; None if it has none.
    """

    series_instance_uid: str
    number: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultNumbering:
    """Numbers of the results of a series.

    Attributes
    ----------
    first
        First Series Number.
    ambiguous
        Whether another series of the study has the Series Number of the source, which then does
        not name it.
    """

    first: int = DEFAULT_SERIES_NUMBER_BASE
    ambiguous: bool = False


def numbering(
    series_instance_uid: str, study: Sequence[SeriesOfStudy], base: int
) -> ResultNumbering:
    """Choose the numbers for the results of a series: ten for its place in the study, from a base.

    Tens that hold the number of a series of the study are passed over.

    Parameters
    ----------
    study
        Every series of the study that is known, in an order that later ones do not change.
    """
    uids = [series.series_instance_uid for series in study]
    place = uids.index(series_instance_uid) if series_instance_uid in uids else len(uids)
    taken = {
        (series.number - base) // NUMBERS_PER_RESULT
        for series in study
        if series.number is not None and series.number >= base
    }
    free = (ten for ten in count() if ten not in taken)
    own = next((series.number for series in study[place : place + 1]), None)
    return ResultNumbering(
        first=base + NUMBERS_PER_RESULT * next(islice(free, place, None)),
        ambiguous=own is not None and sum(series.number == own for series in study) > 1,
    )
