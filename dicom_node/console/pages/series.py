"""The page of a series: its way, its pictures, its figures; what can be done about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.result_rows import KEPT
from dicom_node.assembly.rerun_requests import request_redelivery, request_reruns
from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.feedback.opacities import marked, numbered
from dicom_node.console.identity import NOTHING
from dicom_node.console.language.translation import _, mark, ngettext
from dicom_node.console.pages.worklist import identities, shows_patients
from dicom_node.console.parameters import UID
from dicom_node.console.pictures import WINDOWS, Drawable, Drawing
from dicom_node.console.words import (
    decision_words,
    reason_sentence,
    scanner_bounds_words,
    score_words,
    standing,
    steps,
    withheld_words,
)
from dicom_node.errors import NodeError
from pipeline.encode.result.identity import inputs_digest
from pipeline.errors import PipelineError
from storage.console.changes import latest_changes
from storage.console.series_page import SeriesPage, kept_images, series_page
from storage.errors import ObjectsAway, StorageError
from storage.states import Rerun

CHANGES_SHOWN = 20
TOLD = {"answered": mark("Kept. It changes no report.")}
#: Parts of a summary that one of another version may lack.
UNKNOWN = {"notice": "", "involvement": {}, "lungs_ml": {}, "opacities_ml": {}, "doubts": ()}
NOT_DRAWN = mark("no pictures: the images are not kept any more, or not those that were analysed")


@for_role(Role.VIEWER)
def page(request: Request) -> Response:
    """Show a series."""
    return show_series(request)


@for_role(Role.VIEWER)
def slice_png(request: Request) -> Response:
    """Draw a slice."""
    window = request.query_params.get("window", "lung")
    return _png(request, lambda drawable, index: drawable.slice_png(index, window))


@for_role(Role.VIEWER)
def overlay_png(request: Request) -> Response:
    """Draw the outlines on a slice."""
    return _png(request, lambda drawable, index: drawable.overlay_png(index))


@for_role(Role.ADMIN)
def reissue(request: Request) -> Response:
    """Have the results made again with the settings of now."""
    return _rerun(request, Rerun.REISSUE)


@for_role(Role.ADMIN)
def reprocess(request: Request) -> Response:
    """Have the series analysed again."""
    return _rerun(request, Rerun.REPROCESS)


@for_role(Role.ADMIN)
def redeliver(request: Request) -> Response:
    """Have what was refused, or waits, sent again."""
    console, uid = console_of(request), known_series(request).line.series_instance_uid
    destination = form_of(request).get("destination") or None
    try:
        outcome = request_redelivery(console.settings(), series=[uid], destination=destination)
    except (NodeError, StorageError) as fault:
        return show_series(request, told=str(fault), status=409)
    objects = sum(outcome.due.values())
    console.record(request, "send again", uid, after=f"{objects} objects")
    missing = sum(outcome.missing.values())
    told = ngettext("{n} object will be sent.", "{n} objects will be sent.", objects)
    if not objects:
        told = _("Nothing is refused, or waits.")
    if missing:
        text = _(
            "{n} cannot be sent: their files are not kept. Analyse the series again.", n=missing
        )
        told = f"{told} {text}"
    return show_series(request, told=told)


def _rerun(request: Request, rerun: Rerun) -> Response:
    console, uid = console_of(request), known_series(request).line.series_instance_uid
    try:
        (outcome,) = request_reruns(console.settings(), rerun, series=[uid])
    except (NodeError, StorageError, PipelineError) as fault:
        return show_series(request, told=str(fault), status=409)
    if outcome.accepted:
        console.record(request, str(rerun), uid)
    text = outcome.text[:1].upper() + outcome.text[1:]
    return show_series(request, told=f"{text}.", status=409 if outcome.refused else 200)


def show_series(
    request: Request,
    *,
    told: str = "",
    status: int = 200,
    entered: Mapping[str, str] | None = None,
) -> Response:
    """Show a series, with what was just done about it.

    Parameters
    ----------
    entered
        What was entered into the form of answers, where it was not kept: it is there again.
    """
    console, found = console_of(request), known_series(request)
    line = found.line
    with console.sessions.reading() as session:
        changes = latest_changes(session, CHANGES_SHOWN, subject=line.series_instance_uid)
    summary, key = line.summary, found.results[0].key if found.results else ""
    lesions = summary.get("lesions") or []
    return console.page(
        request,
        "series.html",
        status,
        found=found,
        line=line,
        standing=standing(line),
        reason=reason_sentence(line.reason) if line.reason else "",
        steps=list(steps(found)),
        identity=identities(console, request, [line]).get(line.series_instance_uid, NOTHING),
        score=score_words(line),
        decision=decision_words(line),
        summary={**UNKNOWN, **summary},
        lesions=lesions,
        scanner_bounds=scanner_bounds_words(line),
        withheld=withheld_words(line),
        slices=slices_of(found),
        numbered=numbered(lesions),
        marked=marked(found.answers, by=user_of(request).user, result_key=key),
        entered=entered,
        first_slice=_first_slice(lesions, found),
        changes=changes,
        told=told or _(TOLD.get(request.query_params.get("told", ""), "")),
        shows_patients=shows_patients(console, request),
        may_export=console.settings().console.show_patients,
    )


def _first_slice(lesions: list[dict[str, object]], found: SeriesPage) -> int:
    """Choose the slice that opens first, from 1: of the largest opacity, else the middle."""
    if lesions:
        return int(str(lesions[0]["key_slice_from_below"]))
    return max(1, slices_of(found) // 2)


def is_scored(found: SeriesPage) -> bool:
    """Whether the latest result of a series has a score, so that one can agree with it."""
    return bool(found.results) and found.results[0].score is not None


def slices_of(found: SeriesPage) -> int:
    """Count the slices by which pictures and opacities of a series are numbered."""
    geometry = found.line.summary.get("geometry") or {}
    return int(geometry.get("slices") or found.line.instances)


def known_series(request: Request) -> SeriesPage:
    """Find the series of a request.

    Raises
    ------
    HTTPException
        If there is none.
    """
    uid = request.path_params["uid"]
    console = console_of(request)
    with console.sessions.reading() as session:
        found = series_page(session, uid) if UID.fullmatch(uid) else None
    if found is None:
        raise HTTPException(404, "there is no such series")
    return found


def _png(request: Request, draw: Callable[[Drawable, int], bytes]) -> Response:
    console, found = console_of(request), known_series(request)
    number: int = request.path_params["number"]
    if request.query_params.get("window", "lung") not in WINDOWS:
        raise HTTPException(404, "there is no such window")
    if not 1 <= number <= slices_of(found):
        raise HTTPException(404, "there is no such slice")
    try:
        return Response(draw(_drawable(console, found), number - 1), media_type="image/png")
    except IndexError as fault:
        raise HTTPException(404, "there is no such slice") from fault
    except (OSError, PipelineError, NodeError, ObjectsAway) as fault:
        raise HTTPException(404, NOT_DRAWN) from fault


def _drawable(console: Console, found: SeriesPage) -> Drawable:
    """Read the series of a page."""
    uid, result = found.line.series_instance_uid, next(iter(found.results), None)
    if result is None or result.score is None:
        raise HTTPException(404, "there are pictures of series with a result only")

    def drawing() -> Drawing:
        with console.sessions.reading() as session:
            images = kept_images(session, uid)
        known = [(image, digest) for image, digest, _ in images]
        console.files.bring(path for _, _, path in images)
        return Drawing(
            files=[console.files.locate(path) for _, _, path in images],
            source=inputs_digest(uid, known, "", {}),
            kept=console.files.locate(result.folder) / KEPT,
            named=[int(one["number"]) for one in result.summary.get("lesions") or []],
            rules=analysis_config_of(console.settings()).rules,
        )

    return console.pictures.drawable((uid, result.key), drawing)


ROUTES = [
    Route("/series/{uid}", page),
    Route("/series/{uid}/slice/{number:number}.png", slice_png),
    Route("/series/{uid}/overlay/{number:number}.png", overlay_png),
    post("/series/{uid}/reissue", reissue),
    post("/series/{uid}/reprocess", reprocess),
    post("/series/{uid}/redeliver", redeliver),
]
