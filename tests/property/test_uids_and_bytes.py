"""Whatever is restored, deleted or cut off: no UID is ever sent with two sets of bytes."""

import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from pydicom.uid import ExplicitVRLittleEndian

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.dispatcher import AnalysisDispatcher, AttemptPolicy
from dicom_node.analysis.not_analysed_notices import Notices
from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.worker.inputs import inputs_of
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    AnalysisResult,
    EncodedObject,
    Unchanged,
    Unsuitable,
)
from dicom_node.identity_key import keyed
from dicom_node.reception.ingest import rescan
from dicom_node.resources import Resources
from pipeline.encode.result.identity import derived_uid, result_key, stands
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.sessions import Sessions
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.files.folder import StorageFolder
from storage.files.installation import draw_installation
from storage.maintenance.recovery import recover
from storage.series.lifecycle import ENDED, close, receiving
from storage.series.rerun import ended_series, mark_for_rerun, start_reruns
from storage.series.study import series_uids
from storage.states import DeliveryState, Rerun
from tests.support.databases import migrated_database
from tests.support.dispatcher_samples import NOW, AnsweringWorkers
from tests.support.samples.received_series import SERIES, receive

STEPS = ["written", "directory-synced"]  #: half-way through a result's files, and after them

Answering = Callable[[AnalysisRequest], AnalysisResult]

made = count()  # what makes bytes differ: the time, and how floating point came out


def analysed(request: AnalysisRequest) -> AnalysisResult:
    """Answer as the real worker does, with objects that differ each time they are made."""
    inputs = inputs_of(request)
    if stands(inputs, request.earlier):
        return Unchanged()
    key = result_key(inputs, request.occasion)
    report = EncodedObject(
        kind="report",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
        sop_instance_uid=str(derived_uid(key, "report")),
        series_instance_uid=str(derived_uid(key, "report", "series")),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        part10=f"made {next(made)}".encode(),
    )
    return Analysed(
        key=key,
        inputs=inputs,
        score=0.5,
        positive=True,
        model="m 1",
        summary={},
        objects=(report,),
        seconds={},
    )


def unsuitable(request: AnalysisRequest) -> AnalysisResult:
    """Answer what ends with a notice, which names the time and so differs each time as well."""
    return Unsuitable(code="too-few-slices", text="30 slices or more expected, got 3")


class Installation(RuleBasedStateMachine):
    """A node with one series, its PACS, and an administrator with backups."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        self.data, self.backup = self.place / "data", self.place / "backup"
        self.now = NOW
        self.dies_at = ""
        self.received: dict[str, bytes] = {}  # what the PACS has: UID to bytes
        self.open()
        self.backup_both()

    def teardown(self) -> None:
        self.resources.close()
        shutil.rmtree(self.place)

    def clock(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def open(self) -> None:
        """Start as the node does: recover, and index the files that have no row."""
        folder = StorageFolder(self.data, 0, step=self.step)
        draw_installation(self.data)
        sessions = Sessions(migrated_database(self.data), substitutes=SUBSTITUTES)
        self.resources = Resources(sessions=sessions, folder=folder, clock=self.clock)
        with sessions.begin() as session:
            recover(session, self.now)
        self.resources = keyed(self.resources)
        rescan(self.resources)
        self.close()

    def step(self, name: str) -> None:
        if name == self.dies_at:
            raise KeyboardInterrupt  # the node dies: nothing catches it

    def close(self) -> None:
        with self.resources.sessions.begin() as session:
            for quiet in receiving(session):
                close(session, quiet, self.now)

    @rule()
    def receive(self) -> None:
        receive(self.resources)
        self.close()

    @rule(run=st.sampled_from([analysed, unsuitable]), dies_at=st.sampled_from(["", *STEPS]))
    def analyse(self, run: Answering, dies_at: str) -> None:
        self.dies_at = dies_at
        try:
            self.dispatcher(run).dispatch()
        except KeyboardInterrupt:
            self.dies_at = ""
            self.restart()
        self.dies_at = ""

    def dispatcher(self, run: Answering) -> AnalysisDispatcher:
        builder = RequestBuilder(self.resources, analysis_config_of(Settings()), compare=True)
        return AnalysisDispatcher(
            resources=self.resources,
            workers=AnsweringWorkers(run),
            request_builder=builder,
            notices=Notices(self.resources.folder, builder, "relevant"),
            policy=AttemptPolicy(attempts=3, task_timeout_seconds=900),
            outcomes=OutcomeWriter(self.resources, ["PACS"]),
            executor=lambda act: act(),
            wake=lambda: None,
        )

    @rule(limit=st.integers(1, 2))
    def send(self, limit: int) -> None:
        with self.resources.sessions.begin() as session:
            claimed = claim(session, due(session, "PACS", self.now, limit))
        for delivery in claimed:
            path = self.resources.folder.locate(delivery.path)
            if path.exists():
                sent = path.read_bytes()
                assert self.received.setdefault(delivery.sop_instance_uid, sent) == sent
        with self.resources.sessions.begin() as session:
            done = [Settlement(id=one.id, state=DeliveryState.ACCEPTED) for one in claimed]
            settle(session, done, self.now)

    @rule(run=st.sampled_from([analysed, unsuitable]))
    def receive_analyse_and_send(self, run: Answering) -> None:
        """All in a row: by single steps, few random lives come so far."""
        self.receive()
        self.analyse(run, "")
        self.send(2)

    @rule()
    def reprocess(self) -> None:
        with self.resources.sessions.begin() as session:
            if series_uids(session, series=SERIES):
                (ended,) = ended_series(session, series=[SERIES])
                if ended.state in ENDED:
                    mark_for_rerun(session, SERIES, Rerun.REPROCESS)
                    start_reruns(session, self.now)

    @rule()
    def restart(self) -> None:
        self.resources.close()
        self.open()

    @rule()
    def backup_both(self) -> None:
        self.resources.close()
        shutil.rmtree(self.backup, ignore_errors=True)
        shutil.copytree(self.data, self.backup)

    @rule()
    def restore_both(self) -> None:
        """As a virtual machine is set back to a snapshot: folder and database agree."""
        self.resources.close()
        shutil.rmtree(self.data)
        shutil.copytree(self.backup, self.data)
        self.open()

    @rule()
    def restore_database(self) -> None:
        self.delete(self.data)
        for file in self.backup.glob("node.sqlite*"):
            shutil.copy2(file, self.data)
        self.open()

    @rule()
    def delete_database(self) -> None:
        self.delete(self.data)
        self.open()

    def delete(self, folder: Path) -> None:
        self.resources.close()
        for file in folder.glob("node.sqlite*"):
            file.unlink()


TestInstallation = pytest.mark.slow(Installation.TestCase)
TestInstallation.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)


@pytest.mark.parametrize("setback", ["restore_both", "restore_database", "delete_database"])
@pytest.mark.parametrize("run", [analysed, unsuitable])
def test_what_is_made_again_after_a_setback_has_other_uids(setback: str, run: Answering) -> None:
    node = Installation()
    try:
        node.receive()
        node.analyse(run, "")
        node.send(2)
        assert len(node.received) == 1
        getattr(node, setback)()
        node.receive()
        node.analyse(run, "")
        node.send(2)
        assert len(node.received) == 2
    finally:
        node.teardown()
