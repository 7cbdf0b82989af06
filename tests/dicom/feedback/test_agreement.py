"""Reports that come in by HL7 end as agreement, and as labels of what evaluates and calibrates."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.reception import report_receivers_of
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import app
from dicom_node.identity_key import keyed
from dicom_node.network.association import Peer
from dicom_node.network.hl7.mllp import MllpConnection, MllpPeer
from dicom_node.resources import Resources
from pipeline.model.manifest import BUNDLED, read_manifest
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.delivery.outbox import keep_results
from storage.results.kept_results import NewResult
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, receiving
from tests.support.databases import database_url
from tests.support.reception import running_receiver
from tests.support.results_due import CT, START
from tests.support.samples.reports.messages import oru

ABOVE, BELOW = "Typical COVID-19 pneumonia.", "Keine Pneumonie."
SERIES = 12
CHESTS = 4  #: of which every second has opacities


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    path = tmp_path / "node.ini"
    folder = tmp_path / "data"
    path.write_text(
        f"[storage]\nfolder = data\nreserve_gb = 0\ndatabase_url = {database_url(folder)}\n"
        "[reports]\nport = 2576\n"
    )
    return path


def called(*words: str) -> str:
    """Run a command."""
    ended = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def score_series(resources: Resources, study: str, number: int, *, positive: bool) -> None:
    """Keep a result of a series that was received, or of one without files."""
    score = 0.6 + number / 100 if positive else 0.1 + number / 100
    with resources.sessions.begin() as session:
        if not receiving(session):
            one = replace(
                CT,
                sop_instance_uid=f"{study}.1",
                series_instance_uid=f"{study}.2",
                study_instance_uid=study,
                path=study,
                digest=study,
                patient_key=f"patient {number}",
            )
            record_instance(session, one, START)
        close(session, receiving(session)[0], START)
        ticket = claim_next(session, START)
        assert ticket is not None
        result = NewResult(
            key=f"key {number}",
            model="m 1",
            score=score,
            positive=positive,
            summary="{}",
            folder=f"{number}",
            scanner=f"CT-{number % 2}",
        )
        keep_results(session, ticket, result, [], destinations=(), now=START)


def send_reports(ini: Path, resources: Resources, reports: Sequence[tuple[str, str]]) -> None:
    """Send a report about each study, by a real connection."""
    (receiver,) = report_receivers_of(load(ini), resources, lambda _: None)
    host, port = receiver.listen(("127.0.0.1", 0))
    try:
        with MllpConnection(MllpPeer(host=host, port=port, seconds=20)) as connection:
            for number, (study, words) in enumerate(reports):
                message = oru(words, study=study, patient="", birth="", control_id=f"R{number}")
                assert b"MSA|AA" in connection.exchange(message.encode())
    finally:
        receiver.stop(time.monotonic() + 20)


@pytest.mark.database
def test_reports_end_as_agreement_and_as_labels(ini: Path, tmp_path: Path) -> None:
    """Of twelve results every fourth is contradicted by its report; of one more it is unclear."""
    resources = keyed(open_resources(load(ini)))
    studies = [f"2.25.{100 + number}" for number in range(SERIES)]
    reports = []
    for number, study in enumerate(studies):
        positive = number % 3 == 0
        score_series(resources, study, number, positive=positive)
        reports.append((study, ABOVE if positive is not (number % 4 == 3) else BELOW))
    score_series(resources, "2.25.99", SERIES, positive=True)
    reports.append(("2.25.99", "Possible COVID-19 pneumonia."))
    send_reports(ini, resources, reports)
    resources.close()

    named = ("--config", str(ini))
    told = json.loads(called("agreement", *named, "--json", "--days", "36500"))
    table = called("agreement", *named, "--csv", str(tmp_path / "agreement.csv"))
    shown = called("agreement", *named)
    cases = tmp_path / "cases.csv"
    called("feedback", "--csv", str(cases), "--labelled", *named)

    everything, *by_scanner = told["lines"]
    counts = [everything[name] for name in ("reports", "unclear", "indeterminate")]
    assert (counts, everything["share"]["count"]) == ([13, 1, 0], 9)
    assert [line["scanner"] for line in by_scanner] == ["CT-0", "CT-1"]
    assert {one["reference"] for one in told["disagreements"]} == {"R3", "R7", "R11"}
    assert "13 reports in" in table
    assert "report R3: negative" in shown
    with (tmp_path / "agreement.csv").open(newline="") as file:
        assert [row["agrees"] for row in csv.DictReader(file)].count("0") == 3
    with cases.open(newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert (labels.count("1"), labels.count("0")) == tuple(
        sum(words == said for _, words in reports) for said in (ABOVE, BELOW)
    )
    assert len(labels) == SERIES


@pytest.mark.long
@pytest.mark.timeout(900)
def test_labels_of_reports_evaluate_and_calibrate_a_model_on_the_images(
    ini: Path, tmp_path: Path
) -> None:
    """From images by C-STORE and reports by HL7 to a model that is calibrated with them."""
    resources = keyed(open_resources(load(ini)))
    reports = []
    for number in range(CHESTS):
        positive = number % 2 == 1
        spec = PhantomSpec(
            seed=number + 1, slices=30, size=64, spacing_mm=10.0, lesions=4 * positive
        )
        images = phantom_datasets(make_phantom(spec), seed=number + 1)
        with running_receiver(resources) as reception:
            peer = Peer(ae_title="AINODE", host=reception.address[0], port=reception.address[1])
            folder = tmp_path / f"sent-{number}"
            write_series(images, folder)
            called("send", str(folder), "--host", peer.host, "--port", str(peer.port))
            reception.index.wait_until_written()
        study = str(images[0].StudyInstanceUID)
        score_series(resources, study, number, positive=positive)
        reports.append((study, ABOVE if positive else BELOW))
    send_reports(ini, resources, reports)
    resources.close()
    model = tmp_path / "model"
    shutil.copytree(BUNDLED, model)
    cases, report = tmp_path / "cases.csv", tmp_path / "report"

    called(
        *("feedback", "--csv", str(cases), "--images", str(tmp_path / "images")),
        *("--labelled", "--config", str(ini)),
    )
    called("evaluate", "--cases", str(cases), "--model", str(model), "--out", str(report))
    called("calibrate", str(model), "--scores", str(report / "scores.csv"))

    figures = json.loads((report / "metrics.json").read_text())
    assert (figures["cases"], figures["positives"]) == (CHESTS, CHESTS // 2)
    assert "calibration" in read_manifest(model)[0].card.metrics
