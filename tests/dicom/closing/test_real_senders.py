"""Senders over real associations: closed by proof when all is here, and not before."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE
from pynetdicom.association import Association

from dicom_node.closing.archive_counts import ArchiveCounts
from dicom_node.closing.observer import NodeObserver
from dicom_node.closing.policy import ClosingPolicy
from dicom_node.closing.series_closer import SeriesCloser
from dicom_node.closing.series_watch import SeriesWatch
from dicom_node.health import Health
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import NOTIFICATION_CLASSES, PERFORMED_STEP
from dicom_node.reception.index_writer import IndexWriter
from dicom_node.reception.ingest import InstanceIngest
from dicom_node.reception.notification_scp import NotificationScp
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.series.closings import waits
from tests.support.node_process import wait_until
from tests.support.reception import indexing, listening, open_resources

START = datetime(2026, 3, 1, tzinfo=UTC)
SLICES = 6


@dataclass
class Node:
    """A receiver with who closes series; its clocks go on when a test says so."""

    address: tuple[str, int]
    index: IndexWriter
    resources: Resources
    transfers: Transfers
    now: list[float] = field(default_factory=lambda: [0.0])

    def __post_init__(self) -> None:
        counts = ArchiveCounts({}, lambda *_: None, self.transfers.received, Health())
        self.closer = SeriesCloser(
            self.resources,
            ClosingPolicy(
                quiet_seconds=60, regular_seconds=5, min_slices=SLICES // 2, min_coverage_mm=10
            ),
            NodeObserver(transfers=self.transfers, counts=counts, look=lambda *_: True),
            wake=lambda: None,
            watch=SeriesWatch(steady=lambda: self.now[0]),
        )

    def after(self, seconds: float) -> list[str]:
        """Let time go by; give the proofs by which series were closed so far."""
        self.index.wait_until_written()
        self.closer.run_once()
        self.now[0] += seconds
        self.closer.run_once()
        with self.resources.sessions() as session:
            return [proof for line in waits(session, START) for proof in line.closed_by]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    now = [0.0]
    resources = replace(open_resources(tmp_path), clock=lambda: START + timedelta(seconds=now[0]))
    transfers = Transfers()
    with indexing(resources) as index:
        ingest = InstanceIngest(resources, index, transfers)
        scp = NotificationScp(resources, ingest.record_refusal, lambda: None)
        with listening(ingest, services=scp.handlers, notified=NOTIFICATION_CLASSES) as address:
            yield Node(address, index, resources, transfers, now)


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    phantom = make_phantom(PhantomSpec(slices=SLICES, size=64, spacing_mm=5, lesions=0))
    datasets = phantom_datasets(phantom, seed=3)
    for ds in datasets:
        del ds.ImagesInAcquisition
    return datasets


def opened(node: Node) -> Association:
    ae = AE("CT1")
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    ae.add_requested_context(PERFORMED_STEP)
    assoc = ae.associate(*node.address, ae_title="AINODE")
    assert assoc.is_established
    return assoc


def send(node: Node, images: list[Dataset], *, stay: bool = False) -> Association:
    assoc = opened(node)
    with reactor_paused(assoc):
        assert {assoc.send_c_store(ds).Status for ds in images} == {0x0000}
    if not stay:
        assoc.release()
        uid = images[0].SeriesInstanceUID
        wait_until(lambda: not node.transfers.is_open(uid), seconds=20, what="the end")
    return assoc


def test_one_association(node: Node, slices: list[Dataset]) -> None:
    assoc = send(node, slices, stay=True)
    assert node.after(30) == []  # more may follow
    assoc.release()
    wait_until(
        lambda: not node.transfers.is_open(slices[0].SeriesInstanceUID), seconds=20, what="the end"
    )
    assert node.after(0) == ["regular-stack"]


def test_an_association_for_each_image(node: Node, slices: list[Dataset]) -> None:
    for ds in slices[:-1]:
        send(node, [ds])
        assert node.after(4) == []
    send(node, slices[-1:])
    assert node.after(4) == []
    assert node.after(1) == ["regular-stack"]


@pytest.mark.parametrize("part", [slice(None, None, 2), slice(SLICES // 2, None)])
def test_every_second_image_or_the_second_half_is_not_all(
    node: Node, slices: list[Dataset], part: slice
) -> None:
    send(node, slices[part])
    assert node.after(59) == []
    assert node.after(1) == ["quiet"]


def test_as_many_images_as_the_headers_announce(node: Node, slices: list[Dataset]) -> None:
    announcing = deepcopy(slices)
    for ds in announcing:
        ds.ImagesInAcquisition = SLICES
    send(node, announcing[::2])
    assert node.after(30) == []
    send(node, announcing[1::2])
    assert node.after(5) == ["announced-count"]


def test_the_end_of_the_step_closes_while_the_association_is_open(
    node: Node, slices: list[Dataset]
) -> None:
    step = Dataset()
    step.PerformedProcedureStepStatus = "IN PROGRESS"
    assoc = send(node, slices[:-1], stay=True)
    with reactor_paused(assoc):
        assert assoc.send_n_create(step, PERFORMED_STEP, "2.25.1")[0].Status == 0x0000
    series = Dataset()
    series.SeriesInstanceUID = slices[0].SeriesInstanceUID
    series.ReferencedImageSequence = Sequence()
    for ds in slices:
        item = Dataset()
        item.ReferencedSOPInstanceUID = ds.SOPInstanceUID
        series.ReferencedImageSequence.append(item)
    step.PerformedProcedureStepStatus = "COMPLETED"
    step.PerformedSeriesSequence = Sequence([series])
    with reactor_paused(assoc):
        assert assoc.send_n_set(step, PERFORMED_STEP, "2.25.1")[0].Status == 0x0000
    assert node.after(30) == []  # one that is named has not come

    with reactor_paused(assoc):
        assert assoc.send_c_store(slices[-1]).Status == 0x0000
    assert node.after(1) == ["procedure-step"]
    assoc.release()
