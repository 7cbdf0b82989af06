"""The Verification and Storage SCP: what comes in is kept, nothing more."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import AE, _config, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import create_file_meta, encode_file_meta
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from dicom_node.logs import log

_config.LOG_HANDLER_LEVEL = "none"

VERIFICATION = "1.2.840.10008.1.1"
CT_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
    "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
)
OURS = {*CT_CLASSES, VERIFICATION}
FEW_CLASSES = 8  #: a sender that proposes more does not say what it has
TRANSFER_SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
    RLELossless,
)
PREAMBLE = b"\x00" * 128 + b"DICM"  #: PS3.10 7.1

# PS3.4 Table B.2-1
SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One instance as it came.

    Attributes
    ----------
    header
        Preamble, prefix and File Meta Information, made here (PS3.10 7.1).
    body
        The data set, as sent.
    """

    header: bytes
    body: bytes
    sop_instance_uid: str
    transfer_syntax_uid: str
    calling_ae: str


class Keeper(Protocol):
    """Where received instances are kept, and what was refused is noted."""

    def keep(self, received: Received) -> int:
        """Keep one instance durably; return the C-STORE status."""
        ...

    def note_refusal(self, *, calling_ae: str, what: str, reason: str) -> None:
        """Note that something was refused before it could be sent."""
        ...


def handle_store(event: Event, keeper: Keeper) -> int:
    """Keep the instance as sent, then answer: Success means that it survives a power cut."""
    request = cast(C_STORE, event.request)
    meta = create_file_meta(
        sop_class_uid=request.AffectedSOPClassUID or UID(""),
        sop_instance_uid=request.AffectedSOPInstanceUID or UID(""),
        transfer_syntax=event.context.transfer_syntax,
    )
    meta.SourceApplicationEntityTitle = requestor(event)  # PS3.10 Table 7.1-1
    return keeper.keep(
        Received(
            header=header(meta),
            body=event.encoded_dataset(include_meta=False),
            sop_instance_uid=str(meta.MediaStorageSOPInstanceUID),
            transfer_syntax_uid=str(meta.TransferSyntaxUID),
            calling_ae=requestor(event),
        )
    )


def header(meta: FileMetaDataset) -> bytes:
    """Preamble, prefix and File Meta Information of a Part 10 file."""
    return PREAMBLE + encode_file_meta(meta)


def handle_accepted(event: Event, keeper: Keeper) -> None:
    """Note the presentation contexts that an accepted association was refused.

    Many senders propose every SOP class there is, whatever they have: such a list is noted as
    one thing, and a short one, which says what the sender has, class by class.
    """
    calling_ae = requestor(event)
    log.debug("association_accepted", calling_ae=calling_ae)
    refused = sorted({str(context.abstract_syntax) for context in event.assoc.rejected_contexts})
    if len(refused) > FEW_CLASSES:
        what = f"{len(refused)} SOP classes at once"
        keeper.note_refusal(calling_ae=calling_ae, what=what, reason="proposes more than we take")
        log.debug("context_refused", calling_ae=calling_ae, sop_class=what)
        return
    for uid in refused:
        reason = "transfer syntax not supported" if uid in OURS else "SOP class not accepted"
        log.info("context_refused", calling_ae=calling_ae, sop_class=UID(uid).name, reason=reason)
        keeper.note_refusal(calling_ae=calling_ae, what=UID(uid).name, reason=reason)


def handle_rejected(event: Event, keeper: Keeper) -> None:
    """Note an association that was rejected: wrong title, unknown caller, too many."""
    primitive = event.assoc.acceptor.primitive
    reason = primitive.reason_str if primitive is not None else "no reason given"
    log.warning("association_rejected", calling_ae=requestor(event), reason=reason)
    keeper.note_refusal(calling_ae=requestor(event), what="association", reason=reason)


def requestor(event: Event) -> str:
    """AE title of the peer that called."""
    return str(event.assoc.requestor.ae_title).strip()


class Receiver:
    """The listening side of the node.

    Parameters
    ----------
    calling_aes
        AE titles that may call; empty for anybody.
    """

    def __init__(
        self,
        *,
        ae_title: str,
        calling_aes: tuple[str, ...],
        require_called_ae: bool,
        maximum_associations: int,
        maximum_pdu_size: int,
        network_timeout_seconds: float,
    ) -> None:
        self._ae = ae = AE(ae_title)
        ae.require_called_aet = require_called_ae
        ae.require_calling_aet = list(calling_aes)
        ae.maximum_associations = maximum_associations
        ae.maximum_pdu_size = maximum_pdu_size
        ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = network_timeout_seconds
        ae.add_supported_context(VERIFICATION)
        for sop_class in CT_CLASSES:
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        self._server: ThreadedAssociationServer | None = None

    def listen(self, address: tuple[str, int], keeper: Keeper) -> tuple[str, int]:
        """Start to listen; return the address bound (port 0 asks for a free one)."""
        self._server = self._ae.start_server(
            address,
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, handle_store, [keeper]),
                (evt.EVT_ACCEPTED, handle_accepted, [keeper]),
                (evt.EVT_REJECTED, handle_rejected, [keeper]),
            ],
        )
        server = cast(ThreadedAssociationServer, self._server)  # None only when blocking
        host, port = cast(socket.socket, server.socket).getsockname()[:2]
        return str(host), int(port)

    def drain(self, *, seconds: float, wait: Callable[[float], None] = time.sleep) -> None:
        """Accept no more associations; let those that run finish, at most so long."""
        if self._server is None:
            return
        self._server.shutdown()
        deadline = time.monotonic() + seconds
        while self._ae.active_associations and time.monotonic() < deadline:
            wait(0.05)
        for association in self._ae.active_associations:
            association.abort()
