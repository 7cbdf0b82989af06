"""Make what performs work items of a worklist manager."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from config.destinations import DicomDestination, WebDestination
from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from dicom_node.worklist.cancel_request import CancelRequests
from dicom_node.worklist.input_fetch import InputFetcher
from dicom_node.worklist.item import Retrieval, Selection
from dicom_node.worklist.job import WorklistJob, WorklistRules
from dicom_node.worklist.performer import Performer


def worklist_job_of(
    settings: Settings, resources: Resources, wake: Callable[[], object]
) -> WorklistJob | None:
    """Make the job; None if there is no manager.

    Parameters
    ----------
    wake
        Has somebody look whether series are complete.

    Raises
    ------
    NodeError
        If the manager is called by TLS, and there are no files for that.
    """
    wanted, ae_title = settings.worklist, settings.node.ae_title
    manager = manager_of(settings)
    if manager is None:
        return None
    fetcher = None
    if wanted.archive:
        source = _peer(wanted.archive, settings)
        fetcher = InputFetcher(resources=resources, archive=source, ae_title=ae_title)
    value, _, scheme = wanted.workitem_code.partition("^")
    return WorklistJob(
        resources=resources,
        rules=WorklistRules(
            selection=Selection(
                workitem_code=value, scheme=scheme, station_name=wanted.station_name
            ),
            claims=wanted.claim,
            maximum_claimed=wanted.maximum_claimed,
            every_seconds=wanted.check_every_seconds,
        ),
        manager=manager,
        performer=Performer(
            resources=resources,
            ae_title=ae_title,
            manager_ae=wanted.manager.rpartition("@")[0],
            retrievals=retrievals_of(settings),
            longest=timedelta(hours=wanted.give_up_hours),
        ),
        fetcher=fetcher,
        wake=wake,
    )


def manager_of(settings: Settings) -> Peer | None:
    """Make the peer that manages the worklist; None if there is none.

    Raises
    ------
    NodeError
        As `worklist_job_of`.
    """
    manager = settings.worklist.manager
    return _peer(manager, settings) if manager else None


def retrievals_of(settings: Settings) -> dict[str, Retrieval]:
    """Say from where results can be retrieved, by destination: those of images and documents."""
    places: dict[str, Retrieval] = {}
    for one in settings.destinations:
        if isinstance(one, DicomDestination):
            places[one.name] = Retrieval(ae_title=one.ae_title)
        elif isinstance(one, WebDestination):
            places[one.name] = Retrieval(url=one.url)
    return places


def cancel_requests_of(settings: Settings, resources: Resources) -> CancelRequests | None:
    """Make what hears of requests to cancel work items; None if there is no manager."""
    manager = settings.worklist.manager.rpartition("@")[0]
    return CancelRequests(resources=resources, manager=manager) if manager else None


def _peer(entry: str, settings: Settings) -> Peer:
    ae_title, _, where = entry.rpartition("@")
    host, _, port = where.rpartition(":")
    tls = credentials_of(settings.tls) if settings.worklist.tls else None
    return Peer(ae_title=ae_title, host=host, port=int(port), tls=tls)
