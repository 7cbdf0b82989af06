"""A node without networks as a process of its own, and a sender that sends until it is told."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread

from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.store_scu import echo, send
from dicom_node.network.association import Peer
from tests.support.node_process import NodeProcess, wait_until
from tests.support.paths import ROOT


@dataclass
class LightNode(NodeProcess):
    """A node without networks; see `tests.support.light_node`."""

    acknowledged: set[str] = field(default_factory=set)

    def start(self, *, wait: bool = True, dies_at: int = 0) -> None:
        command = [sys.executable, "-P", "-m", "tests.support.light_node", str(self.ini)]
        with (self.folder / "node.log").open("a") as log:
            self.process = subprocess.Popen(
                [*command, str(dies_at)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        if wait:
            wait_until(self.up, seconds=60, what=f"the node's start:\n{self.log()}")

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def up(self) -> bool:
        """Whether it answers, or has died already."""
        return not self.alive or echo(self.peer, calling_ae="TEST").verdict is Verdict.ACCEPTED

    def send(self, series: Path) -> None:
        """Send what has not been acknowledged yet."""
        files = [OutgoingFile.of(path) for path in sorted(series.glob("*.dcm"))]
        for file, outcome in send(files, self.quick_peer, calling_ae="SCANNER"):
            if outcome.verdict is Verdict.ACCEPTED:
                uid = dcmread(file.path, stop_before_pixels=True).SOPInstanceUID
                self.acknowledged.add(str(uid))

    @property
    def quick_peer(self) -> Peer:
        return Peer(ae_title="AINODE", host="127.0.0.1", port=self.port, timeout_seconds=5)
