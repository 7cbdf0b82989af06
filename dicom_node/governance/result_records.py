"""Say of each result what registries and statistics ask, and nothing that names anybody.

The groups are those that the ACR's Assess-AI asks for: the study and what made it, the person as
sex and decade of age, the result, and what readers said of it. UIDs are replaced by digests under
the key of the installation, dates by months. What is kept of an erased series has no digest at
all, and coarser figures: it names nobody, though whoever has the report elsewhere may guess.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from dicom_node.resources import Resources
from pipeline.feedback.diagnosis import SCHEME
from pipeline.series.attributes import calendar_date
from pipeline.types import Answer
from storage.database.sessions import Session, Sessions
from storage.errors import StorageError
from storage.files.identity_key import NO_KEY, IdentityKey, read_identity_key
from storage.results.answers import AnswerLine, answers_to
from storage.results.made_results import (
    MadeResult,
    Place,
    erased_records,
    keep_erased,
    made_results,
    made_results_of,
)

Record = Mapping[str, Mapping[str, Any]]
"""Groups of values by name; values are what JSON holds."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "study": ("record", "study", "patient", "month", "erased"),
    "person": ("sex", "age"),
    "equipment": ("manufacturer", "model", "software", "kernel"),
    "protocol": (
        *("slices", "spacing_mm", "coverage_mm", "slice_thickness_mm", "kvp", "contrast"),
        "completeness",
    ),
    "result": (
        *("month", "revision", "superseded", "model", "manifest_sha256", "program"),
        *("score", "threshold", "indeterminate_from", "answer", "lungs_percent"),
        *("ground_glass_ml", "consolidation_ml", "lesions", "flags", "doubts", "seconds"),
    ),
    "agreement": ("readers", "diagnosis"),
}
"""Values of each group; every record has all of them."""

DIGITS = 16  #: of a digest, 64 bits: two of ten million records share one with p = 3e-6
AT_ONCE = 200  #: results that are in memory
COARSE = {
    "score": 2,
    "lungs_percent": 0,
    "ground_glass_ml": -1,
    "consolidation_ml": -1,
    "seconds": 0,
}
"""Decimal places of figures that reports have too, where the series is erased."""
ANSWERS = {True: Answer.ABOVE, False: Answer.BELOW}
"""What versions before the indeterminate range answered, by whether a result is positive."""


def records(
    sessions: Sessions, key: IdentityKey, *, since: datetime | None = None
) -> Iterator[Record]:
    """Give the records of erased results, in no order; then of all others, the first first.

    None is given twice: what is erased meanwhile is given as it was before, or not at all.

    Parameters
    ----------
    since
        Results made since then; of erased ones, those of that month too. None for all.
    """
    yield from _of_erased(sessions, f"{since:%Y-%m}" if since else "")
    after: Place | None = None
    while True:
        with sessions.reading() as session:
            part = made_results(session, AT_ONCE, since=since, after=after)
            found = _records(session, part, key)
        yield from found
        if len(part) < AT_ONCE:
            break
        after = Place(part[-1].created_at, part[-1].key)


def _of_erased(sessions: Sessions, since: str) -> Iterator[Record]:
    latest = ""
    while True:
        with sessions.reading() as session:
            part = erased_records(session, AT_ONCE, since=since, after=latest)
        yield from (json.loads(text) for _, text in part)
        if len(part) < AT_ONCE:
            break
        latest = part[-1][0]


def _records(session: Session, results: Sequence[MadeResult], key: IdentityKey) -> list[Record]:
    of_series = sorted({result.series_instance_uid for result in results})
    said: dict[str, list[AnswerLine]] = defaultdict(list)
    for answer in answers_to(session, of_series):
        said[answer.result_key].append(answer)
    return [record_of(result, said[result.key], key) for result in results]


def keep_records(session: Session, series: Sequence[str], key: IdentityKey) -> None:
    """Keep records of the results of series whose rows are about to be erased."""
    results = made_results_of(session, series)
    kept = [without_identity(record) for record in _records(session, results, key)]
    keep_erased(
        session,
        [(one["study"]["record"], one["result"]["month"], json.dumps(one)) for one in kept],
    )


def key_of(resources: Resources) -> IdentityKey:
    """Give the key of the installation; none where it is lost: records have no digests then."""
    if resources.identity_key.secret:
        return resources.identity_key
    try:
        return read_identity_key(resources.folder.root) or NO_KEY
    except StorageError:
        return NO_KEY


def record_of(result: MadeResult, answers: Sequence[AnswerLine], key: IdentityKey) -> Record:
    """Make the record of a result.

    Parameters
    ----------
    answers
        Those to this result; what does not stand is left out.
    """
    summary: Mapping[str, Any] = json.loads(result.summary)
    made_in = f"{result.created_at:%Y-%m}"
    day = calendar_date(result.study_date)
    standing = [answer for answer in answers if answer.stands and not answer.finding]
    return {
        "study": {
            "record": _digest(key, "record", result.key),
            "study": _digest(key, "study", result.study_instance_uid),
            "patient": _digest(key, "patient", result.patient_key),
            "month": f"{day:%Y-%m}" if day else "",
            "erased": False,
        },
        "person": _part(summary, "person", FIELDS["person"]),
        "equipment": {
            "manufacturer": result.manufacturer,
            "model": result.scanner_model,
            "software": result.software,
            "kernel": result.kernel,
        },
        "protocol": {
            **_part(summary, "geometry", ("slices", "spacing_mm", "coverage_mm", "completeness")),
            **_part(summary, "protocol", ("slice_thickness_mm", "kvp", "contrast")),
        },
        "result": {"month": made_in, **_result(result, summary)},
        "agreement": {
            "readers": dict(Counter(one.answer for one in standing if not is_diagnosis(one))),
            "diagnosis": _diagnosis(standing),
        },
    }


def _digest(key: IdentityKey, of: str, uid: str) -> str:
    """Digest what identifies something, for records alone: no other digest is made like it."""
    return key.digest(f"{of} of a record: {uid}")[:DIGITS] if uid and key.secret else ""


def _part(summary: Mapping[str, Any], name: str, fields: Sequence[str]) -> dict[str, Any]:
    """Take values out of a summary; None for what the version that made it did not say."""
    part = summary.get(name) or {}
    return {field: part.get(field) for field in fields}


def _result(result: MadeResult, summary: Mapping[str, Any]) -> dict[str, Any]:
    made_by = summary.get("provenance") or {}
    share = (summary.get("involvement") or {}).get("total")
    opacities = summary.get("opacities_ml") or {}
    return {
        "revision": result.revision,
        "superseded": not result.is_latest,
        "model": result.model,
        "manifest_sha256": made_by.get("manifest_sha256"),
        "program": made_by.get("software_version"),
        "score": round(result.score, 4),
        "threshold": summary.get("threshold"),
        "indeterminate_from": summary.get("indeterminate_from"),
        "answer": summary.get("answer") or _answer_of_two(result),
        "lungs_percent": None if share is None else _rounded(100 * share),
        "ground_glass_ml": _rounded(opacities.get("ground_glass")),
        "consolidation_ml": _rounded(opacities.get("consolidation")),
        "lesions": len(summary.get("lesions") or ()),
        "flags": list(summary.get("flags") or ()),
        "doubts": sorted({one["code"] for one in summary.get("doubts") or ()}),
        "seconds": _rounded(made_by.get("seconds")),
    }


def _answer_of_two(result: MadeResult) -> str | None:
    return None if result.positive is None else str(ANSWERS[result.positive])


def _rounded(value: float | None, places: int = 1) -> float | None:
    return None if value is None else round(value, places)


def _diagnosis(answers: Sequence[AnswerLine]) -> str:
    """Give the final diagnosis; empty where there is none, or they differ."""
    found = {answer.reason_code for answer in answers if is_diagnosis(answer)}
    return found.pop() if len(found) == 1 else ""


def is_diagnosis(answer: AnswerLine) -> bool:
    """Say whether an answer is a final diagnosis that was imported: what comes has a sender."""
    return answer.reason_scheme == SCHEME and not answer.calling_ae


def without_identity(record: Record) -> Record:
    """Take out of a record by what its study, its patient, or its result could be found again."""
    said = record["result"]
    none = {"record": secrets.token_hex(DIGITS // 2), "study": "", "patient": ""}
    return {
        **record,
        "study": {**record["study"], **none, "erased": True},
        "result": {
            **said,
            **{name: _rounded(said[name], places) for name, places in COARSE.items()},
        },
    }
