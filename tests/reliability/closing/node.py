"""The node's part of the simulation: the product's own judgement, on a simulated clock."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

from dicom_node.closing.archive_counts import ArchiveCounts, Question
from dicom_node.closing.decision import (
    SETTLED_SECONDS,
    ClosingRules,
    Ends,
    SeriesEvidence,
    decide,
    is_weaker,
)
from dicom_node.closing.header_stack import header_stack
from dicom_node.health import Health
from dicom_node.network.association import Peer
from dicom_node.network.query_scu import QueryFailed
from pipeline.reasons import ClosedBy
from pipeline.scan_quality.lung_ends import ends_outside_lungs
from tests.reliability.closing.others import Others
from tests.reliability.closing.scanner import Transfer

TICK_SECONDS = 1.0
RULES = ClosingRules(quiet_seconds=60.0, regular_seconds=5.0)
MIN_SLICES, MIN_COVERAGE_MM = 30, 150.0
ARCHIVE = Peer(ae_title="ARCHIVE", host="127.0.0.1", port=1)


class AtOnce(Executor):
    """Runs everything in the caller's thread."""

    def submit(  # type: ignore[override]  # its results are not asked for
        self, function: Callable[..., object], /, *arguments: object, **options: object
    ) -> Future[object]:
        future: Future[object] = Future()
        future.set_result(function(*arguments, **options))
        return future


@dataclass(frozen=True, kw_only=True)
class Closing:
    """How a series was closed.

    Attributes
    ----------
    is_weaker
        By a proof that says nothing of what may still come.
    waited
        Since the latest image, s.
    missing
        Images that came after it.
    """

    by: ClosedBy
    is_weaker: bool
    waited: float
    missing: int


class SimulatedNode:
    """Receives one series, and closes it."""

    def __init__(self, transfer: Transfer, others: Others, *, is_old: bool) -> None:
        self._transfer, self._others, self._is_old = transfer, others, is_old
        self.now = 0.0
        self._received = 0
        self._times = [arrival.at for arrival in transfer.arrivals]
        self._judged = SeriesEvidence(instances=frozenset(), quiet_seconds=0.0)
        self._associations: set[int] = set()  #: by which came what is here
        self._counts = ArchiveCounts(
            {"*": ARCHIVE},
            self._count,
            lambda _: self._received,
            Health(),
            steady=lambda: self.now,
            executor=AtOnce(),
        )

    def closing(self, draw: random.Random) -> Closing:
        """Run until the series is closed."""
        arrivals = self._transfer.arrivals
        first = arrivals[0]
        self.now, self._received = first.at, 1
        self._ask(1)
        self.now += draw.uniform(0, TICK_SECONDS)
        while True:
            self._received = bisect_right(self._times, self.now)
            latest = arrivals[self._received - 1].at
            evidence = self._evidence(self.now - latest)
            decision = decide(evidence, RULES)
            if decision.closed_by is not None:
                return Closing(
                    by=decision.closed_by,
                    is_weaker=is_weaker(decision.closed_by, evidence),
                    waited=self.now - latest,
                    missing=len(arrivals) - self._received,
                )
            self.now += TICK_SECONDS

    def _evidence(self, quiet: float) -> SeriesEvidence:
        if quiet < SETTLED_SECONDS:
            return SeriesEvidence(instances=frozenset(), quiet_seconds=quiet)
        counted = self._counts.counted("9", self._received)
        if counted is None or not counted.is_confirmed:
            self._ask(self._received)
            counted = self._counts.counted("9", self._received)
        closed = (self._transfer.associations[number].closed for number in self._associations)
        return replace(
            self._here(),
            quiet_seconds=quiet,
            is_being_sent=any(at > self.now for at in closed),
            named=self._others.named(self.now, self.now - quiet),
            counted=counted,
        )

    def _here(self) -> SeriesEvidence:
        """Judge what is here, once for as long as nothing comes."""
        if len(self._judged.instances) == self._received:
            return self._judged
        here = self._transfer.arrivals[: self._received]
        self._associations = {arrival.association for arrival in here}
        images = [arrival.image for arrival in here]
        stack = header_stack(
            [image.held for image in images],
            min_slices=MIN_SLICES,
            min_coverage_mm=MIN_COVERAGE_MM,
        )
        shares = {image.held.path: image.share for image in images}
        ends = Ends.UNKNOWN
        if stack.looked_at:
            outside = ends_outside_lungs([shares[path] for path in stack.looked_at])
            ends = Ends.OUTSIDE if outside else Ends.INSIDE
        self._judged = SeriesEvidence(
            instances=frozenset(image.held.sop_instance_uid for image in images),
            quiet_seconds=0.0,
            is_of_earlier_day=self._is_old,
            is_whole_chest=stack.is_whole_chest,
            is_regular=stack.is_regular,
            announced=stack.announced,
            images=stack.images,
            ends=ends,
        )
        return self._judged

    def _ask(self, held: int) -> None:
        self._counts.ask(
            Question(series_instance_uid="9", study_instance_uid="8", calling_ae="CT1", held=held)
        )

    def _count(self, peer: Peer, question: Question) -> int | None:
        count = self._others.count(self.now)
        if count is None:
            raise QueryFailed("no answer")
        return count
