"""Store the parts of a STOW-RS request as instances (PS3.18 10.5).

Every instance is handed to the same `InstanceSink` as those of C-STORE, under the same conditions.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain

from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from dicom_node.logs import log
from dicom_node.network.file_meta import read_with_pydicom
from dicom_node.network.received_instance import ReceivedInstance
from dicom_node.network.sop_classes import transfer_syntaxes_of
from dicom_node.network.status_codes import (
    CANNOT_UNDERSTAND,
    DATA_SET_DOES_NOT_MATCH,
    HTTP_ALL_STORED,
    HTTP_NO_ROOM,
    HTTP_NONE_STORED,
    HTTP_SOME_STORED,
    OUT_OF_RESOURCES,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    TRANSFER_SYNTAX_NOT_SUPPORTED,
)
from dicom_node.reception.header import MAX_UID, ONE_AT_A_TIME, PARSE_ERRORS, Unreadable
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.store_handler import InstanceSink, store_and_answer
from dicom_node.reception.stow.multipart import Part
from pipeline.reasons import RefusedReason
from pipeline.series.sop_classes import CT_CLASSES

DICOM = "application/dicom"
CALLING_AE = "STOW-RS"  #: in place of an AE title, which a web client does not have
HEAD_BYTES = 1 << 18  #: of a part, where its identifiers must be found
STUDY_UID = int(Tag("StudyInstanceUID"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The UIDs in the File Meta Information of an instance."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOutcome:
    """C-STORE status of one part; `identity` is None if its File Meta Information is unreadable."""

    status: int
    identity: Identity | None = None


def store(
    parts: Iterable[Part],
    sink: InstanceSink,
    study_uid: str,
    *,
    address: str = "",
    taken: Collection[str] = CT_CLASSES,
) -> list[StoreOutcome]:
    """Keep every instance durably, while it arrives.

    Parameters
    ----------
    address
        Of the sender.
    study_uid
        Only instances of this study are kept; empty for those of any study.
    taken
        SOP Class UIDs that are taken.

    Raises
    ------
    AssociationBroken
        If the message ends before its end; instances that were complete are kept.
    """
    transfer = StoreRequest()
    try:
        return [_keep(part, sink, study_uid, address, taken, transfer) for part in parts]
    finally:
        transfer.is_established = False


class StoreRequest:
    """A request that is being read, as the node sees an association of a sender."""

    is_established = True

    def is_alive(self) -> bool:
        """Tell whether anybody still serves it."""
        return self.is_established


def _keep(
    part: Part,
    sink: InstanceSink,
    study_uid: str,
    address: str,
    taken: Collection[str],
    transfer: StoreRequest,
) -> StoreOutcome:
    head = _head(part.body)
    try:
        with ONE_AT_A_TIME:
            identity, start = _identity(part, head)
            is_addressed = not study_uid or _is_of_study(study_uid, identity, head, start)
    except Unreadable as fault:
        return _refused(CANNOT_UNDERSTAND, str(fault))
    status = _acceptable(identity, sink, address, taken)
    if status == SUCCESS and not is_addressed:
        status = DATA_SET_DOES_NOT_MATCH
        log.error(
            "instance_refused",
            calling_ae=CALLING_AE,
            reason=RefusedReason.NOT_OF_THE_STUDY_ADDRESSED.value,
        )
    if status == SUCCESS:
        instance = ReceivedInstance(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=identity.transfer_syntax_uid,
            calling_ae=CALLING_AE,
            body=chain([memoryview(head)[start:]], part.body),
            transfer=transfer,
        )
        status = store_and_answer(sink, instance)
    return StoreOutcome(status=status, identity=identity)


def _refused(status: int, reason: str) -> StoreOutcome:
    log.error("instance_refused", calling_ae=CALLING_AE, reason=reason)
    return StoreOutcome(status=status)


def _head(body: Iterator[bytes]) -> bytes:
    """Read the start of a part: at least `HEAD_BYTES`, or all of it."""
    head = bytearray()
    for chunk in body:
        head += chunk
        if len(head) >= HEAD_BYTES:
            break
    return bytes(head)


def _identity(part: Part, head: bytes) -> tuple[Identity, int]:
    """Read the File Meta Information (PS3.10 7.1); return the offset of the data set too.

    Raises
    ------
    Unreadable
        If it is missing, or lacks a UID.
    """
    content_type = part.fields.get("content-type", DICOM).partition(";")[0].strip().lower()
    if content_type != DICOM:
        raise Unreadable(f"expected parts of type {DICOM}, got another")
    file = BytesIO(head)
    try:
        meta = read_with_pydicom(file)
        values = [_text(meta, tag) for tag in (0x00020002, 0x00020003, 0x00020010)]
    except PARSE_ERRORS as fault:
        raise Unreadable(f"no File Meta Information ({type(fault).__name__})") from fault
    if not all(0 < len(value) <= MAX_UID and value.isascii() for value in values):
        raise Unreadable("expected UIDs of class, instance and transfer syntax, got others")
    if file.tell() == len(head):
        raise Unreadable("expected a data set, got File Meta Information only")
    sop_class, sop_instance, syntax = values
    return (
        Identity(
            sop_class_uid=sop_class, sop_instance_uid=sop_instance, transfer_syntax_uid=syntax
        ),
        file.tell(),
    )


def _acceptable(
    identity: Identity, sink: InstanceSink, address: str, taken: Collection[str]
) -> int:
    """Give the status of class and transfer syntax; a refusal is recorded, for `status` to show."""
    if identity.sop_class_uid not in taken:
        status, reason = SOP_CLASS_NOT_SUPPORTED, RefusedReason.SOP_CLASS_NOT_ACCEPTED.value
    elif identity.transfer_syntax_uid not in transfer_syntaxes_of(identity.sop_class_uid):
        status, reason = (
            TRANSFER_SYNTAX_NOT_SUPPORTED,
            RefusedReason.TRANSFER_SYNTAX_NOT_SUPPORTED.value,
        )
    else:
        return SUCCESS
    name = UID(identity.sop_class_uid).name
    sink.record_refusal(
        Refusal(
            kind="context_refused",
            calling_ae=CALLING_AE,
            address=address,
            what=name,
            reason=reason,
        )
    )
    return status


def _is_of_study(study_uid: str, identity: Identity, head: bytes, start: int) -> bool:
    """Say whether a data set, which begins at `start`, may be kept under the study addressed.

    What cannot be parsed although all of it is there is no data set: the sink quarantines it, as
    when it comes by C-STORE. What goes on behind `head` may belong to any study, and is refused.
    """
    found = _study(head[start:], identity)
    if found is None:
        return len(head) < HEAD_BYTES
    return found == study_uid


def _study(start: bytes, identity: Identity) -> str | None:
    """Find the Study Instance UID in the start of a data set; None if it cannot be parsed."""
    syntax = UID(identity.transfer_syntax_uid)
    try:
        if syntax == DeflatedExplicitVRLittleEndian:
            start = zlib.decompressobj(-zlib.MAX_WBITS).decompress(start, HEAD_BYTES)
        ds = read_dataset(
            BytesIO(start),
            syntax.is_implicit_VR,
            syntax.is_little_endian,
            stop_when=_behind_study,
            specific_tags=[STUDY_UID],
        )
        return _text(ds, STUDY_UID)
    except PARSE_ERRORS:
        return None


def _behind_study(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) > STUDY_UID


def _text(ds: Dataset, tag: int) -> str:
    return str(ds[tag].value or "").strip(" \0") if tag in ds else ""


def status_code(outcomes: Sequence[StoreOutcome]) -> int:
    """HTTP status of the response, by how many instances are kept (PS3.18 Table 10.5.3-1)."""
    kept = [outcome.status == SUCCESS for outcome in outcomes]
    if all(kept):
        return HTTP_ALL_STORED
    if any(kept):
        return HTTP_SOME_STORED
    return (
        HTTP_NO_ROOM
        if any(outcome.status == OUT_OF_RESOURCES for outcome in outcomes)
        else HTTP_NONE_STORED
    )
