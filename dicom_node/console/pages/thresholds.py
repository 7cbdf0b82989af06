"""The page of thresholds: try another on stored scores, then write it into the INI file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.editing import changed_text
from config.errors import SettingsError
from config.reader import read_text
from config.versions import Version, digest, write_settings
from dicom_node.analysis.configuration import bounds_in_use, calls_by_scanner, model_folder
from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.feedback.truth import labelled
from dicom_node.console.language.translation import _
from dicom_node.console.pages.settings import history, record_written
from dicom_node.console.parameters import decimal, plain, whole
from dicom_node.console.score_table import NEVER
from dicom_node.console.trial import BINS, card_points, changed, tried
from pipeline.decision import SITE_POINT, Bounds
from storage.console.scores import Choice, cases_of, kernels, scanners
from storage.console.worklist import senders
from storage.database.columns import MAX_TITLE
from storage.database.schema import MAX_DEVICE
from storage.results.answers import answers_since, assessed_results

PERIODS = (7, 30, 90, 365)  #: days
DAY = timedelta(days=1)
CASES_SHOWN = 50
CHANGES = 200  #: latest changes of settings, of which those of the threshold are shown
DEFAULT_PERCENT = 5.0  #: of patients with the disease, until somebody says otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is tried.

    Attributes
    ----------
    prevalence
        Percent.
    """

    threshold: float
    days: int
    sender: str
    scanner: str
    kernel: str
    prevalence: float


@for_role(Role.VIEWER)
def page(request: Request) -> Response:
    """Show the trial of a threshold."""
    return _page(request)


@for_role(Role.VIEWER)
def outcome(request: Request) -> Response:
    """Show its outcome alone."""
    console = console_of(request)
    return console.page(request, "trial.html", **_trial(console, request.query_params))


@for_role(Role.ADMIN)
def apply(request: Request) -> Response:
    """Write a threshold into the INI file; it counts from the next series on."""
    console, form = console_of(request), form_of(request)
    text = form.get("threshold", "")
    if text != "model":
        text = plain(_threshold(text))
    if console.ini is None:
        raise HTTPException(409, "this console has no INI file to write to")
    try:
        old = read_text(console.ini)
        new = changed_text(old, {("analysis", "threshold"): text})
        written = write_settings(
            console.ini,
            new,
            expected_digest=form.get("seen", ""),
            by=user_of(request).user,
            at=console.clock(),
        )
    except (SettingsError, OSError) as fault:
        return _page(request, told=str(fault), code=409)
    told = record_written(request, written)
    return _page(request, told=f"{told} {_('It counts from the next series on.')}")


def _threshold(text: str) -> float:
    """Read a threshold.

    Raises
    ------
    HTTPException
        If it is none.
    """
    try:
        threshold = decimal(text)
    except ValueError as fault:
        raise HTTPException(400, "expected numbers") from fault
    if threshold > 1:
        raise HTTPException(400, "expected a threshold of 0 to 1, and a period")
    return threshold


def bounds_of(console: Console, scanner: str = "") -> Bounds:
    """Give the bounds in use for a scanner; without one those of all scanners."""
    return bounds_in_use(console.settings(), model_folder(console.settings()))(scanner)


def card_of(console: Console) -> Mapping[str, Any]:
    """Read the model's card."""
    folder = model_folder(console.settings())
    card: Mapping[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return card


def model_name(console: Console) -> str:
    """Name the model as results do."""
    card = card_of(console)
    return f"{card['name']} {card['version']}"


def _is_of_threshold(version: Version) -> bool:
    return any((one.section, one.key) == ("analysis", "threshold") for one in version.changes)


def _page(request: Request, *, told: str = "", code: int = 200) -> Response:
    console = console_of(request)
    with console.sessions.reading() as session:
        known = {
            "senders": senders(session),
            "scanners": [name for name in scanners(session) if name],
            "kernels": [name for name in kernels(session) if name],
        }
    changes, unread = history(console, CHANGES)
    return console.page(
        request,
        "thresholds.html",
        code,
        **known,
        periods=PERIODS,
        told=told,
        history=[version for version in changes if _is_of_threshold(version)],
        unread=unread,
        chosen=console.settings().analysis.threshold,
        points=card_of(console)["operating_points"],
        **_trial(console, request.query_params),
    )


def _trial(console: Console, query: QueryParams) -> dict[str, Any]:
    asked = _asked(query, bounds_of(console).threshold)
    now = bounds_of(console, asked.scanner)
    then = Bounds(threshold=asked.threshold, operating_point=SITE_POINT)
    since, model = console.clock() - timedelta(days=asked.days), model_name(console)
    of_model = console.scores.columns().chosen(Choice(since=NEVER, model=model))
    choice = Choice(since=since, sender=asked.sender, scanner=asked.scanner, kernel=asked.kernel)
    stored = of_model.chosen(choice)
    with console.sessions.reading() as session:
        cases = cases_of(session, stored.latest(changed(stored.scores, now, then), CASES_SHOWN))
        stated = answers_since(session, since, sender=asked.sender)
        results = assessed_results(session, {one.result_key for one in stated} - {""})
    known = labelled(stated, results, model=model)
    trial = tried(
        stored.scores,
        [
            one
            for one in known
            if asked.scanner in ("", one.scanner) and asked.kernel in ("", one.kernel)
        ],
        now=now,
        then=then,
        days=_days(asked.days, of_model.first_at, console.clock()),
        prevalence=asked.prevalence / 100,
    )
    try:
        seen = digest(read_text(console.ini)) if console.ini else ""
    except SettingsError:  # the file is away or damaged: nothing can be written to it
        seen = ""
    return {
        "trial": trial,
        "is_in_use": then == now,
        "asked": asked,
        "others_differ": not asked.scanner
        and calls_by_scanner(console.settings(), model_folder(console.settings())),
        "cases": cases,
        "bins": BINS,
        "seen": seen,
        "card": card_points(card_of(console)["operating_points"], asked.prevalence / 100),
    }


def _days(asked: int, first: datetime | None, now: datetime) -> float:
    """Give the days of which there can be scores: no more than since the first one."""
    return min(float(asked), max(1.0, (now - first) / DAY)) if first else float(asked)


def _asked(query: QueryParams, now: float) -> Asked:
    """Read what is tried.

    Raises
    ------
    HTTPException
        If a value is none.
    """
    try:
        asked = Asked(
            threshold=_threshold(query["threshold"]) if "threshold" in query else now,
            days=whole(query.get("days", "30")),
            sender=query.get("sender", "")[:MAX_TITLE].replace("\0", "?"),
            scanner=query.get("scanner", "")[:MAX_DEVICE].replace("\0", "?"),
            kernel=query.get("kernel", "")[:MAX_DEVICE].replace("\0", "?"),
            prevalence=read_percent(query.get("prevalence")),
        )
    except ValueError as fault:
        raise HTTPException(400, "expected numbers") from fault
    if asked.days not in PERIODS:
        raise HTTPException(400, "expected a threshold of 0 to 1, and a period")
    return asked


def read_percent(text: str | None) -> float:
    """Read a prevalence, percent; `DEFAULT_PERCENT` if none is given.

    Raises
    ------
    HTTPException
        If it is none.
    """
    try:
        # a browser sends what was typed into a field of a number, and ".5" is one
        typed = f"0{text}" if text and text.startswith(".") else text
        percent = DEFAULT_PERCENT if typed is None else decimal(typed)
    except ValueError as fault:
        raise HTTPException(400, "expected numbers") from fault
    if not 0 < percent < 100:
        raise HTTPException(400, "expected a prevalence above 0 and below 100 %")
    return percent


ROUTES = [
    Route("/thresholds", page),
    Route("/thresholds/outcome", outcome),
    post("/thresholds/apply", apply),
]
