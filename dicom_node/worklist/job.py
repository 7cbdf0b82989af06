"""Look now and then for work items that wait for this node, and go on with those that are ours."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydicom.uid import generate_uid

from dicom_node.delivery.backoff import Backoff
from dicom_node.logs import log
from dicom_node.network.association import Peer
from dicom_node.reception.header import PARSE_ERRORS
from dicom_node.resources import Resources
from dicom_node.worklist.decision import GoesOn, Stage, Verdict
from dicom_node.worklist.input_fetch import InputFetcher
from dicom_node.worklist.item import (
    WANTED_TAGS,
    Retrieval,
    Selection,
    in_order,
    inputs_of,
    named_series,
    search_keys,
)
from dicom_node.worklist.performer import BACKOFF, Performer
from dicom_node.worklist.ups_scu import ItemRefused, ManagerFailed, UpsManager, ups_manager
from storage.delivery.work_items import (
    WorkItemInput,
    WorkItemRow,
    known_work_items,
    open_work_items,
    record_claim,
)
from storage.errors import StaleState
from storage.states import WorkItemState

PART = "worklist"  #: in the condition of the node
LEFT_SECONDS = 300.0  #: until a work item that was not claimed, or broke off, is looked at again
LOOKS = 4  #: work items that are looked at for each that may be claimed


@dataclass(frozen=True, slots=True, kw_only=True)
class WorklistRules:
    """What the settings say of the worklist.

    Attributes
    ----------
    claims
        Whether further work items are claimed.
    maximum_claimed
        Most that are open at a time.
    every_seconds
        Between two questions for work items.
    """

    selection: Selection
    claims: bool
    maximum_claimed: int
    every_seconds: float


@dataclass(slots=True, kw_only=True)
class WorklistJob:
    """Job of the node that performs work items; nothing else waits for the manager.

    Attributes
    ----------
    manager
        Who is asked.
    fetcher
        Fetches images that are not here; None where they are sent.
    wake
        Called when a work item says which instances a series has: it may be complete.
    """

    resources: Resources
    rules: WorklistRules
    manager: Peer
    performer: Performer
    fetcher: InputFetcher | None = None
    wake: Callable[[], object] = bool
    steady: Callable[[], float] = time.monotonic
    _asked_at: float = field(default=-math.inf, init=False)
    _failures: int = field(default=0, init=False)
    _not_before: float = field(default=-math.inf, init=False)
    _left: dict[str, float] = field(default_factory=dict, init=False)
    """UIDs of work items that were looked at and not claimed, and until when they are left."""
    _is_stopping: bool = field(default=False, init=False)

    def take(self, retrievals: Mapping[str, Retrieval]) -> None:
        """Say from now on that results can be retrieved from elsewhere."""
        self.performer = replace(self.performer, retrievals=retrievals)

    def stop(self) -> None:
        """Begin nothing more."""
        self._is_stopping = True

    def run_once(self) -> None:
        """Tell the manager what is due, ask it for more, and fetch what is missing."""
        with self.resources.sessions.reading() as session:
            items = open_work_items(session)
        verdicts = {one.sop_instance_uid: self.performer.verdict(one) for one in items}
        due = [one for one in items if self.performer.is_due(one, verdicts[one.sop_instance_uid])]
        due.sort(key=lambda one: one.attempts)  # what the manager stumbles over comes last
        is_time = self.steady() - self._asked_at >= self.rules.every_seconds
        if (due or is_time) and self.steady() >= self._not_before:
            self._talk(items, due, verdicts, asks=is_time)
        if self.fetcher is not None:
            for series in _awaited(items, verdicts):
                if not self._is_stopping:
                    self.fetcher.fetch(series)

    def _talk(
        self,
        items: Sequence[WorkItemRow],
        due: Sequence[WorkItemRow],
        verdicts: Mapping[str, Verdict | None],
        *,
        asks: bool,
    ) -> None:
        """Do everything that one association is needed for; try later if the manager is away."""
        try:
            with ups_manager(self.manager, calling_ae=self.performer.ae_title) as manager:
                for item in due:
                    if not self._is_stopping:
                        self._act(manager, item, verdicts[item.sop_instance_uid])
                if asks:
                    self._asked_at = self.steady()
                    self._ask(manager, items, due)
        except ManagerFailed as fault:
            self._failures += 1
            wait = _away(self.rules.every_seconds).wait(self._failures)
            self._not_before = self.steady() + wait.total_seconds()
            if self.resources.health.fault(PART, str(fault)):
                log.warning("worklist_away", reason=str(fault))
            return
        self._failures = 0
        self.resources.health.well(PART)

    def _ask(
        self, manager: UpsManager, items: Sequence[WorkItemRow], told: Sequence[WorkItemRow]
    ) -> None:
        """Ask whether what is ours is still so, then for more."""
        for item in items:
            if (
                item.state is WorkItemState.CLAIMED
                and item not in told
                and not self.performer.is_resting(item)
            ):
                self._check(manager, item)
        with self.resources.sessions.reading() as session:
            room = self.rules.maximum_claimed - len(open_work_items(session))
        if not self.rules.claims or room <= 0:
            return
        uids = in_order(manager.find(search_keys(self.rules.selection)))
        with self.resources.sessions.reading() as session:
            known = known_work_items(session, uids)
        now = self.steady()
        self._left = {uid: until for uid, until in self._left.items() if now < until}
        new = [uid for uid in uids if uid not in known and uid not in self._left]
        for uid in new[: LOOKS * room]:
            if room > 0 and not self._is_stopping:
                room -= self._take(manager, uid)

    def _act(self, manager: UpsManager, item: WorkItemRow, verdict: Verdict | None) -> None:
        """Do the next step of a work item."""
        self._guarded(item, lambda: self.performer.act(manager, item, verdict))

    def _check(self, manager: UpsManager, item: WorkItemRow) -> None:
        """Ask whether a work item is still ours."""
        self._guarded(item, lambda: self.performer.check(manager, item))

    def _guarded(self, item: WorkItemRow, step: Callable[[], object]) -> None:
        """Do a step of one work item; if that fails this one is postponed, not the others."""
        try:
            step()
        except ManagerFailed as fault:
            self.performer.postpone(item, str(fault))
            self._failures = 0  # it was there: the others' turn comes soon
            raise
        except (ValueError, StaleState, *PARSE_ERRORS) as fault:
            self.performer.postpone(item, type(fault).__name__)

    def _take(self, manager: UpsManager, uid: str) -> bool:
        """Claim a work item if it is for us; what cannot be read is left to others."""
        self._left[uid] = self.steady() + LEFT_SECONDS
        try:
            ds = manager.get(uid, WANTED_TAGS)
            if ds is None or not self.rules.selection.fits(ds):
                return False
            named = named_series(ds)
        except (ItemRefused, *PARSE_ERRORS) as fault:
            log.warning("workitem_left", workitem_uid=uid, reason=type(fault).__name__)
            return False
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            record_claim(session, uid, str(generate_uid(prefix=None)), inputs_of(named), now)
            (item,) = [one for one in open_work_items(session) if one.sop_instance_uid == uid]
        self._act(manager, item, None)
        self.wake()
        return True


def _awaited(
    items: Sequence[WorkItemRow], verdicts: Mapping[str, Verdict | None]
) -> list[WorkItemInput]:
    """List the series of work items of ours whose images are not here."""
    return [
        series
        for item in items
        if verdicts[item.sop_instance_uid] == GoesOn(Stage.AWAITED)
        for series in item.inputs
    ]


def _away(every_seconds: float) -> Backoff:
    """Give the waits for a manager that is away: never so long as to seem dead."""
    return Backoff(
        first_seconds=min(every_seconds, BACKOFF.first_seconds),
        factor=BACKOFF.factor,
        max_seconds=max(300.0, every_seconds),
        give_up_after=BACKOFF.give_up_after,
    )
