"""Send results to an application entity by C-STORE."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace

from dicom_node.delivery import capabilities, store_scu
from dicom_node.delivery.outcome import Outcome
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.association import Peer
from storage.delivery.capabilities import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomSender:
    """Sends by associations; a `dicom_node.delivery.sender.Sender`.

    Attributes
    ----------
    compressed
        Whether objects are sent as they are kept where the peer accepts that.
    """

    peer: Peer
    calling_ae: str
    compressed: bool = True

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send by C-STORE."""
        outgoing = (replace(file, as_kept=self.compressed) for file in files)
        return store_scu.send(outgoing, self.peer, calling_ae=self.calling_ae)

    def echo(self) -> Outcome:
        """Ask by C-ECHO."""
        return store_scu.echo(self.peer, calling_ae=self.calling_ae)

    def probe(self) -> tuple[Capability, ...]:
        """Propose every class in one association."""
        return capabilities.probe(self.peer, calling_ae=self.calling_ae, compressed=self.compressed)
