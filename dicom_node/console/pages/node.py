"""Pages of the node: destinations, senders, queue, system, model."""

from __future__ import annotations

from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from config.destinations import Destination
from dicom_node.assembly.delivery import sender_of
from dicom_node.audit.decisions import Decided
from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, post, user_of
from dicom_node.console.language.translation import _
from dicom_node.console.pages.thresholds import card_of
from dicom_node.console.pages.worklist import node_fault
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.result_classes import class_name
from dicom_node.drift.overview import scanner_lines
from dicom_node.errors import NodeError
from dicom_node.folder_lock import is_running
from dicom_node.health import read_condition
from storage.console.changes import record_change
from storage.console.node_pages import backlog, queue, sender_lines
from storage.delivery.capabilities import record_capabilities
from storage.delivery.pauses import pause, pauses, resume
from storage.files.disk import disk_free
from storage.overview import quarantine_lines, refusal_lines
from storage.series.closings import waits

DAYS = 7  #: that the pages of senders look back
SHOWN = 200  #: lines of a list
GIGABYTE = 10**9  #: bytes


@for_role(Role.VIEWER)
def destinations(request: Request) -> Response:
    """Show the destinations, and what waits for them."""
    return _destinations(request)


@for_role(Role.ADMIN)
def echo(request: Request) -> Response:
    """Verify a destination."""
    console = console_of(request)
    destination = _named(console, request.path_params["name"])
    outcome = sender_of(console.settings(), destination).echo()
    is_well = outcome.verdict is Verdict.ACCEPTED
    console.record(request, "echo", destination.name, after="answers" if is_well else "no answer")
    told = (
        _("{name} answers.", name=destination.name)
        if is_well
        else f"{destination.name}: {outcome.detail}"
    )
    return _destinations(request, told=told)


@for_role(Role.ADMIN)
def probe(request: Request) -> Response:
    """Ask a destination which kinds of result it takes; nothing is sent."""
    console = console_of(request)
    destination = _named(console, request.path_params["name"])
    try:
        answers = sender_of(console.settings(), destination).probe()
    except NodeError as fault:
        return _destinations(request, told=f"{destination.name}: {fault}")
    if answers is None:
        return _destinations(
            request, told=_("{name}: DICOMweb cannot be asked.", name=destination.name)
        )
    with console.sessions.begin() as session:
        record_capabilities(session, destination.name, answers, console.clock())
    refused = [class_name(one.sop_class_uid) for one in answers if not one.is_accepted]
    console.record(request, "probe", destination.name, after=f"{len(refused)} kinds not taken")
    told = _("{name} takes every kind of result.", name=destination.name)
    if refused:
        kinds = ", ".join(refused)
        told = _("{name} does not take: {kinds}.", name=destination.name, kinds=kinds)
    return _destinations(request, told=told)


@for_role(Role.ADMIN)
def pause_destination(request: Request) -> Response:
    """Let a destination get nothing until it is resumed; what waits for it stays."""
    console = console_of(request)
    name = _named(console, request.path_params["name"]).name
    with console.sessions.begin() as session:
        is_new = pause(session, name, by=user_of(request).user, now=console.clock())
        if is_new:
            record_change(session, console.change(request, "pause", name, after="paused"))
    if is_new:
        console.decide(request, Decided.PAUSED, {"destination": name})
    return RedirectResponse("/destinations", 303)


@for_role(Role.ADMIN)
def resume_destination(request: Request) -> Response:
    """Send what waits for a destination that was paused."""
    console, name = console_of(request), request.path_params["name"]
    with console.sessions.begin() as session:
        is_new = resume(session, name, console.clock())
        if is_new:
            change = console.change(request, "resume", name, before="paused")
            record_change(session, change)
    if is_new:
        console.decide(request, Decided.RESUMED, {"destination": name})
    return RedirectResponse("/destinations", 303)


@for_role(Role.VIEWER)
def senders(request: Request) -> Response:
    """Show who sent, scanners that have changed, who was turned away, and the quarantine."""
    console = console_of(request)
    since = console.clock() - timedelta(days=DAYS)
    reference = console.settings().drift.reference_series
    with console.sessions.reading() as session:
        values = {
            "lines": sender_lines(session, since),
            "waits": {line.calling_ae: line for line in waits(session, since)},
            "refusals": refusal_lines(session, SHOWN),
            "quarantine": quarantine_lines(session, SHOWN),
            "scanners": scanner_lines(session, reference),
        }
    return console.page(request, "senders.html", days=DAYS, reference=reference, **values)


@for_role(Role.VIEWER)
def queue_page(request: Request) -> Response:
    """Show what waits and what is worked on."""
    console = console_of(request)
    with console.sessions.reading() as session:
        waiting = queue(session, SHOWN)
    return console.page(request, "queue.html", waiting=waiting)


@for_role(Role.VIEWER)
def system(request: Request) -> Response:
    """Show the condition of the node, its disk and its model."""
    console = console_of(request)
    settings = console.settings()
    condition = read_condition(console.folder)
    return console.page(
        request,
        "system.html",
        node=node_fault(console),
        running=is_running(console.folder),
        faults=condition.faults if condition else (),
        free_gb=disk_free(console.folder) / GIGABYTE,
        storage=settings.storage,
        retention=settings.retention,
        engine=settings.engine,
        ae_title=settings.node.ae_title,
    )


@for_role(Role.VIEWER)
def model(request: Request) -> Response:
    """Show the model: its card, and the threshold in use."""
    console = console_of(request)
    settings = console.settings()
    return console.page(request, "model.html", card=card_of(console), analysis=settings.analysis)


def _destinations(request: Request, *, told: str = "") -> Response:
    console = console_of(request)
    known = console.settings().destinations
    with console.sessions.reading() as session:
        backlogs = {one.name: backlog(session, one.name) for one in known}
        paused = pauses(session)
    return console.page(
        request,
        "destinations.html",
        destinations=known,
        backlogs=backlogs,
        paused=paused,
        told=told,
    )


def _named(console: Console, name: str) -> Destination:
    for destination in console.settings().destinations:
        if destination.name == name:
            return destination
    raise HTTPException(404, "there is no such destination")


ROUTES = [
    Route("/destinations", destinations),
    post("/destinations/{name}/echo", echo),
    post("/destinations/{name}/probe", probe),
    post("/destinations/{name}/pause", pause_destination),
    post("/destinations/{name}/resume", resume_destination),
    Route("/senders", senders),
    Route("/queue", queue_page),
    Route("/system", system),
    Route("/model", model),
]
