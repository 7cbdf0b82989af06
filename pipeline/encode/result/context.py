"""Context of encoding a result: key, equipment, revision and products; UIDs under the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydicom.uid import UID

from pipeline.encode.result.identity import Equipment, Prior, ReportReference, derived_uid
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.products import Products
from pipeline.encode.result.series_numbers import ResultNumbering


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultContext:
    """All that encoding needs beside the series and its analysis.

    Attributes
    ----------
    key
        From `result_key`; every UID derives from it.
    created
        When the result was made; aware, in the time zone of the node.
    generation
        1 for the first result of a series, 2 for the one that supersedes it, and so on.
    predecessor
        The main document, report or notice, of the result that this one supersedes.
    superseded
        The other documents of the predecessor's result, by kind.
    priors
        Earlier results of the same patient, the latest first.
    numbering
        Series Numbers of the result.
    """

    key: str
    equipment: Equipment
    created: datetime
    generation: int = 1
    predecessor: ReportReference | None = None
    superseded: Mapping[str, ReportReference] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    numbering: ResultNumbering = field(default_factory=ResultNumbering)
    products: Products = field(default_factory=Products)

    def __post_init__(self) -> None:
        if self.created.tzinfo is None:
            raise ValueError("created must be an aware datetime, got a naive one")
        if not self.key:
            raise ValueError("key must not be empty")


def series_uid(context: ResultContext, kind: ResultKind) -> UID:
    """Series Instance UID of the result's series of a kind."""
    return derived_uid(context.key, kind, "series")


def instance_uid(context: ResultContext, kind: ResultKind, number: int = 1) -> UID:
    """SOP Instance UID of the n-th instance of the result's series of a kind."""
    return derived_uid(context.key, kind, "instance", number)
