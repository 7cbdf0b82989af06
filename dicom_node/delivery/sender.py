"""Sender: the interface that every way to a destination implements.

By DICOM: `dicom_node.delivery.dicom_sender`; by DICOMweb: `dicom_node.delivery.stow_sender`. A
sender knows its destination and the wire, and nothing of the database.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Protocol

from dicom_node.delivery.outcome import Outcome
from dicom_node.delivery.outgoing_file import OutgoingFile
from storage.delivery.capabilities import Capability


class Sender(Protocol):
    """A way to one destination."""

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send files; yield each with its outcome as soon as it is known."""
        ...

    def echo(self) -> Outcome:
        """Ask whether the destination is there."""
        ...

    def probe(self) -> tuple[Capability, ...] | None:
        """Ask which SOP classes the destination accepts; None if its protocol cannot ask.

        Raises
        ------
        NodeError
            If there is no answer.
        """
        ...
