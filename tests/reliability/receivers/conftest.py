"""Two receivers that share a folder and a database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from config.reader import load
from dicom_node.demo.stand_in_pacs import StandInPacs
from tests.reliability.receivers.two_receivers import Receivers, make_receiver


@pytest.fixture
def receivers(tmp_path: Path, pacs: StandInPacs) -> Iterator[Receivers]:
    shared = tmp_path / "shared"
    shared.mkdir()
    nodes = {name: make_receiver(tmp_path / name, shared, name, pacs.port) for name in "ab"}
    made = Receivers(shared, nodes, load(nodes["a"].ini).database_url)
    yield made
    for node in nodes.values():
        if node.alive:
            node.kill()
