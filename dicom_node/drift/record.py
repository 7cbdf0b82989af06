"""Enter what the outcome of a series says of its scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicom_node.drift.decision import Equipment, Value, news_of
from dicom_node.logs import log
from pipeline.reasons import UnsuitableReason
from storage.database.sessions import Session
from storage.results.drift import (
    earlier_equipment,
    enter_finding,
    enter_sample,
    equipment_of,
)

NOT_OF_A_SCANNER = frozenset(
    {
        UnsuitableReason.OWN_RESULT,
        UnsuitableReason.IMAGES_REJECTED,
        UnsuitableReason.INSTANCES_REMOVED,
    }
)
"""Reasons why a series is not analysed that say nothing of what made it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Something of a series that is new."""

    scanner: str
    text: str


def record_news(session: Session, uid: str, action: str, now: datetime) -> Sequence[News]:
    """Enter what is new of the equipment of a series; return what nobody was told of yet."""
    said = equipment_of(session, uid)
    if said is None:
        return ()
    scanner = said.scanner
    series = Equipment(scanner=scanner, kernel=said.kernel, software=said.software)
    known = [
        Equipment(scanner=scanner, kernel=kernel, software=software)
        for kernel, software in earlier_equipment(session, uid)
    ]
    return [
        News(scanner=scanner, text=text)
        for text in news_of(series, known)
        if enter_finding(session, scanner, text, text, action, now)
    ]


def record_figures(session: Session, uid: str, figures: Mapping[str, Value], now: datetime) -> None:
    """Enter the figures of a series, if it is known what made it."""
    said = equipment_of(session, uid)
    if said is not None:
        enter_sample(session, uid, said, figures, now)


def tell(news: Sequence[News]) -> None:
    """Log what is new."""
    for one in news:
        log.warning("scanner_changed", scanner=one.scanner, what=one.text)


def figures_of(summary: Mapping[str, Any]) -> dict[str, Value]:
    """Take the figures that are watched out of the summary of an analysis."""
    return {
        **(summary.get("figures") or {}),
        "lungs_ml": summary.get("lungs_ml", {}).get("total"),
        "score": summary.get("score"),
        "flagged": float(bool(summary.get("flags"))),
        "refused": 0.0,
    }


def figures_of_refusal(reason: str) -> dict[str, Value]:
    """Give the figures of a series that was not analysed; none where that is not its scanner's."""
    code = reason.partition(":")[0]
    return {} if code in NOT_OF_A_SCANNER else {"refused": 1.0}
