"""Enter what the outcome of a series says of its scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicom_node.drift.decision import Equipment, Value, news_of
from dicom_node.logs import log
from pipeline.options import METHOD
from pipeline.reasons import UnsuitableReason
from storage.database.sessions import Session
from storage.results.drift import (
    Sample,
    enter_news,
    enter_sample,
    equipment_of,
    judged_equipment,
    series_without_equipment,
)

NOT_OF_A_SCANNER = frozenset(
    {
        UnsuitableReason.OWN_RESULT,
        UnsuitableReason.IMAGES_REJECTED,
        UnsuitableReason.INSTANCES_REMOVED,
        UnsuitableReason.SWITCHED_OFF,
    }
)
"""Reasons why a series is not analysed that say nothing of what made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something of a series that is new."""

    scanner: str
    text: str


def record_news(session: Session, uid: str, action: str, now: datetime) -> Sequence[News]:
    """Enter what is new of the equipment of a series; return what nobody was told of yet.

    Nothing is, as long as it is not known of all older series what made them.
    """
    said = equipment_of(session, uid)
    if said is None:
        return ()
    scanner = said.scanner
    series = Equipment(scanner=scanner, kernel=said.kernel, software=said.software)
    known = [
        Equipment(scanner=scanner, kernel=kernel, software=software)
        for kernel, software in judged_equipment(session, scanner, uid)
    ]
    news = news_of(series, known)
    if not news or series_without_equipment(session, 1):
        return ()
    return [
        News(scanner=scanner, text=text)
        for text in news
        if enter_news(session, scanner, text, action, now)
    ]


def record_sample(session: Session, uid: str, sample: Sample, now: datetime) -> None:
    """Enter the figures of a series, if it is known what made it."""
    said = equipment_of(session, uid)
    if said is not None:
        enter_sample(session, uid, said, sample, now)


def tell(news: Sequence[News]) -> None:
    """Log what is new."""
    for one in news:
        log.warning("scanner_changed", scanner=one.scanner, what=one.text)


def sample_of(summary: Mapping[str, Any]) -> Sample:
    """Take what is watched out of the summary of an analysis."""
    made_by = summary.get("provenance") or {}
    parts = [made_by.get("manifest_sha256", ""), f"method {METHOD}"]
    parts += [f"{name}: {value}" for name, value in (made_by.get("parameters") or {}).items()]
    return Sample(basis=", ".join(parts), figures=_figures(summary))


def _figures(summary: Mapping[str, Any]) -> dict[str, Value]:
    return {
        **(summary.get("figures") or {}),
        "lungs_ml": summary.get("lungs_ml", {}).get("total"),
        "score": summary.get("score"),
        "flagged": float(bool(summary.get("flags"))),
        "refused": 0.0,
    }


def sample_of_refusal(reason: str) -> Sample | None:
    """Give what is watched of a series that was not analysed; None if that is not its scanner's."""
    code = reason.partition(":")[0]
    return None if code in NOT_OF_A_SCANNER else Sample(figures={"refused": 1.0})
