"""Answers of readers at the console: the same rows as those of rejection notes and assessments."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.feedback.opacities import (
    SCHEME,
    marked,
    numbered,
    opacity_answers,
    read_marks,
)
from dicom_node.console.feedback.truth import AGREE, DISAGREE, NEGATIVE, POSITIVE, UNSURE
from dicom_node.console.identity import NOTHING, read_identity
from dicom_node.console.language.translation import _, mark
from dicom_node.console.pages.series import is_scored, known_series, show_series, slices_of
from pipeline.feedback.naming import names_person
from storage.console.changes import Change, record_change
from storage.console.series_page import SeriesPage, result_series
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback

WORDS = {AGREE: "accepted", DISAGREE: "rejected", UNSURE: "unclear"}
"""Answers, as `pipeline.feedback.answers` has them."""
WORDS_OF_INDETERMINATE = {POSITIVE: "unclear", NEGATIVE: "unclear", UNSURE: "unclear"}
"""An indeterminate result is neither accepted nor rejected: the reason has what was read."""
OPACITIES = "opacities"  #: nothing is said of the result as a whole
REASONS = {
    AGREE: mark("Agrees with the side of the threshold"),
    DISAGREE: mark("The side of the threshold is wrong"),
    UNSURE: mark("Cannot tell"),
    POSITIVE: mark("Read as positive"),
    NEGATIVE: mark("Read as negative"),
}
MAXIMUM_COMMENT = 500  #: characters
LONG_NUMBER = re.compile(r"\d{6,}")  #: a birth date, an ID
SEPARATORS = re.compile(r"(?<=\d)[\s./-](?=\d)")  #: within a date or a number
NAMED = mark("The comment may name the patient: leave names and numbers out.")
ROOT = "2.25"  #: of UIDs that are made of UUIDs, PS3.5 B.2


@for_role(Role.READER)
def answer(request: Request) -> Response:
    """Keep the answer of a reader to the latest result of a series; it changes no report."""
    console, form, found = console_of(request), form_of(request), known_series(request)
    said, comment = form.get("answer", ""), form.get("comment", "").strip()
    text, status = _refusal(console, found, form)
    if text:
        return show_series(request, told=text, status=status, entered=form)
    try:
        new = [*_of_whole(_words(found), said, comment), *_of_opacities(request, found, comment)]
    except ValueError as fault:
        return show_series(request, told=str(fault), status=400, entered=form)
    if not new:
        return show_series(request, told=_("Nothing was changed."))
    after = ", ".join(" ".join((one.finding_name, one.reason_code)).strip() for one in new)
    _enter(
        console,
        found,
        new,
        console.change(request, "answer", found.line.series_instance_uid, after=after),
    )
    return RedirectResponse(f"/series/{found.line.series_instance_uid}?told=answered", 303)


def _refusal(console: Console, found: SeriesPage, form: Mapping[str, str]) -> tuple[str, int]:
    """Say why an answer is not kept, and the status of that; empty and 0 if it may be."""
    if not is_scored(found):
        return _("There is no result to answer to."), 409
    if form.get("result") != found.results[0].key:
        text = _("There is a newer result than the one that was shown: look at it, then answer.")
        return text, 409
    if form.get("answer") not in (*_words(found), OPACITIES):
        return _("Choose one of the answers."), 400
    comment = form.get("comment", "").strip()
    if len(comment) > MAXIMUM_COMMENT:
        return _("At most {n} characters, please.", n=MAXIMUM_COMMENT), 400
    fault = _fault_of_comment(console, found, comment)
    return (fault, 400) if fault else ("", 0)


def _words(found: SeriesPage) -> Mapping[str, str]:
    """Give the answers to the latest result as a whole, by their reasons."""
    return WORDS_OF_INDETERMINATE if found.results[0].positive is None else WORDS


def _of_whole(words: Mapping[str, str], said: str, comment: str) -> Iterator[NewAnswer]:
    """Yield the answer to the result as a whole, if there is one."""
    if said in words:
        yield NewAnswer(
            answer=words[said],
            subjects=(),
            reason_code=said,
            reason_scheme=SCHEME,
            reason=REASONS[said],
            comment=comment,
        )


def _of_opacities(request: Request, found: SeriesPage, comment: str) -> Iterator[NewAnswer]:
    """Yield the answers to opacities, where the form has asked for them.

    Raises
    ------
    ValueError
        If a slice is none of the series.
    """
    form, key = form_of(request), found.results[0].key
    if "missed" in form:
        numbers = numbered(found.line.summary.get("lesions") or [])
        before = marked(found.answers, by=user_of(request).user, result_key=key)
        now = read_marks(form, numbers, slices_of(found))
        yield from opacity_answers(key, before, now, comment)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """The series that is answered to, and no sender."""

    series_instance_uid: str
    study_instance_uid: str
    calling_ae: str = ""


def _enter(console: Console, found: SeriesPage, said: Sequence[NewAnswer], change: Change) -> None:
    line = found.line
    source = _Source(
        series_instance_uid=line.series_instance_uid, study_instance_uid=line.study_instance_uid
    )
    with console.sessions.begin() as session:
        subjects = tuple(result_series(session, found.results[0].key))
        document = NewDocument(
            document_uid=f"{ROOT}.{uuid.uuid4().int}",
            answers=tuple(replace(one, subjects=subjects) for one in said),
            observer=change.user,
            role="console",
            said_at=change.at,
        )
        enter_feedback(session, source, [document], change.at)
        record_change(session, change)


def _fault_of_comment(console: Console, found: SeriesPage, comment: str) -> str:
    """Say why a comment is not kept: it may name the patient, or nobody can tell."""
    if not comment:
        return ""
    if LONG_NUMBER.search(SEPARATORS.sub("", comment)):
        return _(NAMED)
    known = NOTHING
    if found.image is not None:
        known = read_identity(console.files.locate(found.image), with_patient=True)
    if known == NOTHING:
        return _(
            "The images are not here any more, so nobody can tell whether the comment names the"
            " patient: answer without one."
        )
    numbers = (known.patient_id, known.birth_date, known.accession)
    return _(NAMED) if names_person(comment, (known.patient_name,), numbers) else ""


ROUTES = [post("/series/{uid}/answer", answer)]
