"""Downloads: the files of a series, and case lists of what readers answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dicom_node.assembly.resources import existing_resources
from dicom_node.console.access.people import Role
from dicom_node.console.context import console_of, for_role, form_of, post, user_of
from dicom_node.console.downloads import zipped
from dicom_node.console.language.translation import _
from dicom_node.console.pages.series import known_series, show_series
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.maintenance.feedback_cases import as_csv, case_rows
from dicom_node.maintenance.stored_data import kept_files, record_export
from storage.errors import StorageError
from storage.results.answers import answers_to, assessed_results

NAME_END = 12  #: characters of a UID in the name of a file


@for_role(Role.ADMIN)
def files(request: Request) -> Response:
    """Download results of a series, with its images if they are asked for, as DICOM files."""
    console, uid = console_of(request), known_series(request).line.series_instance_uid
    settings = console.settings()
    if not settings.console.show_patients:
        raise HTTPException(403, "files name the patient, whom this console does not show")
    try:
        with closing(existing_resources(settings)) as resources:
            everything = form_of(request).get("what") == "everything"
            kept = kept_files(resources, uid, with_images=everything)
            named = list(kept.named())
            if not named:
                text = _("Nothing of it is kept any more that could be exported.")
                return show_series(request, told=text, status=409)
    except (NodeError, StorageError) as fault:
        return show_series(request, told=str(fault), status=409)
    to = f"a download of {len(named)} files"
    record_export(console.audit, [kept], to, by=user_of(request).user)
    log.info("series_exported", series_uid=uid, files=len(named))
    console.record(request, "export", uid, after=f"{len(named)} files")
    return _download(zipped(named, kept.missing), f"series-{uid[-NAME_END:]}.zip")


@for_role(Role.READER)
def cases_of_series(request: Request) -> Response:
    """Download the case list of one series."""
    return _cases(request, [known_series(request).line.series_instance_uid])


@for_role(Role.READER)
def all_cases(request: Request) -> Response:
    """Download the case list of all that readers have answered to."""
    return _cases(request, None)


def _cases(request: Request, series: Sequence[str] | None) -> Response:
    console = console_of(request)
    key = console.identity_key("cases cannot be listed")
    with console.sessions.reading() as session:
        answers = answers_to(session, series)
        results = assessed_results(session, {answer.result_key for answer in answers})
    rows = case_rows(answers, results, {}, key)
    about = series[0] if series else ""
    console.record(request, "export cases", about, after=f"{len(rows)} rows")
    return _download(iter([as_csv(rows).encode()]), "cases.csv", "text/csv")


def _download(content: Iterator[bytes], name: str, kind: str = "application/zip") -> Response:
    """Answer with a file; its name is made of letters, digits and dots."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(content, media_type=kind, headers=headers)


ROUTES = [
    post("/series/{uid}/export", files),
    post("/series/{uid}/cases", cases_of_series),
    post("/performance/cases", all_cases),
]
