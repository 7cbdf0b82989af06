"""The worklist: series with where they stand, filtered, live, as a page or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.identity import NOTHING, Identity, read_identity
from dicom_node.console.parameters import MAX_UID, bounds, cursor, day, midnight, place
from dicom_node.console.search import MOST_TYPED, find
from dicom_node.console.why import answer
from dicom_node.console.words import (
    decision_words,
    score_words,
    standing,
    withheld_words,
)
from dicom_node.folder_lock import is_running
from dicom_node.health import read_condition, why_not_ready
from pipeline.reasons import QualityFlag
from storage.console.series_page import one_image_each
from storage.console.worklist import ALIKE, Filter, Line, senders, tiles, worklist
from storage.database.columns import MAX_TITLE
from storage.files.disk import disk_free
from storage.results.named_answer import answer_of
from storage.states import SeriesState

LINES = 50  #: of a page
RARE_DAYS = 30  #: that are looked through by flag or destination, unless a day is named
MOST_CSV = 100_000  #: lines of a CSV file
CSV_LINES = 500  #: that are read at a time
FORMULA = ("=", "+", "-", "@", "\t", "\r")  #: a spreadsheet would take the text for a formula
COLUMNS = (
    "last_image",
    "sender",
    "study_instance_uid",
    "series_instance_uid",
    "images",
    "state",
    "why",
    "score",
    "threshold",
    "indeterminate_from",
    "decision",
)


@for_role(Role.VIEWER)
def page(request: Request) -> Response:
    """Show the worklist."""
    console = console_of(request)
    wanted = filter_of(request, console.clock())
    with console.sessions.reading() as session:
        known = senders(session)
    return console.page(
        request,
        "worklist.html",
        states=list(SeriesState),
        senders=known,
        destinations=[one.name for one in console.settings().destinations],
        flags=sorted(QualityFlag),
        query=request.query_params,
        **_rows(console, request, wanted),
        **_tiles(console),
    )


@for_role(Role.VIEWER)
def rows(request: Request) -> Response:
    """Show the rows alone, as they are now."""
    console = console_of(request)
    return console.page(
        request, "rows.html", **_rows(console, request, filter_of(request, console.clock()))
    )


@for_role(Role.VIEWER)
def tiles_now(request: Request) -> Response:
    """Show the tiles alone, as they are now."""
    console = console_of(request)
    return console.page(request, "tiles.html", **_tiles(console))


@for_role(Role.VIEWER)
def as_csv(request: Request) -> Response:
    """Write the worklist as CSV; it names no patient."""
    console = console_of(request)
    wanted = filter_of(request, console.clock())
    return StreamingResponse(
        _csv(console, replace(wanted, before=None)),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="worklist.csv"'},
    )


def _csv(console: Console, wanted: Filter) -> Iterator[str]:
    """Write the lines, some at a time."""
    yield _row(COLUMNS)
    for _ in range(MOST_CSV // CSV_LINES):
        with console.sessions.reading() as session:
            lines = worklist(session, wanted, CSV_LINES)
        for line in lines:
            told = standing(line)
            values = (
                line.last_at.isoformat(),
                line.calling_ae,
                line.study_instance_uid,
                line.series_instance_uid,
                line.instances,
                told.word,
                told.text,
                "" if line.score is None else f"{line.score:.4f}",
                line.summary.get("threshold", ""),
                line.summary.get("indeterminate_from", ""),
                answer_of(line.score, line.positive),
            )
            yield _row([_plain(value) for value in values])
        if len(lines) < CSV_LINES:
            return
        wanted = replace(wanted, before=(lines[-1].last_at, lines[-1].series_instance_uid))


def _row(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue()


@for_role(Role.VIEWER)
def search(request: Request) -> Response:
    """Go to the one series that is looked for, or to the worklist of all that fit.

    It is asked for by POST, so that no Patient ID stands in an address.
    """
    text = form_of(request).get("q", "").strip()
    if not text:
        return RedirectResponse("/", 303)
    found = find(console_of(request), text, Role(user_of(request).role))
    if found is None:
        return RedirectResponse("/?found=no", 303)
    if len(found.series) == 1 and not found.patient:
        return RedirectResponse(f"/series/{found.series[0]}", 303)
    alike = {found.alike_in: found.series[0]}
    if found.patient:  # the number means two things: a person says which is meant
        alike["also_patient_of"] = found.patient
    return RedirectResponse(f"/?{urlencode(alike)}", 303)


@for_role(Role.VIEWER)
def why_page(request: Request) -> Response:
    """Answer why there is no result of a study, by its UID or its accession number."""
    query = request.query_params
    return _why(request, query.get("accession", "") or query.get("study", ""))


@for_role(Role.VIEWER)
def of_accession(request: Request) -> Response:
    """Go to the one series of an accession number; otherwise answer for all of them."""
    text = request.path_params["accession"]
    found = find(console_of(request), text, Role.VIEWER)
    if found is not None and len(found.series) == 1:
        return RedirectResponse(f"/series/{found.series[0]}", 303)
    return _why(request, text)


def _why(request: Request, text: str) -> Response:
    console, text = console_of(request), text.strip()[:MOST_TYPED]
    found = find(console, text, Role.VIEWER) if text else None
    with console.sessions.reading() as session:
        wanted = Filter(series=tuple(found.series[:LINES])) if found else None
        lines = worklist(session, wanted, LINES) if wanted else []
    shown = _shown(console, request, lines)
    return console.page(
        request,
        "why.html",
        answer=answer(lines),
        lines=shown,
        text=text,
        node=node_fault(console),
    )


def filter_of(request: Request, now: datetime) -> Filter:
    """Read the filter from the query of a request.

    Raises
    ------
    HTTPException
        If a value is none.
    """
    query = request.query_params
    if query.get("patient_of") and not shows_patients(console_of(request), request):
        raise HTTPException(403, "the studies of a patient are shown to readers")
    try:
        state = SeriesState(query["state"]) if query.get("state") else None
        since, until = bounds(day(query["day"])) if query.get("day") else (None, None)
        before = place(query["before"]) if query.get("before") else None
    except (ValueError, OverflowError) as fault:  # the last day of all has none after it
        raise HTTPException(400, "the address of this page has a value that is none") from fault
    return Filter(
        state=state,
        sender=_asked(query, "sender", MAX_TITLE),
        destination=_asked(query, "destination"),
        flag=_asked(query, "flag"),
        study=_asked(query, "study"),
        series=() if query.get("found") else None,
        alike=next(((name, _asked(query, name)) for name in ALIKE if query.get(name)), None),
        since=since or _since(query, now),
        until=until,
        before=before,
    )


def _since(query: QueryParams, now: datetime) -> datetime | None:
    """Bound what is looked through for something that may be rare."""
    is_rare = query.get("flag") or query.get("destination")
    return now - timedelta(days=RARE_DAYS) if is_rare else None


def _asked(query: QueryParams, name: str, most: int = MAX_UID) -> str:
    """Read a text of a query; what no database holds is replaced, so that nothing fits."""
    return query.get(name, "")[:most].replace("\0", "?")


def shows_patients(console: Console, request: Request) -> bool:
    """Whether the user of a request may see who patients are."""
    is_reader = Role(user_of(request).role).includes(Role.READER)
    return is_reader and console.settings().console.show_patients


def identities(console: Console, request: Request, lines: list[Line]) -> dict[str, Identity]:
    """Read what a page shows of the patients of some series, by Series Instance UID."""
    with_patient = shows_patients(console, request)
    with console.sessions.reading() as session:
        paths = one_image_each(session, [line.series_instance_uid for line in lines])
    located = console.located(paths)
    return {uid: read_identity(file, with_patient=with_patient) for uid, file in located.items()}


def _rows(console: Console, request: Request, wanted: Filter) -> dict[str, Any]:
    with console.sessions.reading() as session:
        lines = worklist(session, wanted, LINES + 1)
    older = ""
    if len(lines) > LINES:
        lines = lines[:LINES]
        last = lines[-1]
        query = dict(request.query_params)
        query["before"] = cursor(last.last_at, last.series_instance_uid)
        older = urlencode(query)
    return {
        "lines": _shown(console, request, lines),
        "older": older,
        "rows_query": urlencode(dict(request.query_params)),
        "is_filtered": bool(request.query_params),
    }


def _shown(console: Console, request: Request, lines: list[Line]) -> list[dict[str, object]]:
    """Give each line with its words and identity."""
    known = identities(console, request, lines)
    return [
        {
            "line": line,
            "standing": standing(line),
            "decision": decision_words(line),
            "score": score_words(line),
            "withheld": withheld_words(line),
            "identity": known.get(line.series_instance_uid, NOTHING),
            "seconds": (line.result_at - line.last_at).total_seconds() if line.result_at else None,
        }
        for line in lines
    ]


def _tiles(console: Console) -> dict[str, Any]:
    now = console.clock().astimezone()
    with console.sessions.reading() as session:
        counted = tiles(session, midnight(now.date()))
    try:
        free = disk_free(console.folder)
    except OSError:
        free = None
    oldest = counted.oldest_waiting
    return {
        "tiles": counted,
        "waits_seconds": (now - oldest).total_seconds() if oldest else None,
        "free_gb": None if free is None else free / 10**9,
        "node": node_fault(console),
    }


def node_fault(console: Console) -> str:
    """Say why the node takes no instances; empty if it does."""
    return why_not_ready(
        read_condition(console.folder), console.clock(), running=is_running(console.folder)
    )


def _plain(value: object) -> str:
    """Write a value so that no spreadsheet takes it for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


ROUTES = [
    Route("/", page),
    Route("/rows", rows),
    Route("/tiles", tiles_now),
    Route("/worklist.csv", as_csv),
    post("/search", search),
    Route("/why", why_page),
    Route("/s/{accession:path}", of_accession),
]
