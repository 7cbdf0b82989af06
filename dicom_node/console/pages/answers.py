"""Answers of readers at the console: the same rows as those of rejection notes and assessments."""

from __future__ import annotations

import re
import uuid
from dataclasses import fields

from starlette.requests import Request
from starlette.responses import Response

from dicom_node.console.access.people import Role
from dicom_node.console.context import Console, console_of, for_role, form_of, post, user_of
from dicom_node.console.identity import OF_PATIENT, Identity, read_identity
from dicom_node.console.pages.series import known_series, show_series
from dicom_node.console.trial import Labelled
from storage.console.series_page import SeriesPage, result_series
from storage.results.answers import AnswerLine, AssessedResult
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback

AGREE, DISAGREE, UNSURE = "agree", "disagree", "unsure"
WORDS = {AGREE: "accepted", DISAGREE: "rejected", UNSURE: "unclear"}
"""Answers, as `pipeline.feedback.answers` has them."""
SCHEME = "99CONSOLE"  #: of the reasons that are ours
REASONS = {
    AGREE: "Agrees with the side of the threshold",
    DISAGREE: "The side of the threshold is wrong",
    UNSURE: "Cannot tell",
}
MAXIMUM_COMMENT = 500  #: characters
LONG_NUMBER = re.compile(r"\d{6,}")  #: a birth date, an ID
SHORTEST = 3  #: characters of a part of a name that is looked for
ROOT = "2.25"  #: of UIDs that are made of UUIDs, PS3.5 B.2


@for_role(Role.READER)
def answer(request: Request) -> Response:
    """Keep the answer of a reader to the latest result of a series; it changes no report."""
    console, form, found = console_of(request), form_of(request), known_series(request)
    said, comment = form.get("answer", ""), form.get("comment", "").strip()
    if said not in WORDS or not found.results or found.results[0].score is None:
        return show_series(request, told="There is no result to answer to.", status=409)
    if len(comment) > MAXIMUM_COMMENT:
        text = f"At most {MAXIMUM_COMMENT} characters, please."
        return show_series(request, told=text, status=400)
    if _names_patient(console, found, comment):
        text = "The comment seems to name the patient: leave names and numbers out."
        return show_series(request, told=text, status=400)
    _enter(console, found, said, comment, user_of(request).user)
    console.record(request, "answer", found.line.series_instance_uid, after=said)
    return show_series(request, told="Kept. It changes no report.")


def labelled(answers: list[AnswerLine], results: dict[str, AssessedResult]) -> list[Labelled]:
    """Give the truth that readers at the console have told: of each series, the latest answer."""
    told: dict[str, Labelled] = {}
    for one in answers:  # the earliest first
        result = results.get(one.result_key)
        if not one.stands or one.reason_scheme != SCHEME or result is None:
            continue
        if result.score is None or result.positive is None or one.reason_code == UNSURE:
            told.pop(one.series_instance_uid, None)
            continue
        is_positive = result.positive if one.reason_code == AGREE else not result.positive
        told[one.series_instance_uid] = Labelled(score=result.score, is_positive=is_positive)
    return list(told.values())


def _enter(console: Console, found: SeriesPage, said: str, comment: str, user: str) -> None:
    line, now = found.line, console.clock()
    with console.sessions.begin() as session:
        document = NewDocument(
            document_uid=f"{ROOT}.{uuid.uuid4().int}",
            answers=(
                NewAnswer(
                    answer=WORDS[said],
                    subjects=tuple(result_series(session, found.results[0].key)),
                    reason_code=said,
                    reason_scheme=SCHEME,
                    reason=REASONS[said],
                    comment=comment,
                ),
            ),
            observer=user,
            role="console",
            said_at=now,
        )
        enter_feedback(session, line, [document], now)


def _names_patient(console: Console, found: SeriesPage, comment: str) -> bool:
    """Say whether a comment holds a long number, or a part of the patient's name or ID."""
    if LONG_NUMBER.search(comment):
        return True
    if not comment or found.image is None:
        return False
    known = read_identity(console.folder / found.image, with_patient=True)
    words = {word.casefold() for word in re.findall(r"\w+", comment)}
    return bool(words & set(_parts(known)))


def _parts(known: Identity) -> list[str]:
    """List the words of a patient's name and numbers."""
    texts = [getattr(known, field.name) for field in fields(known) if field.name in OF_PATIENT]
    texts.append(known.accession)
    return [
        word.casefold()
        for text in texts
        for word in re.findall(r"\w+", text)
        if len(word) >= SHORTEST
    ]


ROUTES = [post("/series/{uid}/answer", answer)]
