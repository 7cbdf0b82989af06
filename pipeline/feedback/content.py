"""Read the content tree, the references and the identity of a document, within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from pydicom import Dataset

from pipeline.errors import UnsuitableSeries
from pipeline.feedback.answers import Concept
from pipeline.feedback.naming import names_person
from pipeline.reasons import UnsuitableReason
from pipeline.series.attributes import items, text

MAX_ITEMS = 20_000  #: content items of a document; the largest report of this node has a tenth
MAX_DEPTH = 32  #: of the content tree
MAX_SUBJECTS = 500  #: series, or objects without one, that a document answers to
MAX_REFERENCES = 100_000  #: objects that a document names
MAX_CODE = 64  #: characters of a code value, a scheme or a meaning
MAX_COMMENT = 1_000  #: characters
FIRST_YEAR = 1990  #: of a document; the standard has had them since 1999
OBSERVER = "HAS OBS CONTEXT"  #: relationship of what tells about the observer
NAMES = ("PatientName", "OtherPatientNames", "PatientBirthName")  #: attributes that name somebody
NUMBERS = ("PatientID", "PatientBirthDate", "AccessionNumber")  #: and those that point to him
UID = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")  #: PS3.5 9.1
EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContentItem:
    """One item of a content tree (PS3.3 C.17.3)."""

    value_type: str
    relationship: str
    name: Concept
    dataset: Dataset
    children: tuple[ContentItem, ...] = ()

    def below(self) -> Iterator[ContentItem]:
        """Yield every item below this one, in the order of the document."""
        for child in self.children:
            yield child
            yield from child.below()

    def named(self, code: str) -> bool:
        """Say whether the concept name is a code of DICOM's."""
        return (self.name.value, self.name.scheme) == (code, "DCM")


def tree(document: Dataset) -> ContentItem:
    """Read the content tree of a document.

    Raises
    ------
    UnsuitableSeries
        ``no-assessment`` if it is larger than any assessment.
    """
    return _item(document, [MAX_ITEMS], MAX_DEPTH)


def _item(dataset: Dataset, left: list[int], depth: int) -> ContentItem:
    left[0] -= 1
    if left[0] < 0 or depth < 0:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT,
            f"at most {MAX_ITEMS} content items, {MAX_DEPTH} deep, expected, got more",
        )
    below = items(dataset, "ContentSequence")
    return ContentItem(
        value_type=text(dataset, "ValueType").upper(),
        relationship=text(dataset, "RelationshipType").upper(),
        name=concept(dataset, "ConceptNameCodeSequence"),
        dataset=dataset,
        children=tuple(_item(child, left, depth - 1) for child in below),
    )


def concept(dataset: Dataset, keyword: str) -> Concept:
    """Read the first code of a code sequence; empty if there is none."""
    for item in items(dataset, keyword)[:1]:
        values = (text(item, name) for name in ("CodeValue", "LongCodeValue", "URNCodeValue"))
        return Concept(
            value=next(filter(None, values), "")[:MAX_CODE],
            scheme=text(item, "CodingSchemeDesignator")[:MAX_CODE],
            meaning=text(item, "CodeMeaning")[:MAX_CODE],
        )
    return Concept()


def references(document: Dataset) -> dict[str, str]:
    """Find the objects that a document names as its evidence.

    Returns
    -------
    dict
        SOP Instance UID to Series Instance UID; to itself where no series is said.
    """
    named = {item: item for item in _sop_items(items(document, "ReferencedSOPSequence"))}
    for keyword in EVIDENCE:
        for study in items(document, keyword):
            for series in items(study, "ReferencedSeriesSequence"):
                series_uid = uid(series, "SeriesInstanceUID")
                for item in _sop_items(items(series, "ReferencedSOPSequence")):
                    named[item] = series_uid or item
                    _bound(len(named), MAX_REFERENCES)
    return named


def referenced(content: Iterable[ContentItem]) -> list[str]:
    """List the SOP Instance UIDs that content items refer to (IMAGE, COMPOSITE, WAVEFORM)."""
    return [
        found
        for item in content
        for found in _sop_items(items(item.dataset, "ReferencedSOPSequence"))
    ]


def subjects_of(named: Iterable[str], series_of: dict[str, str]) -> tuple[str, ...]:
    """Name the series of some objects, each once; an object whose series is not known, itself."""
    subjects = tuple(dict.fromkeys(series_of.get(item, item) for item in named))
    _bound(len(subjects), MAX_SUBJECTS)
    return subjects


def _bound(count: int, most: int) -> None:
    if count > most:
        raise UnsuitableSeries(
            UnsuitableReason.NO_ASSESSMENT, f"a document that names at most {most} expected"
        )


def _sop_items(references: Iterable[Dataset]) -> Iterator[str]:
    for item in references:
        if found := uid(item, "ReferencedSOPInstanceUID"):
            yield found


def uid(dataset: Dataset, keyword: str) -> str:
    """Read a UID; empty for anything else."""
    value = text(dataset, keyword)
    return value if UID.fullmatch(value) else ""


def predecessors(document: Dataset) -> tuple[str, ...]:
    """List the documents that this one amends (PS3.3 C.17.2)."""
    found = [
        item
        for study in items(document, "PredecessorDocumentsSequence")
        for series in items(study, "ReferencedSeriesSequence")
        for item in _sop_items(items(series, "ReferencedSOPSequence"))
    ]
    _bound(len(found), MAX_SUBJECTS)
    return tuple(dict.fromkeys(found))


def said_at(document: Dataset) -> datetime | None:
    """Read Content Date and Time, with the zone if there is one; None without a date."""
    date, time = text(document, "ContentDate"), text(document, "ContentTime")
    digits = re.match(r"(\d{2})(\d{2})?(\d{2})?", time)
    hours, minutes, seconds = (int(part or 0) for part in digits.groups()) if digits else (0, 0, 0)
    with suppress(ValueError):
        moment = datetime.strptime(date, "%Y%m%d").replace(  # noqa: DTZ007  # its zone follows
            hour=hours, minute=minutes, second=min(seconds, 59)
        )
        if moment.year >= FIRST_YEAR:
            return moment.replace(tzinfo=_zone(text(document, "TimezoneOffsetFromUTC")))
    return None


def _zone(offset: str) -> timezone | None:
    found = re.fullmatch(r"([+-])(\d{2})(\d{2})", offset)
    if found is None:
        return None
    sign, hours, minutes = found.groups()
    shift = timedelta(hours=int(hours), minutes=int(minutes))
    if shift >= timedelta(hours=24):
        return None
    return timezone(-shift if sign == "-" else shift) if shift else UTC


def comment(content: Iterable[ContentItem], document: Dataset) -> str:
    """Join the text items of some content, cut; nothing where they name the patient."""
    said = (
        text(item.dataset, "TextValue")
        for item in content
        if item.value_type == "TEXT" and item.relationship != OBSERVER
    )
    joined = " | ".join(dict.fromkeys(filter(None, said)))[:MAX_COMMENT]
    return "" if names_patient(joined, document) else joined


def names_patient(words: str, document: Dataset) -> bool:
    """Say whether text names the patient of its document."""
    names, numbers = ([text(document, key) for key in keys] for keys in (NAMES, NUMBERS))
    return names_person(words, names, numbers)
