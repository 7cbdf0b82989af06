"""Answers of the API: their fields are the schemas of its OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dicom_node.node_status import Paused
from storage.overview import QuarantineCount, RefusalLine
from storage.series.closings import WaitLine
from storage.states import DeliveryState, SeriesState


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was not answered (RFC 9457)."""

    title: str
    status: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether the node runs and takes instances; the reason is told to those with a token."""

    ready: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """A series, and where it stands.

    Attributes
    ----------
    standing, text
        The same in words.
    reason
        Code of why it was not analysed, or failed.
    score, threshold, indeterminate_from, answer
        Of its latest result. The answer is above, indeterminate or below; a score from
        `indeterminate_from` up to the threshold is indeterminate, and where there is no
        `indeterminate_from` the threshold alone decides.
    positive
        Whether the answer is above; None where it is indeterminate.
    flags
        Codes of what its analysis makes doubtful.
    destinations
        Number of deliveries of that result by destination and state.
    """

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    calling_ae: str
    state: SeriesState
    standing: str
    text: str
    reason: str
    instances: int
    first_at: datetime
    last_at: datetime
    since: datetime
    result_at: datetime | None
    score: float | None
    threshold: float | None
    indeterminate_from: float | None
    answer: str | None
    positive: bool | None
    flags: tuple[str, ...]
    destinations: Mapping[str, Mapping[DeliveryState, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesPage:
    """Series, those with the latest images first.

    Attributes
    ----------
    older
        Value of `before` that gives the next page; None on the last one.
    """

    series: tuple[SeriesSummary, ...]
    older: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step on the way of a series.

    Attributes
    ----------
    mark
        Whether it is done (ok), runs (run), is not to be (no), has failed (bad).
    """

    mark: str
    text: str
    at: datetime | None
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultSummary:
    """A result of a series."""

    revision: int
    generation: int
    created_at: datetime
    model: str
    score: float | None
    answer: str | None
    positive: bool | None
    purged_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """The objects of one kind at one destination, in one state."""

    destination: str
    kind: str
    state: DeliveryState
    reason: str
    objects: int
    attempts: int
    next_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesAnswer:
    """One series with everything that became of it.

    Attributes
    ----------
    results
        The latest first.
    deliveries
        Of the latest result.
    measures
        Volumes, opacities and doubts of the latest result, as its report states them.
    """

    series: SeriesSummary
    steps: tuple[Step, ...]
    results: tuple[ResultSummary, ...]
    deliveries: tuple[DeliverySummary, ...]
    measures: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """A destination, and what waits for it.

    Attributes
    ----------
    protocol
        dicom, web, hl7 or fhir.
    states
        Number of deliveries in each state that is under way, declined or refused.
    oldest_at
        When the first of those under way was recorded.
    fault, next_try_at
        Reason of the latest that has one, and when it is tried next.
    paused
        Since when it gets nothing, and who has paused it; None if it is not paused.
    """

    name: str
    protocol: str
    enabled: bool
    states: Mapping[DeliveryState, int]
    oldest_at: datetime | None
    fault: str
    next_try_at: datetime | None
    paused: Paused | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """All destinations of the settings."""

    destinations: tuple[DestinationState, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderState:
    """What one sender has sent."""

    calling_ae: str
    series: int
    states: Mapping[SeriesState, int]
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Senders:
    """Who has sent in the latest days, and who was turned away."""

    days: int
    senders: tuple[SenderState, ...]
    refused: tuple[RefusalLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Files that cannot be read as instances; `files` counts all of them."""

    files: int
    counts: tuple[QuarantineCount, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What waiting for the end of series has cost: `dicom-node status --waiting`."""

    days: int
    senders: tuple[WaitLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeLine:
    """A change that was made at the console, or by a command."""

    at: datetime
    user: str
    action: str
    subject: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Changes, the latest first."""

    changes: tuple[ChangeLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLogin:
    """Logins that failed, of one user from one address for one reason, within an hour.

    Attributes
    ----------
    user
        Name of a user; empty for a name that nobody has, which is not kept.
    """

    user: str
    address: str
    reason: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLogins:
    """Failed logins, the latest first."""

    logins: tuple[FailedLogin, ...]
