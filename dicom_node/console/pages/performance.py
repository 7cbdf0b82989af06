"""The page of the model's figures at this site, and the import of final diagnoses."""

from __future__ import annotations

from datetime import timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node.analysis.configuration import calls_by_scanner, model_folder
from dicom_node.console.access.people import Role
from dicom_node.console.context import console_of, for_role, form_of, post, upload_of
from dicom_node.console.feedback.performance import FEW, performance
from dicom_node.console.feedback.truth import labelled
from dicom_node.console.language.translation import _
from dicom_node.console.pages.thresholds import (
    bounds_of,
    model_name,
    read_percent,
)
from dicom_node.errors import NodeError
from dicom_node.identity_key import existing_key
from dicom_node.maintenance.diagnoses import import_diagnoses
from pipeline.feedback.diagnosis import ABOUT, MAXIMUM_ROWS, FaultyDiagnoses
from storage.console.changes import record_change
from storage.results.answers import answers_since, assessed_results

PERIODS = (30, 90, 365, 3650)  #: days
IMPORT = "/performance/import"


@for_role(Role.VIEWER)
def page(request: Request) -> Response:
    """Show the figures."""
    return _page(request)


@for_role(Role.READER)
def import_file(request: Request) -> Response:
    """Import final diagnoses from a CSV file: all of it, or nothing."""
    console, content = console_of(request), upload_of(request)
    if not content:
        return _page(request, faults=(_("Choose a file first."),), status=400)
    now, skip = console.clock(), form_of(request).get("skip_unknown") == "yes"
    try:
        key = existing_key(console.folder)
        with console.sessions.begin() as session:
            outcome = import_diagnoses(session, key, content, now, skip_unknown=skip)
            change = console.change(request, "import diagnoses", "", after=str(outcome))
            record_change(session, change)
    except FaultyDiagnoses as fault:
        return _page(request, faults=fault.faults, status=400)
    except NodeError as fault:
        return _page(request, faults=(str(fault),), status=409)
    told = _("Diagnoses of {n} series are kept.", n=outcome.series)
    if outcome.skipped:
        passed = _("Lines about nothing that is here: {n}.", n=outcome.skipped)
        told = f"{told} {passed}"
    return _page(request, told=told)


def _page(
    request: Request, *, told: str = "", faults: tuple[str, ...] = (), status: int = 200
) -> Response:
    console, days = console_of(request), _days(request)
    percent = read_percent(request.query_params.get("prevalence"))
    threshold = bounds_of(console).threshold
    since = console.clock() - timedelta(days=days)
    with console.sessions.reading() as session:
        answers = answers_since(session, since)
        results = assessed_results(session, {one.result_key for one in answers} - {""})
    known = labelled(answers, results, model=model_name(console))
    return console.page(
        request,
        "performance.html",
        status,
        found=performance(known, threshold=threshold, prevalence=percent / 100),
        model=model_name(console),
        threshold=threshold,
        others_differ=calls_by_scanner(console.settings(), model_folder(console.settings())),
        percent=percent,
        days=days,
        periods=PERIODS,
        few=FEW,
        about=ABOUT,
        most_rows=MAXIMUM_ROWS,
        told=told,
        faults=faults,
    )


def _days(request: Request) -> int:
    text = request.query_params.get("days", "365")
    if text not in map(str, PERIODS):
        raise HTTPException(400, "expected a period")
    return int(text)


ROUTES = [Route("/performance", page), post(IMPORT, import_file, upload="file")]
