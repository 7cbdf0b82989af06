"""A stand-in PACS (Storage SCP) for the demo and the tests: it writes objects to a folder."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from pydicom.uid import (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.network.sop_classes import VERIFICATION
from dicom_node.network.status_codes import SUCCESS

ACCEPTS = (
    Comprehensive3DSRStorage,
    EnhancedSRStorage,
    SegmentationStorage,
    SecondaryCaptureImageStorage,
)

ACCEPT_SECONDS = 0.05  #: how soon the thread that accepts connections heeds the end


def serve(ae: AE, port: int, handlers: Sequence[evt.EventHandlerType]) -> ThreadedAssociationServer:
    """Listen on loopback in a thread of its own; `AE.start_server` heeds its end less soon."""
    server = ae.make_server(
        ("127.0.0.1", port), evt_handlers=list(handlers), server_class=ThreadedAssociationServer
    )
    threading.Thread(target=server.serve_forever, args=(ACCEPT_SECONDS,), daemon=True).start()
    return server


def end(server: ThreadedAssociationServer) -> None:
    """Listen no more; associations that are open stay so."""
    with suppress(ValueError):  # pynetdicom's: only `AE.start_server` lets the AE know of it
        server.shutdown()


class StandInPacs:
    """Accepts results on loopback and writes them to a folder.

    Parameters
    ----------
    answer
        Gives the C-STORE status for the n-th object (from 0); always Success by default.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ae_title: str = "PACS",
        port: int = 0,
        accepts: tuple[str, ...] = ACCEPTS,
        syntaxes: tuple[str, ...] = (ExplicitVRLittleEndian, ImplicitVRLittleEndian),
        answer: Callable[[int], int] = lambda _: SUCCESS,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ae_title = ae_title
        self._answer = answer
        self._received: list[tuple[str, str]] = []
        self._arrival = threading.Condition()
        self._ae = AE(ae_title)
        self._ae.maximum_associations = 20
        self._ae.add_supported_context(VERIFICATION)
        for sop_class in accepts:
            self._ae.add_supported_context(sop_class, list(syntaxes))
        self._port = port

    def __enter__(self) -> StandInPacs:
        self._server = serve(self._ae, self._port, [(evt.EVT_C_STORE, self._store)])
        self.port: int = self._server.server_address[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end(self._server)
        for association in self._ae.active_associations:
            if association.is_established:
                association.abort()
            elif (connection := association.dul.socket) is not None:
                # pynetdicom cannot abort before the peer has asked for anything
                connection.close()
                association.dul.to_user_queue.put(cast(Any, None))  # as if the wait had ended

    def _store(self, event: Event) -> int:
        request = cast(C_STORE, event.request)
        uid = str(request.AffectedSOPInstanceUID)
        with self._arrival:
            status = self._answer(len(self._received))
            if status == SUCCESS:
                name = hashlib.sha256(uid.encode()).hexdigest()[:32]
                begun = self.folder / f"{name}.part"
                begun.write_bytes(event.encoded_dataset())
                begun.replace(begun.with_suffix(".dcm"))  # nobody sees half of it
            self._received.append((uid, str(request.AffectedSOPClassUID)))
            self._arrival.notify_all()
        return status

    @property
    def received(self) -> list[tuple[str, str]]:
        """SOP Instance UID and SOP Class UID of every C-STORE so far, in order of arrival."""
        with self._arrival:
            return list(self._received)

    def wait_for(self, objects: int, *, timeout_seconds: float) -> bool:
        """Wait until so many C-STORE requests have arrived; say whether they did in time."""
        with self._arrival:
            return self._arrival.wait_for(lambda: len(self._received) >= objects, timeout_seconds)

    @property
    def files(self) -> list[Path]:
        """Files of the objects stored."""
        return sorted(self.folder.glob("*.dcm"))
