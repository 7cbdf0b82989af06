"""Read a document that answers to results: a rejection note, or an assessment report.

A rejection note is a Key Object Selection with a title of rejection (IHE RAD IOCM, PS3.16
TID 2010); an assessment report is an SR with a coded decision, of the whole or in the container
of a finding. Nothing is guessed: what is not in `pipeline.feedback.codes` is unclear, and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from pipeline.errors import UnsuitableSeries
from pipeline.feedback import codes
from pipeline.feedback.answers import Answer, Assessment, Concept, Statement
from pipeline.feedback.content import (
    ContentItem,
    comment,
    concept,
    predecessors,
    referenced,
    references,
    said_at,
    subjects_of,
    tree,
    uid,
)
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import items, text

MAX_STATEMENTS = 500  #: of one document
MAX_NAME = 64  #: characters of a name; PS3.5 6.2, value representation PN
DRAFT = "PARTIAL"  #: Completion Flag, PS3.3 C.17.2


def read_assessment(document: Dataset) -> Assessment:
    """Read the answers of one document.

    Raises
    ------
    UnsuitableSeries
        ``no-assessment`` if it holds none, or is a draft.
    """
    root = tree(document)
    is_selection = text(document, "SOPClassUID") == KeyObjectSelectionDocumentStorage
    statements = _rejection(document, root) if is_selection else _assessment(document, root)
    return Assessment(
        sop_instance_uid=text(document, "SOPInstanceUID"),
        statements=statements,
        observer=_observer(document, root),
        role=_role(root),
        said_at=said_at(document),
        predecessors=predecessors(document),
        study_instance_uid=uid(document, "StudyInstanceUID"),
    )


def _rejection(document: Dataset, root: ContentItem) -> tuple[Statement, ...]:
    title = (root.name.value, root.name.scheme)
    if title not in codes.TITLES:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT,
            f"a Key Object Selection with a title of rejection expected, got {_shown(root.name)}",
        )
    answer, words = codes.TITLES[title]
    series_of = references(document)
    named = referenced(root.below()) or list(series_of)
    modifiers = (
        concept(item.dataset, "ConceptCodeSequence")
        for item in root.children
        if item.named(codes.DOCUMENT_TITLE_MODIFIER)
    )
    titled = Concept(value=root.name.value, scheme=root.name.scheme, meaning=words)
    return (
        Statement(
            answer=answer,
            subjects=subjects_of(named, series_of),
            reason=next(filter(_is_said, modifiers), titled),
            comment=comment(root.children, document),
        ),
    )


def _is_said(reason: Concept) -> bool:
    return bool(reason.value or reason.meaning)


def _shown(name: Concept) -> str:
    """Write a code, without its meaning: that may be any text."""
    return f"({name.value}, {name.scheme})" if name.value.isascii() else "another"


def _assessment(document: Dataset, root: ContentItem) -> tuple[Statement, ...]:
    if text(document, "CompletionFlag").upper() == DRAFT:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT, "a finished assessment expected, got a draft"
        )
    series_of = references(document)
    statements = [
        statement
        for path in _decisions(root, ())
        for statement in _statements(document, path, series_of)
    ]
    if not statements and codes.normal(root.name.meaning) in codes.ASSESSMENT_TITLES:
        statements = [_unclear(document, root, series_of)]
    if not 0 < len(statements) <= MAX_STATEMENTS:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT,
            f"1 to {MAX_STATEMENTS} decisions about results expected, got {len(statements)}",
        )
    return _agreed(statements)


def _agreed(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Take for unclear what a document answers in several ways about the same."""
    about: dict[tuple[str, tuple[str, ...]], list[Statement]] = {}
    for statement in statements:
        about.setdefault((statement.finding, statement.subjects), []).append(statement)
    return tuple(_one_of(alike) for alike in about.values())


def _one_of(alike: Sequence[Statement]) -> Statement:
    answers = dict.fromkeys(statement.answer for statement in alike)
    if len(answers) == 1:
        return alike[0]
    return replace(alike[0], answer=Answer.UNCLEAR, reason=Concept(meaning=" and ".join(answers)))


def _decisions(
    item: ContentItem, above: tuple[ContentItem, ...]
) -> Iterator[tuple[ContentItem, ...]]:
    """Yield the way from the root to every decision, the decision last."""
    here = (*above, item)
    if item.value_type == "CODE" and _names(item, codes.DECISION_NAMES):
        yield here
    for child in item.children:
        yield from _decisions(child, here)


def _names(item: ContentItem, names: frozenset[str]) -> bool:
    return codes.normal(item.name.meaning) in names


def _statements(
    document: Dataset, path: tuple[ContentItem, ...], series_of: dict[str, str]
) -> Iterator[Statement]:
    """Yield the answer that a decision gives: for each finding of its scope, or for the whole."""
    *_, scope, decision = path
    around = [*decision.below(), *scope.children]
    said = concept(decision.dataset, "ConceptCodeSequence")
    answer = codes.answer_of(said)
    reasons = [
        concept(item.dataset, "ConceptCodeSequence")
        for item in around
        if item.value_type == "CODE" and _names(item, codes.REASON_NAMES)
    ]
    reason = said if answer is Answer.UNCLEAR else next(filter(_is_said, reasons), Concept())
    is_whole = len(path) == len((scope, decision))
    named = referenced(decision.below()) or ([] if is_whole else referenced(scope.below()))
    for finding in _findings(path) or [""]:
        yield Statement(
            answer=answer,
            subjects=subjects_of(named or series_of, series_of),
            finding=finding,
            reason=reason,
            comment=comment(around, document),
        )


def _findings(path: Sequence[ContentItem]) -> list[str]:
    """List the findings that a decision is about: named below it, else the nearest above it."""
    *above, decision = path
    for content in (tuple(decision.below()), *(item.children for item in reversed(above))):
        found = [
            uid(item.dataset, "UID")
            for item in content
            if item.value_type == "UIDREF" and item.named(codes.TRACKING_UID)
        ]
        if any(found):
            return list(dict.fromkeys(filter(None, found)))
    return []


def _unclear(document: Dataset, root: ContentItem, series_of: dict[str, str]) -> Statement:
    return Statement(
        answer=Answer.UNCLEAR,
        subjects=subjects_of(series_of, series_of),
        comment=comment(root.below(), document),
    )


def _observer(document: Dataset, root: ContentItem) -> str:
    """Read who answered; nobody where the name is the patient's."""
    people = [item for item in root.children if item.value_type == "PNAME"]
    people.sort(key=lambda item: not item.named(codes.PERSON_OBSERVER_NAME))
    named = [text(item.dataset, "PersonName") for item in people]
    for keyword, name in (
        ("VerifyingObserverSequence", "VerifyingObserverName"),
        ("AuthorObserverSequence", "PersonName"),
    ):
        named += [text(item, name) for item in items(document, keyword)]
    observer = next(filter(None, named), "")[:MAX_NAME]
    is_patient = codes.normal(observer) == codes.normal(text(document, "PatientName"))
    return "" if is_patient else observer


def _role(root: ContentItem) -> str:
    for code in codes.ROLES:
        for item in root.children:
            if item.named(code):
                return concept(item.dataset, "ConceptCodeSequence").meaning
    return ""
