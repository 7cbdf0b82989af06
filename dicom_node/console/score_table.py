"""Stored scores in memory, as columns: a trial of a threshold reads no rows but the latest."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from storage.console.scores import Choice, StoredScore, stored_scores
from storage.database.sessions import Sessions

LONGEST = timedelta(days=366)  #: that a trial looks back
OVERLAP = timedelta(minutes=10)  #: by which a result may be told of later than it was made
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Scores of series; arrays of the same length.

    Attributes
    ----------
    series
        Their UIDs.
    last_at
        Of the latest instance, seconds since 1970.
    senders, scanners, kernels, models
        By their numbers in `numbers`.
    """

    series: np.ndarray
    last_at: np.ndarray
    senders: np.ndarray
    scanners: np.ndarray
    kernels: np.ndarray
    models: np.ndarray
    scores: np.ndarray
    numbers: dict[str, int]

    @property
    def first_at(self) -> datetime | None:
        """When the first of the series came; None without any."""
        return datetime.fromtimestamp(self.last_at.min(), UTC) if len(self.last_at) else None

    def chosen(self, choice: Choice) -> Columns:
        """Give the columns of the series that are asked for."""
        wanted = self.last_at >= choice.since.timestamp()
        for column, text in (
            (self.senders, choice.sender),
            (self.scanners, choice.scanner),
            (self.kernels, choice.kernel),
            (self.models, choice.model),
        ):
            if text:
                wanted &= column == self.numbers.get(text, -1)
        return self._of(wanted)

    def latest(self, marked: np.ndarray, most: int) -> list[str]:
        """Name the latest of the series that are marked in an array of bool, one for each."""
        found = self._of(marked)
        latest = np.argsort(-found.last_at, kind="stable")[:most]
        return [str(uid) for uid in found.series[latest]]

    def _of(self, rows: np.ndarray) -> Columns:
        return Columns(
            series=self.series[rows],
            last_at=self.last_at[rows],
            senders=self.senders[rows],
            scanners=self.scanners[rows],
            kernels=self.kernels[rows],
            models=self.models[rows],
            scores=self.scores[rows],
            numbers=self.numbers,
        )


class ScoreTable:
    """Keeps the stored scores of a year; for any thread.

    Parameters
    ----------
    clock
        Gives the time.
    """

    def __init__(self, sessions: Sessions, clock: Callable[[], datetime]) -> None:
        self._sessions, self._clock = sessions, clock
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[float, ...]] = {}
        self._numbers: dict[str, int] = defaultdict(lambda: len(self._numbers))
        self._columns = self._made()
        self._read_at = NEVER

    def columns(self) -> Columns:
        """Give the columns as they are now: only what was made since the last time is read.

        Raises
        ------
        StorageError
            If the database is away.
        """
        now = self._clock()
        if self._read_at == NEVER or now < self._read_at - OVERLAP:  # a clock was set back
            self.reload()
        with self._lock:
            found = self._stored(self._read_at - OVERLAP)
            self._read_at = max(self._read_at, now)
            read = {row.series_instance_uid: self._values(row) for row in found}
            if any(self._rows.get(uid) != row for uid, row in read.items()):
                self._rows = _scored(self._rows | read)
                self._columns = self._made()
            return self._columns

    def reload(self) -> None:
        """Read all of it anew, so that what was erased is gone; nobody waits for the reading.

        Raises
        ------
        StorageError
            If the database is away.
        """
        now = self._clock()
        found = self._stored(now - LONGEST)
        with self._lock:
            self._rows = _scored({row.series_instance_uid: self._values(row) for row in found})
            self._columns, self._read_at = self._made(), now

    def _stored(self, since: datetime) -> list[StoredScore]:
        with self._sessions.reading() as session:
            return stored_scores(session, since)

    def _values(self, row: StoredScore) -> tuple[float, ...] | None:
        """Give the row of a series in the columns; None if it has no score."""
        number = self._numbers
        if row.score is None:
            return None
        return (
            row.last_at.timestamp(),
            number[row.calling_ae],
            number[row.scanner],
            number[row.kernel],
            number[row.model],
            row.score,
        )

    def _made(self) -> Columns:
        table = np.array(list(self._rows.values()), float).reshape(-1, 6)
        last_at, senders, scanners, kernels, models, scores = table.T.copy()
        return Columns(
            series=np.array(list(self._rows), object),
            last_at=last_at,
            senders=senders,
            scanners=scanners,
            kernels=kernels,
            models=models,
            scores=scores,
            numbers=dict(self._numbers),
        )


def _scored(rows: Mapping[str, tuple[float, ...] | None]) -> dict[str, tuple[float, ...]]:
    return {uid: row for uid, row in rows.items() if row is not None}
