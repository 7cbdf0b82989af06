"""Run self-tests: send the synthetic series to our own port, wait for its end, judge, clean up."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import send
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.maintenance.stored_data import remove
from dicom_node.network.association import Peer
from dicom_node.resources import Resources
from dicom_node.self_test.case import SPEC, self_test_datasets
from dicom_node.self_test.judgement import Figures, Judgement, basis_of, expectation, judge
from dicom_node.self_test.schedule import ENDED, PART, SelfTestRules, end_of, fault_of, is_due
from pipeline.synthetic.phantom.dicom import write_series
from storage.database.self_test_series import self_test_series
from storage.database.sessions import Session
from storage.errors import StorageError
from storage.files.removal_lock import may_remove
from storage.files.self_test_mark import draw_self_test_uid
from storage.results.self_tests import (
    SelfTestOutcome,
    SelfTestRun,
    begin_self_test,
    cancel_self_tests,
    end_self_test,
    first_passed,
    latest_passed,
    latest_self_tests,
    request_self_test,
    requested_self_test,
    self_test,
)
from storage.states import SelfTestState

STOPPED = "the node was stopped meanwhile"

Send = Callable[[str, datetime], str]
"""Sends the images of a series; gives why that failed, else an empty text, or raises NodeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPort:
    """Sends the synthetic series to the port of this node, by an association as a scanner does.

    Attributes
    ----------
    peer
        Our own port.
    """

    peer: Peer

    def send(self, series_instance_uid: str, now: datetime) -> str:
        """Send the images of a run; say why that failed, else nothing."""
        with tempfile.TemporaryDirectory(prefix="self-test-") as folder:
            paths = write_series(self_test_datasets(series_instance_uid, now), Path(folder))
            files = [OutgoingFile.of(path) for path in paths]
            outcomes = [
                outcome for _, outcome in send(files, self.peer, calling_ae=self.peer.ae_title)
            ]
        return next((one.detail for one in outcomes if one.verdict is not Verdict.ACCEPTED), "")


@dataclass(slots=True, kw_only=True)
class SelfTestJob:
    """Job of the node that begins self-tests, and sees them to their end.

    Attributes
    ----------
    send
        Sends the images of a run to our own port.
    needed_for_ready
        Whether the node is not ready while its self-test is not in order.
    """

    resources: Resources
    rules: SelfTestRules
    send: Send
    needed_for_ready: bool = False
    _since: datetime = field(init=False)
    _running: int | None = field(default=None, init=False)
    _is_first: bool = field(default=True, init=False)
    _is_stopped: bool = field(default=False, init=False)
    _left_behind: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._since = self.resources.clock()

    def poll(self) -> None:
        """Go on with the run that is under way, or begin one; tell the condition of the node."""
        if self._is_first:
            self._cancel_earlier()
            self._is_first = False
        if self._running is None:
            self._remove_ended()
            if not self._is_stopped:
                self._begin()
        if self._running is not None and not self._is_stopped:
            self._look(self._running)
        self._tell()

    def take(self, rules: SelfTestRules, *, needed_for_ready: bool) -> None:
        """Go by other settings from now on."""
        self.rules, self.needed_for_ready = rules, needed_for_ready

    def stop(self) -> None:
        """Leave a run that is under way to the next start: that our port closes is no fault."""
        self._is_stopped = True

    def _cancel_earlier(self) -> None:
        with self.resources.sessions.begin() as session:
            cancel_self_tests(session, self.resources.clock(), STOPPED)

    def _begin(self) -> None:
        """Begin the run that was asked for, or one that is due; send its images.

        None while the series of an earlier one is not at its end: it would wait behind that.
        """
        now = self.resources.clock()
        with self.resources.sessions.begin() as session:
            asked = requested_self_test(session)
            latest = next(iter(latest_self_tests(session, 1)), None)
            if asked is None and not is_due(latest, self.rules, now):
                return
            if any(one.state not in ENDED for one in self_test_series(session).values()):
                return
            number = request_self_test(session, now) if asked is None else asked.id
            uid = draw_self_test_uid(self.resources.identity_key)
            begin_self_test(session, number, uid, now)
        self._running = number
        log.info("self_test_begun", series_uid=uid)
        try:
            trouble = self.send(uid, now)
        except NodeError as fault:
            trouble = str(fault)
        if trouble and not self._is_stopped:
            self._end(number, f"its images were not taken: {trouble}")

    def _look(self, number: int) -> None:
        """End the run if it has come to its end."""
        with self.resources.sessions.reading() as session:
            run = self_test(session, number)
            seen = self_test_series(session).get(run.series_instance_uid)
        end = end_of(run, seen, SPEC.slices, self.rules, self.resources.clock())
        if end is None:
            return
        if end.state is not SelfTestState.PASSED:
            self._enter_end(number, end)
            return
        with self.resources.sessions.reading() as session:
            try:
                judgement, basis = judged(session, run)
            except (KeyError, TypeError, ValueError) as raised:
                trouble = type(raised).__name__
                judgement, basis = None, ""
        if judgement is None:
            self._end(number, f"its result cannot be read: {trouble}")
        else:
            self._end(number, "; ".join(judgement.faults), judgement, basis)

    def _end(
        self, number: int, fault: str, judgement: Judgement | None = None, basis: str = ""
    ) -> None:
        state = SelfTestState.FAILED if fault else SelfTestState.PASSED
        verdict = "" if judgement is None else json.dumps(judgement.as_json())
        end = SelfTestOutcome(state=state, reason=fault, basis=basis, verdict=verdict)
        self._enter_end(number, end)

    def _enter_end(self, number: int, end: SelfTestOutcome) -> None:
        with self.resources.sessions.begin() as session:
            end_self_test(session, number, end, self.resources.clock())
            uid = self_test(session, number).series_instance_uid
        self._running = None
        if end.state is SelfTestState.FAILED:
            log.error("self_test_failed", series_uid=uid, reason=end.reason)
        elif end.state is SelfTestState.CANCELED:
            log.warning("self_test_canceled", series_uid=uid, reason=end.reason)
        else:
            log.info("self_test_passed", series_uid=uid)
        self._remove_ended()

    def _remove_ended(self) -> None:
        """Remove what ended runs have left; what hinders that is told, and hinders no other run."""
        try:
            self._remove_series()
            self._left_behind = ""
        except (NodeError, StorageError) as fault:
            self._left_behind = f"the series of an earlier run cannot be removed: {fault}"

    def _remove_series(self) -> None:
        """Remove files and rows of series of earlier runs, once nothing is done with them."""
        with self.resources.sessions.reading() as session:
            known = self_test_series(session)
        ended = sorted(uid for uid, one in known.items() if one.state in ENDED)
        if not ended:
            return
        with may_remove(self.resources.folder.root) as may:
            if may:  # else a backup is being made: next time
                remove(self.resources, ended)

    def _tell(self) -> None:
        with self.resources.sessions.reading() as session:
            latest = next(iter(latest_self_tests(session, 1)), None)
            passed = latest_passed(session)
        fault = fault_of(latest, passed, self.rules, self._since, self.resources.clock())
        if fault:
            self.resources.health.fault(PART, fault, ready=not self.needed_for_ready)
        elif self._left_behind:
            self.resources.health.fault(PART, self._left_behind)
        else:
            self.resources.health.well(PART)


def judged(session: Session, run: SelfTestRun) -> tuple[Judgement, str]:
    """Judge what a run has found; give the basis as well.

    Raises
    ------
    KeyError, TypeError, ValueError
        If that is not the summary of an analysis.
    """
    found = json.loads(run.found)
    basis = basis_of(found)
    first = first_passed(session, basis)
    known = Figures.of(json.loads(first.found)) if first is not None else None
    return judge(Figures.of(found), expectation(basis, known)), basis
