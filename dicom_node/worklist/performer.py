"""Take work items from step to step, and tell the manager; every step can be repeated.

What cannot be asked for again is in the database before it is sent: the Transaction UID of a claim,
and the end that was decided. A node that ends between any two steps goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydicom import Dataset

from dicom_node.delivery.backoff import Backoff
from dicom_node.logs import log
from dicom_node.network.status_codes import ALREADY_IN_PROGRESS
from dicom_node.resources import Resources
from dicom_node.worklist.decision import (
    DISCONTINUATIONS,
    FAILURE,
    Canceled,
    Completed,
    GoesOn,
    Reaction,
    Stage,
    Verdict,
    judge,
    reaction_to,
    reaction_to_claim,
)
from dicom_node.worklist.item import (
    CANCELED,
    COMPLETED,
    IN_PROGRESS,
    SCHEDULED,
    STATE_TAGS,
    WANTED_TAGS,
    Retrieval,
    discontinuation,
    performance,
    progress,
    state_of,
)
from dicom_node.worklist.ups_scu import ItemRefused, UpsManager
from storage.delivery.named_instances import keep_named
from storage.delivery.work_item_inputs import ArrivedObject, arrived_objects, input_states
from storage.delivery.work_items import (
    OPEN,
    WorkItemRow,
    advance_work_item,
    postpone_work_item,
    record_told,
    withdraw_claim,
)
from storage.states import WorkItemState

W = WorkItemState

BACKOFF = Backoff(
    first_seconds=10.0, factor=2.0, max_seconds=900.0, give_up_after=timedelta(hours=72)
)
"""Between two tries of a step that the manager refuses; then the work item is given up."""
ENDS = {W.COMPLETING: (COMPLETED, W.COMPLETED), W.CANCELING: (CANCELED, W.CANCELED)}
"""By what is to be told: Procedure Step State, and state of ours once the manager has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performer:
    """Performs work items.

    Attributes
    ----------
    retrievals
        From where results can be retrieved, by destination.
    longest
        Between a claim and its end.
    manager_ae
        AE title of the manager.
    """

    resources: Resources
    ae_title: str
    manager_ae: str
    retrievals: Mapping[str, Retrieval]
    longest: timedelta

    def verdict(self, item: WorkItemRow) -> Verdict | None:
        """Decide what becomes of a work item; None if that is decided, or it is not ours yet."""
        if item.state is not W.CLAIMED:
            return None
        is_cancel_requested = item.cancel_requested_at is not None
        return self._judged(item, self.resources.clock(), is_cancel_requested=is_cancel_requested)

    def _judged(self, item: WorkItemRow, now: datetime, *, is_cancel_requested: bool) -> Verdict:
        with self.resources.sessions.reading() as session:
            found = input_states(session, item.inputs)
        return judge(
            item.inputs,
            found,
            has_arrived=bool(self._outputs(item)),
            is_cancel_requested=is_cancel_requested,
            waited=now - item.claimed_at,
            longest=self.longest,
        )

    def is_due(self, item: WorkItemRow, verdict: Verdict | None) -> bool:
        """Tell whether the manager is to be told something now."""
        if self.is_resting(item):
            return False
        return not isinstance(verdict, GoesOn) or verdict.stage != item.told

    def is_resting(self, item: WorkItemRow) -> bool:
        """Tell whether the manager refused a step of a work item a short while ago."""
        now = self.resources.clock()
        return bool(item.attempts) and now < item.next_at <= now + BACKOFF.longest

    def act(self, manager: UpsManager, item: WorkItemRow, verdict: Verdict | None) -> None:
        """Do the next step of a work item.

        Raises
        ------
        ManagerFailed
            If the manager does not answer; the step is done again.
        """
        if item.state is W.CLAIMING:
            self._claim(manager, item)
        elif isinstance(verdict, GoesOn):
            self._tell(manager, item, verdict.stage)
        elif isinstance(verdict, Completed):
            self._end(manager, self._advanced(item, W.COMPLETING))
        elif isinstance(verdict, Canceled):
            code, reason = verdict.code.value, verdict.reason
            self._end(manager, self._advanced(item, W.CANCELING, code=code, reason=reason))
        else:
            self._end(manager, item)

    def confirm(self, manager: UpsManager, item: WorkItemRow) -> bool:
        """Ask the manager whether a work item is still in progress; it is lost if not.

        Raises
        ------
        ManagerFailed
            If the manager does not answer.
        """
        try:
            ds = manager.get(item.sop_instance_uid, STATE_TAGS)
        except ItemRefused as refused:
            self.postpone(item, str(refused))
            return False
        if ds is not None and state_of(ds) == IN_PROGRESS:
            return True
        self._lose(item, _as_it_is(None if ds is None else state_of(ds)))
        return False

    def check(self, manager: UpsManager, item: WorkItemRow) -> None:
        """Confirm that a work item is ours; then what the manager refused before is over.

        Raises
        ------
        ManagerFailed
            If the manager does not answer.
        """
        if self.confirm(manager, item) and item.attempts:
            with self.resources.sessions.begin() as session:
                record_told(session, item.sop_instance_uid, item.told)

    def _claim(self, manager: UpsManager, item: WorkItemRow) -> None:
        """Claim a work item, perhaps not for the first time."""
        uid = item.sop_instance_uid
        status = manager.change_state(uid, item.transaction_uid, IN_PROGRESS)
        if status == ALREADY_IN_PROGRESS:  # ours, if the answer to an earlier claim was lost
            status = manager.set(uid, progress(item, Stage.AWAITED))
        reaction = reaction_to_claim(status)
        reason = f"the manager answered 0x{status:04X} to the claim"
        if reaction is Reaction.LATER and self._is_free(manager, uid):
            with self.resources.sessions.begin() as session:
                withdraw_claim(session, uid)
            log.warning("workitem_left", workitem_uid=uid, reason=reason)
            return
        if reaction is not Reaction.DONE:
            self._react(item, reaction, reason)
            return
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            advance_work_item(session, item, W.CLAIMED, now)
            not_kept = keep_named(session, item, self.manager_ae, now)
        if not_kept:
            log.warning("workitem_left", workitem_uid=uid, reason=not_kept)
        log.info("workitem_claimed", workitem_uid=uid, series=len(item.inputs))
        answer = manager.subscribe(uid, self.ae_title)  # without it the work item goes on as well
        if answer is None or reaction_to(answer) is not Reaction.DONE:
            log.info("workitem_not_subscribed", workitem_uid=uid, status=answer)

    def _is_free(self, manager: UpsManager, uid: str) -> bool:
        """Tell whether the manager shows that nobody has claimed a work item."""
        try:
            ds = manager.get(uid, STATE_TAGS)
        except ItemRefused:
            return False
        return ds is not None and state_of(ds) == SCHEDULED

    def _tell(self, manager: UpsManager, item: WorkItemRow, stage: Stage) -> None:
        """Tell how far a work item is."""
        status = manager.set(item.sop_instance_uid, progress(item, stage))
        reaction = reaction_to(status)
        if reaction is Reaction.DONE:
            with self.resources.sessions.begin() as session:
                record_told(session, item.sop_instance_uid, int(stage))
        elif reaction is Reaction.LOST or self.confirm(manager, item):
            self._react(item, reaction, f"the manager answered 0x{status:04X} to its progress")

    def _end(self, manager: UpsManager, item: WorkItemRow) -> None:
        """Tell the end of a work item, unless the manager has it already."""
        ds = self._still_ours(manager, item)
        decided = item if ds is None else self._reconsidered(item)
        if ds is None or decided is None:
            return
        uid, (state, done) = decided.sop_instance_uid, ENDS[decided.state]
        status = manager.set(uid, self._told_of_end(decided, ds))
        if reaction_to(status) is Reaction.DONE:
            status = manager.change_state(uid, decided.transaction_uid, state)
        reaction = reaction_to(status)
        if reaction is Reaction.DONE:
            self._advanced(decided, done)
        else:
            self._react(decided, reaction, f"the manager answered 0x{status:04X} to {state}")

    def _still_ours(self, manager: UpsManager, item: WorkItemRow) -> Dataset | None:
        """Get a work item whose end is to be told; None if it is not to be told now."""
        state, done = ENDS[item.state]
        try:
            ds = manager.get(item.sop_instance_uid, WANTED_TAGS)
        except ItemRefused as refused:
            self.postpone(item, str(refused))
            return None
        has = None if ds is None else state_of(ds)
        if has == IN_PROGRESS:
            return ds
        if has == state:
            self._advanced(item, done)
        else:
            self._lose(item, _as_it_is(has))
        return None

    def _reconsidered(self, item: WorkItemRow) -> WorkItemRow | None:
        """Look once more at what is to be completed: results may have gone, or are made anew.

        None if it waits for them.
        """
        if item.state is not W.COMPLETING:
            return item
        verdict = self._judged(item, item.since, is_cancel_requested=False)
        if isinstance(verdict, GoesOn):
            self.postpone(item, f"not all results are there any more: {verdict.stage.words}")
            return None
        if isinstance(verdict, Canceled):
            code, reason = verdict.code.value, verdict.reason
            return self._advanced(item, W.CANCELING, code=code, reason=reason)
        return item

    def _outputs(self, item: WorkItemRow) -> list[ArrivedObject]:
        """List the results of a work item that can be retrieved from somewhere."""
        uids = [one.series_instance_uid for one in item.inputs]
        with self.resources.sessions.reading() as session:
            return arrived_objects(session, uids, self.retrievals)

    def _told_of_end(self, item: WorkItemRow, ds: Dataset) -> Dataset:
        """Make what the manager is told before a work item ends."""
        now = self.resources.clock()
        if item.state is W.CANCELING:
            return discontinuation(item, DISCONTINUATIONS[item.code], now)
        outputs = self._outputs(item)
        return performance(item, ds, outputs, self.retrievals, ae_title=self.ae_title, now=now)

    def _react(self, item: WorkItemRow, reaction: Reaction, reason: str) -> None:
        if reaction is Reaction.LOST:
            self._lose(item, reason)
        else:
            self.postpone(item, reason)

    def _lose(self, item: WorkItemRow, reason: str) -> None:
        self._advanced(item, W.LOST, reason=reason)

    def postpone(self, item: WorkItemRow, reason: str) -> None:
        """Have a step tried again later: progress for ever, a claim or an end for three days."""
        now, attempts = self.resources.clock(), item.attempts + 1
        next_at = BACKOFF.next_try(
            attempts=attempts, first_at=item.since, now=now, key=item.sop_instance_uid
        )
        if next_at is None and item.state is W.COMPLETING:  # none stays in our name
            self._advanced(item, W.CANCELING, code=FAILURE.value, reason=f"given up: {reason}")
            return
        if next_at is None and item.state is not W.CLAIMED:
            self._lose(item, f"given up: {reason}")
            return
        next_at = next_at or now + BACKOFF.longest
        with self.resources.sessions.begin() as session:
            postpone_work_item(session, item.sop_instance_uid, next_at)
        log.warning("workitem_postponed", workitem_uid=item.sop_instance_uid, reason=reason)

    def _advanced(
        self, item: WorkItemRow, new: WorkItemState, *, code: str = "", reason: str = ""
    ) -> WorkItemRow:
        """Enter a new state of a work item; return it as it is then."""
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            advance_work_item(session, item, new, now, reason=reason, code=code)
        if new not in OPEN:
            log.info(
                "workitem_ended",
                workitem_uid=item.sop_instance_uid,
                state=new,
                reason=reason or item.reason,
            )
        return replace(
            item,
            state=new,
            since=now,
            attempts=0,
            next_at=now,
            code=code or item.code,
            reason=reason or item.reason,
        )


def _as_it_is(state: str | None) -> str:
    if state is None:
        return "the manager does not know it any more"
    return f"the manager has it as {state[:16] or 'nothing'}"
