"""Audit events of a node: transfers, rejected callers, exports and deletions."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, fromstring

import pytest
from pydicom import dcmread

from config.reader import load
from config.settings import Settings
from dicom_node.analysis.engine.compute_engine import ComputeEngine
from dicom_node.assembly.resources import audit_of, existing_resources, open_resources
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.demo.stand_in_pacs import StandInPacs
from dicom_node.maintenance.stored_data import chosen, erase, export
from dicom_node.network.association import Peer
from dicom_node.node.lifecycle import start_node
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from tests.support.light_node import LightEngine
from tests.support.node_process import INI, wait_until

SECTION = """
[audit]
syslog = 127.0.0.1:{port}
protocol = udp
"""


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        yield listening


@pytest.fixture
def settings(tmp_path: Path, pacs: StandInPacs, collector: socket.socket) -> Settings:
    more = SECTION.format(port=collector.getsockname()[1])
    ini = tmp_path / "node.ini"
    ini.write_text(INI.format(port=0, pacs_port=pacs.port, quiet=0.5, more=more))
    return load(ini)


@pytest.fixture
def slices(tmp_path: Path) -> list[OutgoingFile]:
    made = make_phantom(PhantomSpec(slices=3, size=32))
    write_series(phantom_datasets(made, seed=1), tmp_path / "series")
    return [OutgoingFile.of(path) for path in sorted((tmp_path / "series").glob("*.dcm"))]


def received(collector: socket.socket) -> Element:
    """Receive the next message, without its syslog header."""
    return fromstring(collector.recv(65536).partition(b"\xef\xbb\xbf")[2])  # noqa: S314  # ours


def summary(message: Element) -> tuple[str | None, list[str | None], int]:
    """Event, participants and number of instances."""
    (event,) = message.iterfind("EventIdentification/EventID")
    users = [user.get("UserID") for user in message.iterfind("ActiveParticipant")]
    counts = [int(item.get("NumberOfInstances", "")) for item in message.iter("SOPClass")]
    return event.get("originalText"), users, sum(counts)


def test_the_life_of_a_series_is_audited(
    settings: Settings,
    slices: list[OutgoingFile],
    collector: socket.socket,
    pacs: StandInPacs,
    tmp_path: Path,
) -> None:
    node = start_node(
        settings,
        open_resources(settings),
        make_engine=lambda *_: cast(ComputeEngine, LightEngine()),
    )
    _, port = node.address
    peer = Peer(ae_title="AINODE", host="127.0.0.1", port=port, timeout_seconds=10)
    stranger = replace(peer, ae_title="OTHER")
    assert echo(stranger, calling_ae="SCANNER").verdict is not Verdict.ACCEPTED
    assert len(list(send(slices, peer, calling_ae="CT1"))) == 3
    wait_until(lambda: len(pacs.received) == 2, seconds=30, what="the results")
    node.stop()
    with closing(replace(existing_resources(settings), audit=audit_of(settings))) as resources:
        series = chosen(resources, None, slices_study(slices))
        export(resources, series, tmp_path / "copy")
        erase(resources, series)

    events: list[tuple[str | None, list[str | None], int]] = []
    while not events or events[-1][0] != "DICOM Study Deleted":
        events.append(summary(received(collector)))

    # an association each, or several: results are sent as they are kept
    incoming = [event for event in events if event[1] == ["CT1", "AINODE"]]
    outgoing = [event for event in events if event[1] == ["AINODE", "PACS"]]
    assert sum(count for _, _, count in incoming) == 3
    assert sum(count for _, _, count in outgoing) == 2
    assert {name for name, _, _ in outgoing} == {"DICOM Instances Transferred"}
    assert [event for event in events if event not in incoming + outgoing] == [
        ("Application Activity", ["AINODE"], 0),
        ("Security Alert", ["AINODE", "SCANNER"], 0),
        ("Application Activity", ["AINODE"], 0),
        ("Export", ["AINODE", "copy"], 5),
        ("DICOM Study Deleted", ["AINODE"], 3),
    ]


def slices_study(slices: list[OutgoingFile]) -> str:
    """Study Instance UID of what was sent."""
    return str(dcmread(slices[0].path, stop_before_pixels=True).StudyInstanceUID)
