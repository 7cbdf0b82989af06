"""A running node follows the file of its settings, and keeps the last good ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest
from pydicom import dcmread

from config.reader import load
from config.versions import digest, write_settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.analysis.worker import series_task
from dicom_node.analysis.worker.messages import AnalysisRequest
from dicom_node.analysis.worker.series_task import encode_decided
from dicom_node.analysis.worker.stopwatch import Stopwatch
from dicom_node.assembly.resources import open_resources
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.network.association import Peer
from dicom_node.node.lifecycle import Node, start_node
from pipeline.decision import decide
from pipeline.model.manifest import read_manifest
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.light_node import LightEngine, LightTask
from tests.support.node_process import INI, wait_until
from tests.support.samples.encode_samples import analysis, ct_series

SECOND = "[destination SECOND]\nae_title = SECOND\nhost = 127.0.0.1\nport = {port}\n"
VALUE = "NumericValue"
HOT = """\
[analysis]
threshold = 0.125
urgent_aes = CT2
[selection]
min_slices = 2
[retention]
keep_days = 3
[results]
text_report = no
"""


class Engine(LightEngine):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[AnalysisRequest] = []

    def submit(self, function: Callable[..., Any], *arguments: Any, **how: Any) -> LightTask:  # noqa: ANN401  # any task
        if function is series_task.run:
            self.requests.append(arguments[0])
        return super().submit(function, *arguments, **how)


@dataclass
class Running:
    """A node in this process, and the file that it follows."""

    ini: Path
    node: Node
    engine: Engine
    folder: Path
    sent: int = field(default=0)

    def edit(self, old: str, new: str) -> None:
        text = self.ini.read_text()
        assert old in text
        self.ini.write_text(text.replace(old, new))

    def command(self, old: str, new: str) -> None:
        """Edit as a command does, so that what is taken away counts at once."""
        text = self.ini.read_text()
        assert old in text
        changed = text.replace(old, new)
        write_settings(
            self.ini, changed, expected_digest=digest(text), by="mary", at=datetime.now(UTC)
        )

    def wait(self, done: Callable[[], bool], what: str) -> None:
        def looked() -> bool:
            self.node.processing.scheduler.wake("settings", "close", "analyse")
            return done()

        wait_until(looked, seconds=60, what=what)

    def peer(self) -> Peer:
        return Peer(ae_title="AINODE", host="127.0.0.1", port=self.node.address[1])

    def send(self) -> None:
        self.sent += 1
        made = make_phantom(PhantomSpec(slices=3, size=32))
        folder = self.folder / str(self.sent)
        write_series(phantom_datasets(made, seed=self.sent), folder)
        files = [OutgoingFile.of(path) for path in sorted(folder.glob("*.dcm"))]
        outcomes = [outcome for _, outcome in send(files, self.peer(), calling_ae="CT1")]
        assert {outcome.verdict for outcome in outcomes} == {Verdict.ACCEPTED}

    def ailing(self) -> str:
        faults = self.node.resources.health.snapshot()
        return "".join(fault.reason for fault in faults if fault.part == "settings")


def reported(request: AnalysisRequest) -> set[float]:
    """Numbers of the measurement report that a worker makes of a request."""
    manifest, _ = read_manifest(request.config.model.folder)
    decided = decide(analysis(), request.config.options, manifest, "")
    made = encode_decided(request, ct_series(), decided, bytes, Stopwatch())
    reports = [dcmread(BytesIO(one.part10)) for one in made.objects if one.kind == "report"]
    return {float(item.value) for ds in reports for item in ds.iterall() if item.keyword == VALUE}


@pytest.fixture
def running(tmp_path: Path, pacs: StandInPacs) -> Iterator[Running]:
    ini = tmp_path / "node.ini"
    text = INI.format(port=0, pacs_port=pacs.port, quiet=0.5, more="")
    ini.write_text(text.replace("[node]\n", "[node]\ncalling_aes = CT1, CT2\n"))
    settings, engine = load(ini), Engine()
    node = start_node(
        settings,
        open_resources(settings),
        make_engine=lambda *_: cast(ComputeEngine, engine),
    )
    node.follow(ini, settings)
    try:
        yield Running(ini=ini, node=node, engine=engine, folder=tmp_path)
    finally:
        node.stop()


def test_the_next_series_has_the_new_threshold_and_goes_to_the_new_destination(
    running: Running, pacs: StandInPacs, tmp_path: Path
) -> None:
    running.send()
    running.wait(lambda: len(pacs.received) == 2, "the first results")
    with StandInPacs(tmp_path / "second", ae_title="SECOND") as second:
        more = HOT + SECOND.format(port=second.port)
        running.edit("[log]", f"{more}[log]")
        builder = running.node.processing.dispatcher.request_builder
        running.wait(
            lambda: running.node.processing.dispatcher.request_builder is not builder,
            "the settings taken up",
        )
        running.send()
        running.wait(lambda: len(second.received) == 2, "results at the new destination")
        running.wait(lambda: len(pacs.received) == 4, "results at the old one")
        first, last = running.engine.requests
        assert (first.config.options.threshold, last.config.options.threshold) == (None, 0.125)
        assert first.config.model == last.config.model
        assert (first.config.products.text_report, last.config.products.text_report) == (
            True,
            False,
        )
        assert 0.125 in reported(last)
        assert 0.125 not in reported(first)
        assert last.config.rules.min_slices == 2
        processing = running.node.processing
        assert processing.closer._policy.min_slices == 2
        assert processing.retention.rules.keep == timedelta(days=3)
        assert processing.dispatcher.policy.urgent_aes == {"CT2"}

        running.command(SECOND.format(port=second.port), "")
        builder = running.node.processing.dispatcher.request_builder
        running.wait(
            lambda: running.node.processing.dispatcher.request_builder is not builder,
            "the destination removed",
        )
        running.send()
        running.wait(lambda: len(pacs.received) == 6, "results at the destination that is left")
        assert len(second.received) == 2


def test_a_caller_that_is_taken_off_the_list_is_turned_away(running: Running) -> None:
    assert echo(running.peer(), calling_ae="CT2").verdict is Verdict.ACCEPTED
    running.edit("calling_aes = CT1, CT2", "calling_aes = CT1")
    running.wait(
        lambda: echo(running.peer(), calling_ae="CT2").verdict is not Verdict.ACCEPTED,
        "the caller turned away",
    )
    assert echo(running.peer(), calling_ae="CT1").verdict is Verdict.ACCEPTED


def test_a_faulty_file_changes_nothing_and_is_told_until_it_is_mended(running: Running) -> None:
    running.edit("calling_aes = CT1, CT2", "calling_aes = CT1\nmaximum_pdu_size = sesame")
    running.wait(lambda: bool(running.ailing()), "the fault told")
    assert "[node] maximum_pdu_size: expected" in running.ailing()
    assert "sesame" not in running.ailing()
    assert echo(running.peer(), calling_ae="CT2").verdict is Verdict.ACCEPTED

    running.edit("maximum_pdu_size = sesame", "maximum_pdu_size = 65536")
    running.wait(lambda: "restart" in running.ailing(), "the need of a restart told")
    assert running.ailing() == "needs a restart: [node] maximum_pdu_size"
    assert echo(running.peer(), calling_ae="CT2").verdict is not Verdict.ACCEPTED

    running.edit("\nmaximum_pdu_size = 65536", "")
    running.wait(lambda: not running.ailing(), "all in order")
