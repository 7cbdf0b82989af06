"""What results are sent by: DICOM's C-STORE here, DICOMweb's STOW-RS in `dicom_node.delivery.stow_client`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.delivery import store_scu
from dicom_node.delivery.capabilities import probe_in_background
from dicom_node.delivery.outcome import Outcome
from dicom_node.delivery.store_scu import OutgoingFile
from dicom_node.network.association import Peer
from dicom_node.resources import Resources


class Sender(Protocol):
    """A way to one destination."""

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send files; yield each with its outcome as soon as it is known."""
        ...

    def echo(self) -> Outcome:
        """Ask whether the destination is there."""
        ...

    def look(self, name: str, resources: Resources) -> None:
        """Find out what the destination takes, and keep the answer under its name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSender:
    """By associations to an application entity."""

    peer: Peer
    calling_ae: str

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send by C-STORE."""
        return store_scu.send(files, self.peer, calling_ae=self.calling_ae)

    def echo(self) -> Outcome:
        """Ask by C-ECHO."""
        return store_scu.echo(self.peer, calling_ae=self.calling_ae)

    def look(self, name: str, resources: Resources) -> None:
        """Propose every class in one association."""
        probe_in_background(name, self.peer, calling_ae=self.calling_ae, resources=resources)
