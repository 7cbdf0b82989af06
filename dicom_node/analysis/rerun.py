"""A person has results issued again, or series analysed again: what will come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from dicom_node.analysis.configuration import read_manifest
from dicom_node.analysis.request_builder import Briefing, briefing_of
from dicom_node.analysis.worker import key_of
from dicom_node.errors import CannotRepeat, NodeError
from dicom_node.resources import Store
from storage.database.engine import is_migrated, open_database
from storage.delivery.redelivery import resume
from storage.files.folder import Inbox
from storage.series.lifecycle import ENDED
from storage.series.rerun import Ended, make_wish, prospect, seen
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


def wish_for(
    settings: Settings, wish: Wish, *, series: Sequence[str] = (), study: str | None = None
) -> list[Told]:
    """Make a wish for series, for those of a study, or for all; say what comes of each.

    Raises
    ------
    NodeError
        If there is no database.
    """
    store = store_of(settings)
    briefing = briefing_of(settings, store)
    with store.sessions() as session:
        found = seen(session, series=series, study=study)
    missing = sorted(set(series) - {each.series_instance_uid for each in found})
    return [wish_one(briefing, each, wish) for each in found] + [
        Told(series_instance_uid=uid, refused=True, text="refused: there is no such series")
        for uid in missing
    ]


def send_again(
    settings: Settings,
    *,
    series: Sequence[str] = (),
    study: str | None = None,
    destination: str | None = None,
) -> Counter[tuple[str, str]]:
    """Have what has not arrived sent now; count it by series and destination.

    Raises
    ------
    NodeError
        If there is no database, no such destination or no such series.
    """
    names = [each.name for each in settings.destinations if each.enabled]
    if destination is not None and destination not in names:
        known = ", ".join(sorted(names)) or "none"
        raise NodeError(
            f"expected a destination that is set and enabled ({known}), got {destination}"
        )
    store = store_of(settings)
    with store.sessions.begin() as session:
        found = {each.series_instance_uid for each in seen(session, series=series, study=study)}
        missing = sorted(set(series) - found)
        if missing or (study is not None and not found):
            raise NodeError(f"expected series that are known, got {study or ', '.join(missing)}")
        return resume(
            session,
            store.clock(),
            destinations=[destination] if destination else names,
            series=series,
            study=study,
        )


def store_of(settings: Settings) -> Store:
    """Open what a node has made, whether it runs or not.

    Raises
    ------
    NodeError
        If there is no database, or an older one.
    """
    database = open_database(settings.database_url)
    if not is_migrated(database):
        raise NodeError("there is no database of this version yet: start the node first")
    return Store(
        sessions=sessionmaker(database, class_=Session), inbox=Inbox(settings.storage.folder, 0)
    )


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
