"""Make a case list (`pipeline.cases.case_list`) of the results that readers have answered to.

It names no patient and no reader: both are told apart by keyed digests.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicom_node.governance.csv_text import csv_text
from dicom_node.governance.result_records import is_diagnosis
from pipeline.atomic_write import write_whole
from pipeline.cases.case_list import NEEDED, REMARKS
from pipeline.feedback.diagnosis import Diagnosis
from storage.files.identity_key import IdentityKey
from storage.results.answers import ACCEPTED, REPORT, AnswerLine, AssessedResult
from storage.results.feedback import REJECTED

COLUMNS = (*NEEDED, "label", *REMARKS)
SHORT = 12  #: digits of a digest that tells patients, or readers, apart
LABELS = {str(Diagnosis.POSITIVE): "1", str(Diagnosis.NEGATIVE): "0"}


def case_rows(
    answers: Iterable[AnswerLine],
    results: Mapping[str, AssessedResult],
    folders: Mapping[str, Path],
    key: IdentityKey,
) -> list[dict[str, str]]:
    """Make a row for each result that was answered to, and one for each of its findings.

    Of a series, the latest result that was answered to counts. Its label is the final
    diagnosis, if one was imported, else what the signed reports say and what readers have accepted
    of the result, where none of them says anything else; in all other cases, and where a document
    rejects the images, a person has to give it.

    Parameters
    ----------
    answers
        All; those that do not stand, or are of another patient or study, are left out.
    results
        The results answered to, by key.
    folders
        Where the images of a series are, by its UID.
    key
        Of the digests.
    """
    by_series: dict[str, list[AnswerLine]] = defaultdict(list)
    images: dict[str, list[AnswerLine]] = defaultdict(list)
    for answer in answers:
        if answer.stands:
            of_images = answer.is_about_images
            (images if of_images else by_series)[answer.series_instance_uid].append(answer)
    return [
        row
        for uid in sorted(by_series)
        for row in _of_series(by_series[uid], images[uid], results, folders.get(uid), key)
    ]


def _of_series(
    answers: Sequence[AnswerLine],
    images: Sequence[AnswerLine],
    results: Mapping[str, AssessedResult],
    folder: Path | None,
    key: IdentityKey,
) -> Iterator[dict[str, str]]:
    latest = max(answer.revision for answer in answers)
    chosen = [answer for answer in answers if answer.revision == latest]
    result = results[chosen[0].result_key]
    common = {
        "path": str(folder or ""),
        "patient": _short(key, result.patient_key or result.series_instance_uid),
        "series": result.series_instance_uid,
        "revision": str(result.revision),
        "model": result.model,
        "score": "" if result.score is None else f"{result.score:.4f}",
        "positive": "" if result.positive is None else str(int(result.positive)),
    }
    whole = [answer for answer in chosen if not answer.finding]
    are_rejected = any(answer.answer == REJECTED for answer in images)
    label = "" if are_rejected else _label(whole, result)
    yield common | _said([*whole, *images], key) | {"label": label}
    findings: dict[str, list[AnswerLine]] = defaultdict(list)
    for answer in chosen:
        if answer.finding:
            findings[answer.finding_name or answer.finding].append(answer)
    for name in sorted(findings):
        yield common | _said(findings[name], key) | {"finding": name} | _lesion(name, result)


def _label(whole: Sequence[AnswerLine], result: AssessedResult) -> str:
    diagnoses = {one.reason_code for one in whole if is_diagnosis(one)} & set(LABELS)
    if diagnoses:
        return LABELS[diagnoses.pop()] if len(diagnoses) == 1 else ""
    said = {_stated(answer, result) for answer in whole}
    return said.pop() if len(said) == 1 else ""


def _stated(answer: AnswerLine, result: AssessedResult) -> str:
    """Give the label that an answer states; empty for none."""
    if answer.reason_scheme == REPORT:
        return LABELS.get(answer.reason_code, "")
    if answer.answer != ACCEPTED or result.positive is None:
        return ""
    return str(int(result.positive))


def _said(answers: Sequence[AnswerLine], key: IdentityKey) -> dict[str, str]:
    counts = Counter(map(_words, answers))
    reasons = dict.fromkeys(answer.reason or answer.reason_code for answer in answers)
    readers = dict.fromkeys(_short(key, answer.observer) for answer in answers if answer.observer)
    return {
        "answer": "; ".join(
            f"{count} {answer}" if count > 1 else answer for answer, count in counts.items()
        ),
        "reason": "; ".join(filter(None, reasons)),
        "readers": " ".join(readers),
        "answered_at": max((answer.said_at.isoformat() for answer in answers), default=""),
    }


def _words(answer: AnswerLine) -> str:
    """Say an answer in the fewest words: what it is about, if not the whole or a finding."""
    if answer.finding:
        return answer.answer
    about = ["images"] if answer.is_about_images else answer.kinds
    return " ".join([" and ".join(about), answer.answer]).strip()


def _lesion(name: str, result: AssessedResult) -> dict[str, str]:
    """Give side and volume of an opacity, as the result's summary has them."""
    lesions: list[dict[str, Any]] = json.loads(result.summary).get("lesions", [])
    for lesion in lesions:
        if name == f"opacity-{lesion.get('number')}":
            volume = lesion.get("volume_ml")
            return {
                "side": lesion.get("side") or "",
                "volume_ml": "" if volume is None else f"{volume:.3f}",
            }
    return {}


def _short(key: IdentityKey, words: str) -> str:
    return key.digest(words)[:SHORT]


def write_rows(file: Path, rows: Iterable[Mapping[str, str]]) -> None:
    """Write rows as a case list."""
    write_whole(file, as_csv(rows).encode())


def as_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Give rows as the text of a case list."""
    return csv_text(COLUMNS, rows)
