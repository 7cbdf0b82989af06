"""Have the results of a series issued again, or the series analysed again, on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.worker.inputs import inputs_of
from dicom_node.errors import CannotRepeat
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.encode.result.identity import stands
from storage.database.sessions import Sessions
from storage.errors import StaleState
from storage.series.lifecycle import ENDED
from storage.series.rerun import EndedSeries, mark_for_rerun, prospective_ticket, start_reruns
from storage.states import Rerun

BEGUN = "nothing to do: a new analysis of it has begun just now"
UNCHANGED = "nothing to do: its results were made with these settings"


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunOutcome:
    """Outcome of the request for one series.

    Attributes
    ----------
    accepted, refused
        Whether it will be done; whether it cannot be done. Neither, if there is no need.
    """

    series_instance_uid: str
    text: str
    accepted: bool = False
    refused: bool = False


def request_rerun(
    sessions: Sessions, request_builder: RequestBuilder, series: EndedSeries, rerun: Rerun
) -> RerunOutcome:
    """Mark one series for a rerun, unless it could change nothing or cannot be done."""
    uid = series.series_instance_uid
    if series.state not in ENDED:
        return RerunOutcome(series_instance_uid=uid, text=f"nothing to do: it is {series.state}")
    try:
        needed = _is_needed(sessions, request_builder, uid, rerun)
    except CannotRepeat as reason:
        return RerunOutcome(series_instance_uid=uid, refused=True, text=f"refused: {reason}")
    if not needed:
        return RerunOutcome(series_instance_uid=uid, text=UNCHANGED)
    try:
        with sessions.begin() as session:
            mark_for_rerun(session, uid, rerun)
    except StaleState:  # another command, or an instance, was first
        return RerunOutcome(series_instance_uid=uid, text=BEGUN)
    again = "issued" if rerun is Rerun.REISSUE else "analysed"
    return RerunOutcome(series_instance_uid=uid, accepted=True, text=f"will be {again} again")


def _is_needed(
    sessions: Sessions, request_builder: RequestBuilder, series_instance_uid: str, rerun: Rerun
) -> bool:
    """Say whether a rerun could change anything: today's settings may give the latest results.

    Raises
    ------
    CannotRepeat
        If not enough is kept.
    """
    with sessions() as session:
        ticket = prospective_ticket(session, series_instance_uid)
    request = request_builder.build(replace(ticket, rerun=rerun))
    if rerun is Rerun.REPROCESS:
        return True
    return not stands(inputs_of(request), request.earlier)


def start_requested_reruns(resources: Resources, wake: Callable[[], None]) -> None:
    """Have every series analysed again that is marked for it, and wake who analyses them."""
    with resources.sessions.begin() as session:
        uids = start_reruns(session, resources.clock())
    for uid in uids:
        log.info("wish_taken_up", series_uid=uid)
    if uids:
        wake()
