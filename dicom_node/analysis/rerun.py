"""A person has results issued again, or series analysed again: what will come of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dicom_node.analysis.configuration import read_manifest
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.worker import key_of
from dicom_node.errors import CannotRepeat
from storage.series.lifecycle import ENDED
from storage.series.rerun import EndedSeries, mark_for_rerun, prospective_ticket
from storage.states import Rerun

UNCHANGED = "nothing to do: its results were made with these settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunOutcome:
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


def request_rerun(request_builder: RequestBuilder, ended: EndedSeries, wish: Rerun) -> RerunOutcome:
    """Make a wish for one series, unless it could change nothing or cannot be fulfilled."""
    uid = ended.series_instance_uid
    if ended.state not in ENDED:
        return RerunOutcome(series_instance_uid=uid, text=f"nothing to do: it is {ended.state}")
    try:
        needed = _is_needed(request_builder, uid, wish)
    except CannotRepeat as reason:
        return RerunOutcome(series_instance_uid=uid, refused=True, text=f"refused: {reason}")
    if not needed:
        return RerunOutcome(series_instance_uid=uid, text=UNCHANGED)
    with request_builder.resources.sessions.begin() as session:
        mark_for_rerun(session, uid, wish)
    again = "issued" if wish is Rerun.REISSUE else "analysed"
    return RerunOutcome(series_instance_uid=uid, wished=True, text=f"will be {again} again")


def _is_needed(request_builder: RequestBuilder, series_instance_uid: str, wish: Rerun) -> bool:
    """Say whether a wish could change anything: today's settings may give the latest results.

    Raises
    ------
    CannotRepeat
        If not enough is kept.
    """
    with request_builder.resources.sessions() as session:
        ticket = prospective_ticket(session, series_instance_uid)
    request = request_builder.request(replace(ticket, wish=wish))
    if wish is Rerun.REPROCESS:
        return True
    _, sha256 = read_manifest(request_builder.config.model)
    return key_of(request, sha256) not in request.earlier
