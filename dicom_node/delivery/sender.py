"""What results are sent by: DICOM's C-STORE here, DICOMweb's STOW-RS in `dicom_node.delivery.stow_client`."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Protocol

from dicom_node.delivery import store_scu
from dicom_node.delivery.capabilities import look_quietly
from dicom_node.delivery.outcome import Outcome
from dicom_node.delivery.store_scu import Parcel
from dicom_node.network.association import Peer
from dicom_node.resources import Store


class Carrier(Protocol):
    """A way to one destination."""

    def send(self, parcels: Iterable[Parcel]) -> Generator[tuple[Parcel, Outcome]]:
        """Send files; yield each with its outcome as soon as it is known."""
        ...

    def echo(self) -> Outcome:
        """Ask whether the destination is there."""
        ...

    def look(self, name: str, store: Store) -> None:
        """Find out what the destination takes, and keep the answer under its name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDicom:
    """By associations to an application entity."""

    peer: Peer
    calling_ae: str

    def send(self, parcels: Iterable[Parcel]) -> Generator[tuple[Parcel, Outcome]]:
        """Send by C-STORE."""
        return store_scu.send(parcels, self.peer, calling_ae=self.calling_ae)

    def echo(self) -> Outcome:
        """Ask by C-ECHO."""
        return store_scu.echo(self.peer, calling_ae=self.calling_ae)

    def look(self, name: str, store: Store) -> None:
        """Propose every class in one association."""
        look_quietly(name, self.peer, calling_ae=self.calling_ae, store=store)
