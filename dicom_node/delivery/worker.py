"""Deliver the objects in the outbox: one worker for each destination, so that none waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from dicom_node.audit.decisions import Decided
from dicom_node.audit.messages import sent
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.capabilities import SERVICES, record_probe
from dicom_node.delivery.commitment.request import CommitmentRequester
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.sender import Sender
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import ResultKind
from storage.delivery.commitments import accept_uncommitted
from storage.delivery.outbox import (
    DueDelivery,
    Settlement,
    claim,
    due,
    put_back,
    settle,
)
from storage.delivery.overtaken import end_overtaken
from storage.delivery.pauses import is_paused
from storage.delivery.series_completion import has_arrived
from storage.errors import StorageError
from storage.files.folder_fault import storage_fault
from storage.results.audit_counts import results_of
from storage.results.to_tell import reference_of
from storage.states import DeliveryState

BATCH = 500  #: most objects claimed at once

EVENTS = {
    DeliveryState.ACCEPTED: "delivery_accepted",
    DeliveryState.UNCOMMITTED: "delivery_accepted",
    DeliveryState.PENDING: "delivery_postponed",
    DeliveryState.DECLINED: "delivery_declined",
    DeliveryState.REFUSED: "delivery_refused",
}
ENDS = {
    Verdict.ACCEPTED: DeliveryState.ACCEPTED,
    Verdict.UNSUPPORTED: DeliveryState.DECLINED,
    Verdict.REFUSED: DeliveryState.REFUSED,
}


@dataclass(slots=True)
class _Batch:
    """Outcomes of what was claimed together.

    Attributes
    ----------
    settled
        Number of objects for each state and reason.
    accepted
        What the destination has taken.
    general
        Refusals that are not about the object: to be settled when it is known whether the
        destination takes anything.
    takes_others
        Whether it has taken, or refused for what is in it, any object.
    """

    settled: Counter[tuple[DeliveryState, str]] = field(default_factory=Counter)
    accepted: list[DueDelivery] = field(default_factory=list)
    general: list[tuple[DueDelivery, Outcome]] = field(default_factory=list)
    takes_others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """How objects get to a destination.

    Attributes
    ----------
    sender
        Sends objects to it.
    requester
        Requests its commitment to the objects it accepted; None if acceptance is enough.
    latest_only
        Whether it keeps the latest report of a series alone: an older one is not sent after it.
    notices_only
        Whether results are withheld, and only notices that a series was not analysed leave.
    """

    sender: Sender
    backoff: Backoff
    requester: CommitmentRequester | None = None
    latest_only: bool = False
    notices_only: bool = False


class DeliveryWorker:
    """Delivers to one destination.

    Parameters
    ----------
    name
        Name of the destination in the settings and in the outbox.
    sender, backoff, requester, latest_only
        As in `Route`.
    """

    def __init__(
        self,
        name: str,
        sender: Sender,
        *,
        backoff: Backoff,
        resources: Resources,
        requester: CommitmentRequester | None = None,
        latest_only: bool = False,
    ) -> None:
        self.name = name
        self._route = Route(
            sender=sender,
            backoff=backoff,
            requester=requester,
            latest_only=latest_only,
        )
        self._follow_route()
        self._resources = resources
        self._sessions, self._clock = resources.sessions, resources.clock
        self._folder = resources.folder
        self._stopping = False
        self._was_paused = False
        self._logged_declined: set[str] = set()
        self._claimed: frozenset[int] = frozenset()  #: by the latest claim

    def stop(self) -> None:
        """Send nothing more; deliveries that were claimed are put back."""
        self._stopping = True

    def take(self, route: Route) -> None:
        """Take another route from the next claim on; a worker that was stopped goes on."""
        self._route, self._stopping = route, False

    def _follow_route(self) -> None:
        route = self._route
        self._sender, self._backoff, self._requester = route.sender, route.backoff, route.requester
        self._latest_only, self._notices_only = route.latest_only, route.notices_only

    def probe(self) -> None:
        """Ask the destination which SOP classes it accepts, and record its answer, if any.

        One that is paused is asked when it is resumed.
        """
        if self._is_paused():
            return
        self._follow_route()
        try:
            answers = self._sender.probe()
        except NodeError as fault:
            log.info("destination_not_probed", destination=self.name, reason=str(fault))
            return
        if answers is None:
            reason = "it is reached by what has no such question"
            log.info("destination_not_probed", destination=self.name, reason=reason)
        else:
            record_probe(self.name, answers, self._resources)

    def run_once(self) -> None:
        """Deliver all objects that are due, and request commitment to those accepted.

        A destination that is paused gets neither.

        If the database could not be written half-way, the next run goes on where this one ended;
        objects sent meanwhile are sent again, which destinations must accept.
        """
        if storage_fault(self._folder):  # every file would count as missing
            return
        self._put_back()
        if self._stopping or self._stays_paused():
            return
        self._follow_route()
        while not self._stopping and (deliveries := self._claim()):
            if not self._deliver(deliveries):
                break
        if self._requester is None:
            with self._sessions.begin() as session:
                accept_uncommitted(session, self.name, "", self._clock())
        elif not self._stopping and not self._is_paused():
            self._requester.run_once()

    def _is_withheld(self) -> bool:
        """Say whether results are withheld since what is sent was claimed."""
        return self._route.notices_only and not self._notices_only

    def _is_paused(self) -> bool:
        with self._sessions.reading() as session:
            return is_paused(session, self.name)

    def _stays_paused(self) -> bool:
        """Say whether the destination is paused; log it once, and ask one that was resumed."""
        paused = self._is_paused()
        if paused is not self._was_paused:
            self._was_paused = paused
            log.info(
                "destination_paused" if paused else "destination_resumed", destination=self.name
            )
            if not paused:
                self.probe()
        return paused

    def _put_back(self) -> None:
        if self._claimed:
            with self._sessions.begin() as session:
                put_back(session, self._claimed, self._clock())
            self._claimed = frozenset()

    def _claim(self) -> list[DueDelivery]:
        self._follow_route()
        now, longest = self._clock(), self._backoff.longest
        with self._sessions.begin() as session:
            if is_paused(session, self.name):
                return []
            kinds = (ResultKind.NOTICE,) if self._notices_only else ()
            found = due(session, self.name, now, BATCH, longest_wait=longest, kinds=kinds)
            claimed = to_send = claim(session, found)
            if self._latest_only:
                to_send = end_overtaken(session, claimed, now)
        if overtaken := len(claimed) - len(to_send):
            log.info("delivery_overtaken", destination=self.name, objects=overtaken)
        self._claimed = frozenset(delivery.id for delivery in to_send)
        return to_send

    def _deliver(self, deliveries: list[DueDelivery]) -> bool:
        """Send what was claimed; False if some of it is postponed, or put back."""
        sent_now = _Batch()
        try:
            is_put_back = self._attempt(deliveries, sent_now)
        finally:
            self._record(sent_now.accepted)
        self._log(sent_now.settled)
        self._audit(sent_now.accepted)
        is_postponed = any(state is DeliveryState.PENDING for state, _ in sent_now.settled)
        return not is_postponed and not is_put_back

    def _attempt(self, deliveries: list[DueDelivery], sent_now: _Batch) -> bool:
        """Send what was claimed, and settle it; True if some is put back, as it must not leave."""
        waiting = {self._folder.locate(delivery.path): delivery for delivery in deliveries}
        why = self._send(waiting, sent_now)
        is_put_back = bool(waiting) and (self._is_withheld() or self._is_paused())
        if is_put_back:
            self._put_back()
            waiting.clear()
            sent_now.general.clear()
        for delivery in waiting.values():
            self._enter(delivery, Outcome(verdict=Verdict.POSTPONED, detail=why), sent_now)
        if sent_now.general and not sent_now.takes_others:
            sent_now.takes_others = self._takes_others(sent_now.general)
        for delivery, outcome in sent_now.general:
            postponed = replace(outcome, verdict=Verdict.POSTPONED)
            self._enter(delivery, outcome if sent_now.takes_others else postponed, sent_now)
        return is_put_back

    def _send(self, waiting: dict[Path, DueDelivery], sent_now: _Batch) -> str:
        """Send, and settle what is answered; return why the rest waits."""
        try:
            with closing(self._outcomes(waiting)) as outcomes:
                for file, answered in outcomes:
                    delivery = waiting.pop(file.path)
                    outcome = self._or_folder_away(answered)
                    if outcome.about_object:
                        self._enter(delivery, outcome, sent_now)
                    else:
                        sent_now.general.append((delivery, outcome))
                    if self._stopping or self._is_withheld() or self._is_paused():
                        break
        except StorageError:
            raise
        except Exception as fault:  # noqa: BLE001  # library border: what waits must be settled
            log.exception("job_failed", job=f"deliver:{self.name}")
            return f"sending broke off ({type(fault).__name__}), see the log"
        return "sending was stopped"

    def _enter(self, delivery: DueDelivery, outcome: Outcome, sent_now: _Batch) -> None:
        settlement = self._settle(delivery, outcome)
        sent_now.settled[settlement.state, settlement.reason] += 1
        if outcome.verdict is Verdict.ACCEPTED:
            sent_now.accepted.append(delivery)
        if outcome.status is not None and outcome.verdict in {Verdict.ACCEPTED, Verdict.REFUSED}:
            sent_now.takes_others = True

    def _takes_others(self, refused: list[tuple[DueDelivery, Outcome]]) -> bool:
        """Say whether the destination takes other objects than those that it has just refused.

        One that takes none of ours is out of order, or not the one that is meant: nothing is
        refused for that. Where it negotiates what it takes it is asked, else counts what of the
        same results has arrived.
        """
        if all(outcome.status is not None for _, outcome in refused):
            with self._sessions() as session:
                keys = {delivery.result_key for delivery, _ in refused}
                return has_arrived(session, self.name, keys)
        try:
            answers = self._sender.probe()
        except NodeError:
            return False
        if answers is None:
            return False
        record_probe(self.name, answers, self._resources)
        return any(answer.is_accepted for answer in answers if answer.sop_class_uid not in SERVICES)

    def _outcomes(
        self, waiting: dict[Path, DueDelivery]
    ) -> Generator[tuple[OutgoingFile, Outcome]]:
        files = [
            OutgoingFile(
                path=path,
                sop_class_uid=delivery.sop_class_uid,
                transfer_syntax_uid=delivery.transfer_syntax_uid,
            )
            for path, delivery in waiting.items()
        ]
        return self._sender.send(files)

    def _or_folder_away(self, outcome: Outcome) -> Outcome:
        """Postpone what was judged without an answer while the storage folder is away."""
        away = "" if outcome.status is not None else storage_fault(self._folder)
        return Outcome(verdict=Verdict.POSTPONED, detail=away) if away else outcome

    def _settle(self, delivery: DueDelivery, outcome: Outcome) -> Settlement:
        now = self._clock()
        settlement = settlement_for(delivery, outcome, self._backoff, now)
        if self._requester is not None and settlement.state is DeliveryState.ACCEPTED:
            settlement = replace(
                settlement,
                state=DeliveryState.UNCOMMITTED,
                next_at=now + self._requester.first_after,
            )
        with self._sessions.begin() as session:
            settle(session, [settlement], now)
        log.debug(
            "delivery_settled",
            destination=self.name,
            kind=delivery.kind,
            sop_instance_uid=delivery.sop_instance_uid,
            attempt=delivery.attempts,
            status=outcome.status,
            state=settlement.state.value,
        )
        return settlement

    def _audit(self, accepted: list[DueDelivery]) -> None:
        if accepted:
            with self._sessions() as session:
                studies = results_of(session, [one.sop_instance_uid for one in accepted])
            self._resources.audit.record(sent(self.name, studies))

    def _record(self, accepted: list[DueDelivery]) -> None:
        """Record what was accepted in the log of decisions, whatever comes after it."""
        for key in dict.fromkeys(one.result_key for one in accepted):
            kinds = Counter(one.kind for one in accepted if one.result_key == key)
            facts = {"destination": self.name, "result": reference_of(key), "objects": kinds}
            self._resources.decisions.record(Decided.SENT, facts)

    def _log(self, settled: Counter[tuple[DeliveryState, str]]) -> None:
        """Log one line for all objects with the same outcome.

        A declined SOP class is logged once: it stays so until somebody changes the destination.
        """
        for (state, reason), objects in settled.items():
            is_plain = EVENTS[state] == "delivery_accepted" and not reason
            write = log.info if is_plain else log.warning
            if state is DeliveryState.DECLINED and reason in self._logged_declined:
                write = log.debug
            write(EVENTS[state], destination=self.name, objects=objects, reason=reason)
        declined = {reason for state, reason in settled if state is DeliveryState.DECLINED}
        if declined - self._logged_declined:
            self._logged_declined |= declined
            self.probe()


def settlement_for(
    delivery: DueDelivery, outcome: Outcome, backoff: Backoff, now: datetime
) -> Settlement:
    """Turn an outcome into a settlement: a final state, or another attempt before the deadline."""
    end = ENDS.get(outcome.verdict)
    if end is not None:
        return Settlement(id=delivery.id, state=end, reason=outcome.detail)
    next_at = backoff.next_try(
        attempts=delivery.attempts,
        first_at=min(delivery.first_at, now),  # else the clock was put back
        now=now,
        key=delivery.result_key,
    )
    if next_at is None:
        hours = backoff.give_up_after / timedelta(hours=1)
        reason = f"given up after {hours:g} h: {outcome.detail}"  # the same for all of a result
        return Settlement(id=delivery.id, state=DeliveryState.REFUSED, reason=reason)
    return Settlement(
        id=delivery.id,
        state=DeliveryState.PENDING,
        reason=outcome.detail,
        next_at=next_at,
        unanswered=outcome.verdict is Verdict.UNANSWERED
        or (delivery.unanswered and outcome.status is None),
    )
