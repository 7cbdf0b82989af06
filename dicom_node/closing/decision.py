"""Decide whether a series is complete, and by which proof, or how long to wait.

Not every proof is worth the same, for each can be wrong in its own way:

* The scanner ends its procedure step and names the images (MPPS). It alone knows what is still to
  come; what it names and what is here must be the same.
* An archive names images as available, or counts as many as are here. It knows what it has, not
  what is still to come; so the slices must also leave the lungs at both ends, and it must have
  said so when fewer were here: the archive had the whole series before this node had it. While
  a study may still go on at the scanner that is a weaker proof; a study of an earlier day does not
  go on. The same holds for a worklist manager that names images as the input of a work item: it was
  made of what the archive had, and may want a part of the series only.
* Images in Acquisition, or Number of Frames: it counts an acquisition, and a series may have a
  further one. The slices run evenly, and leave the lungs at both ends: what lies beyond may still
  come. Both are weaker ones: nothing must have come for a while, and every association that
  sent the series must have ended.

Where somebody knows of more images than are here, only the scanner's word, or the quiet time,
closes the series; where scanner, worklist or archive told of them, it is then said to lack some.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto

from pipeline.reasons import ClosedBy

SETTLED_SECONDS = 1.0  #: without an instance, before any proof is looked at
NAMING = frozenset({ClosedBy.PROCEDURE_STEP, ClosedBy.WORK_ITEM, ClosedBy.AVAILABILITY})
NAMED_BY_ARCHIVE = (ClosedBy.WORK_ITEM, ClosedBy.AVAILABILITY)
"""By those who name what an archive has; the stronger first."""
BY_ARCHIVE = frozenset({*NAMED_BY_ARCHIVE, ClosedBy.ARCHIVE_COUNT})
"""Proofs that are weaker ones while the study may go on."""
PATIENCE = frozenset({ClosedBy.QUIET, ClosedBy.LACKING})
"""Closed without a proof, by the quiet time."""
WEAKER = frozenset({ClosedBy.ANNOUNCED, ClosedBy.REGULAR_STACK})
"""Proofs that know nothing of what may still come."""


class Ends(Enum):
    """What the first and the last slice of a stack show."""

    UNKNOWN = auto()  #: nobody has looked yet, or it cannot be told
    OUTSIDE = auto()  #: no lung, and there is lung in between
    INSIDE = auto()  #: lung, or no lung anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Instances of the series that another system names.

    Attributes
    ----------
    by
        One of `NAMING`.
    final
        The step is completed, or the instances are available: what is named is all of it.
    was_told_before
        It was said before the latest instance came.
    """

    by: ClosedBy
    instances: frozenset[str]
    final: bool = True
    was_told_before: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What an archive said of the number of instances of the series.

    Attributes
    ----------
    count
        Its latest answer.
    is_confirmed
        It had said the same before, when fewer were here; and again since the latest came.
    """

    count: int
    is_confirmed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEvidence:
    """What is known of a series that is being received.

    Attributes
    ----------
    instances
        SOP Instance UIDs that are here.
    quiet_seconds
        Since the latest of them.
    is_being_sent
        An association that has sent one of them is still open.
    is_of_earlier_day
        The study was made on an earlier day: nothing more is being made.
    is_whole_chest
        By number and extent it could be analysed.
    is_regular
        The slices run evenly, and their numbers from 1 without a hole.
    announced
        Images that the headers announce; None if they do not, or for several acquisitions.
    images
        Images here, frames of multi-frame instances counted one by one.
    ends
        What the end slices show.
    """

    instances: frozenset[str]
    quiet_seconds: float
    is_being_sent: bool = False
    is_of_earlier_day: bool = False
    is_whole_chest: bool = False
    is_regular: bool = False
    announced: int | None = None
    images: int = 0
    named: tuple[Named, ...] = ()
    counted: Counted | None = None
    ends: Ends = Ends.UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosingRules:
    """What the settings say of a sender.

    Attributes
    ----------
    quiet_seconds
        Without proof, a series is closed when no instance has come for so long.
    regular_seconds
        As long for the weaker proofs; 0 does without these.
    distrusted
        Proofs by which a series of this sender was closed too early a short while ago.
    """

    quiet_seconds: float
    regular_seconds: float = 0.0
    distrusted: frozenset[ClosedBy] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Close the series now, or wait.

    Attributes
    ----------
    closed_by
        The proof; None to wait.
    wait_seconds
        After so long it will be closed, as far as is known; 0 if it is closed now.
    wants_look
        Whether it depends on the end slices.
    is_proved
        It waits although there is a proof, only because that knows nothing of what may still come.
    """

    closed_by: ClosedBy | None
    wait_seconds: float
    wants_look: bool = False
    is_proved: bool = False


def decide(evidence: SeriesEvidence, rules: ClosingRules) -> Decision:
    """Decide whether a series is closed, by the strongest proof that holds."""
    quiet = evidence.quiet_seconds
    chances = dict(_chances(evidence, rules))
    closed_by = next((proof for proof, seconds in chances.items() if quiet >= seconds), None)
    if closed_by is not None:
        return Decision(closed_by=closed_by, wait_seconds=0.0)
    next_chance = min(chances, key=chances.__getitem__)
    return Decision(
        closed_by=None,
        wait_seconds=chances[next_chance] - quiet,
        wants_look=_wants_look(evidence, rules),
        is_proved=next_chance not in PATIENCE and quiet >= SETTLED_SECONDS,
    )


def _chances(evidence: SeriesEvidence, rules: ClosingRules) -> Iterator[tuple[ClosedBy, float]]:
    """Yield each proof that holds, and the quiet time that it needs; the strongest first."""
    for proof in _proofs(evidence):
        if proof in rules.distrusted:
            continue
        if not is_weaker(proof, evidence):
            yield proof, min(SETTLED_SECONDS, rules.quiet_seconds)
        elif rules.regular_seconds and not evidence.is_being_sent:
            yield proof, min(rules.regular_seconds, rules.quiet_seconds)
    yield ClosedBy.LACKING if _is_lacking(evidence) else ClosedBy.QUIET, rules.quiet_seconds


def is_weaker(proof: ClosedBy, evidence: SeriesEvidence) -> bool:
    """Tell whether a proof says nothing of what may still come."""
    if proof in NAMED_BY_ARCHIVE and not all(
        one.was_told_before for one in evidence.named if one.by is proof
    ):
        return True
    return proof in WEAKER or (proof in BY_ARCHIVE and not evidence.is_of_earlier_day)


def _proofs(evidence: SeriesEvidence) -> Iterator[ClosedBy]:
    agree = _naming(evidence, evidence.instances)
    if ClosedBy.PROCEDURE_STEP in agree:
        yield ClosedBy.PROCEDURE_STEP
    if _more_is_known(evidence):
        return
    shown = evidence.is_regular and evidence.ends is Ends.OUTSIDE
    if shown:
        yield from (proof for proof in NAMED_BY_ARCHIVE if proof in agree)
    counted = evidence.counted
    if counted is not None and counted.is_confirmed and shown:
        yield ClosedBy.ARCHIVE_COUNT
    if not evidence.is_whole_chest:
        return
    if evidence.announced == evidence.images:
        yield ClosedBy.ANNOUNCED
    if shown:
        yield ClosedBy.REGULAR_STACK


def _naming(evidence: SeriesEvidence, instances: frozenset[str]) -> set[ClosedBy]:
    """Find who names just these instances, all notifications of a kind together."""
    found = set()
    for kind in NAMING:
        named = [one for one in evidence.named if one.by is kind]
        together = frozenset().union(*(one.instances for one in named))
        if named and all(one.final for one in named) and together == instances:
            found.add(kind)
    return found


def _more_is_known(evidence: SeriesEvidence) -> bool:
    """Tell whether somebody knows of images that are not here."""
    return (
        _is_lacking(evidence)
        or any(not one.final for one in evidence.named)
        or (evidence.announced is not None and evidence.announced > evidence.images)
    )


def _is_lacking(evidence: SeriesEvidence) -> bool:
    """Tell whether scanner, worklist or archive have named or counted images that are not here."""
    counted = evidence.counted
    return any(not one.instances <= evidence.instances for one in evidence.named) or (
        counted is not None and counted.count > len(evidence.instances)
    )


def _wants_look(evidence: SeriesEvidence, rules: ClosingRules) -> bool:
    """Tell whether a proof is missing nothing but a look at the end slices."""
    if evidence.ends is not Ends.UNKNOWN or evidence.quiet_seconds < SETTLED_SECONDS:
        return False
    shown = replace(evidence, ends=Ends.OUTSIDE)
    return len(dict(_chances(shown, rules))) > len(dict(_chances(evidence, rules)))
