"""A crash between the files and rows of a result duplicates nothing and loses no rerun."""

import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from dicom_node.analysis.worker.messages import Analysed, AnalysisResult, Unsuitable
from dicom_node.resources import Resources
from pipeline.analysis_file import to_bytes
from pipeline.model.manifest import BUNDLED, read_manifest
from pipeline.options import METHOD
from storage.database.schema import Delivery
from storage.maintenance.recovery import recover
from storage.results.priors import inputs_so_far
from storage.series.rerun import mark_for_rerun, start_reruns
from storage.states import DeliveryState, Rerun
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher, line, open_resources
from tests.support.paths import ROOT
from tests.support.reception import kept_files
from tests.support.samples.encode_samples import analysis
from tests.support.samples.received_series import SERIES, notices, receive

pytestmark = pytest.mark.database

STEPS = ["synced", "directory-synced"]  # before the folder has its name, and after

FEW = Unsuitable(code="too-few-slices", text="30 slices or more expected, got 3")
DIES = """
import os, pickle, signal, sys
from pathlib import Path
from tests.support.dispatcher_samples import Workers, dispatcher, open_resources
from tests.support.reception import kept_files

def step(name):
    if name == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

answer = pickle.load(sys.stdin.buffer)
dispatcher(open_resources(Path(sys.argv[1]), step=step), Workers(answer)).dispatch()
"""


@pytest.fixture
def resources(tmp_path: Path) -> Resources:
    resources = open_resources(tmp_path)
    receive(resources)
    return resources


def kept() -> bytes:
    """An analysis of the model that is set now."""
    found = analysis()
    made_by = replace(found.provenance, weights_sha256=read_manifest(BUNDLED)[1])
    return to_bytes(replace(found, provenance=made_by), "source", METHOD)


def die(resources: Resources, answer: AnalysisResult, step: str) -> None:
    """Settle an answer in a process that kills itself at a step, then start anew."""
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(resources.folder.root), step],
        input=pickle.dumps(answer),
        cwd=ROOT,
        check=False,
        capture_output=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    with resources.sessions.begin() as session:
        assert recover(session, NOW).series == 1
    kept_files(resources.folder)


def pending(resources: Resources) -> int:
    with resources.sessions() as session:
        states = session.scalars(select(Delivery.state)).all()
    assert set(states) == {DeliveryState.PENDING}
    return len(states)


@pytest.mark.parametrize("step", STEPS)
def test_a_notice_comes_once(resources: Resources, step: str) -> None:
    die(resources, FEW, step)
    assert (line(resources).state, notices(resources)) == ("stable", [])

    dispatcher(resources, Workers(FEW)).dispatch()

    assert (line(resources).state, len(notices(resources)), pending(resources)) == (
        "unsuitable",
        1,
        1,
    )
    left = 1 if step == "directory-synced" else 0  # without a row: the new one has another key
    assert len(list((resources.folder.root / "results").iterdir())) == 1 + left


@pytest.mark.parametrize("step", STEPS)
def test_a_reissue_comes_once_and_its_request_is_not_lost(resources: Resources, step: str) -> None:
    first = replace(RESULT, kept=kept())
    dispatcher(resources, Workers(first)).dispatch()
    with resources.sessions.begin() as session:
        mark_for_rerun(session, SERIES, Rerun.REISSUE)
        start_reruns(session, NOW)
    objects = tuple(replace(o, sop_instance_uid=f"{o.sop_instance_uid}.2") for o in first.objects)
    again: Analysed = replace(first, key="k2", inputs="i2", objects=objects)

    die(resources, again, step)
    assert (line(resources).wish, line(resources).result_key) == (Rerun.REISSUE, "k1")

    workers = Workers(again)
    dispatcher(resources, workers).dispatch()

    assert workers.requests[0].kept is not None
    assert (line(resources).wish, line(resources).revision, line(resources).state) == (
        None,
        2,
        "encoded",
    )
    with resources.sessions() as session:
        assert inputs_so_far(session, SERIES) == ("i1", "i2")
    assert pending(resources) == 4
