"""A person has results issued again, or series analysed again: what will come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dicom_node.analysis.configuration import read_manifest
from dicom_node.analysis.request_builder import Briefing
from dicom_node.analysis.worker import key_of
from dicom_node.errors import CannotRepeat
from storage.series.lifecycle import ENDED
from storage.series.rerun import Ended, make_wish, prospect
from storage.states import Wish

UNCHANGED = "nothing to do: its results were made with these settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What comes of a wish for one series.

    Attributes
    ----------
    wished, refused
        Whether it is to be done; whether it cannot be done. Neither, if there is no need.
    """

    series_instance_uid: str
    text: str
    wished: bool = False
    refused: bool = False


def wish_one(briefing: Briefing, ended: Ended, wish: Wish) -> Told:
    """Make a wish for one series, unless it could change nothing or cannot be fulfilled."""
    uid = ended.series_instance_uid
    if ended.state not in ENDED:
        return Told(series_instance_uid=uid, text=f"nothing to do: it is {ended.state}")
    try:
        needed = _is_needed(briefing, uid, wish)
    except CannotRepeat as reason:
        return Told(series_instance_uid=uid, refused=True, text=f"refused: {reason}")
    if not needed:
        return Told(series_instance_uid=uid, text=UNCHANGED)
    with briefing.store.sessions.begin() as session:
        make_wish(session, uid, wish)
    again = "issued" if wish is Wish.REISSUE else "analysed"
    return Told(series_instance_uid=uid, wished=True, text=f"will be {again} again")


def _is_needed(briefing: Briefing, series_instance_uid: str, wish: Wish) -> bool:
    """Say whether a wish could change anything: today's settings may give the latest results.

    Raises
    ------
    CannotRepeat
        If not enough is kept.
    """
    with briefing.store.sessions() as session:
        ticket = prospect(session, series_instance_uid)
    request = briefing.request(replace(ticket, wish=wish))
    if wish is Wish.REPROCESS:
        return True
    _, sha256 = read_manifest(briefing.analyser.model)
    return key_of(request, sha256) not in request.earlier
