"""Storage and Verification SCU: send files by C-STORE, with an outcome for each; C-ECHO."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.delivery.outcome import Outcome, Verdict, judge, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.association import Peer, associate
from dicom_node.network.pynetdicom_internals.fast_store_scu import FastSender
from dicom_node.network.pynetdicom_internals.reactor_pause import dul_paused, reactor_paused
from dicom_node.network.pynetdicom_internals.version import is_tested
from dicom_node.network.sop_classes import VERIFICATION

StoreFile = Callable[[Path], int | None]
MAXIMUM_CONTEXTS = 128  #: PS3.8 9.3.2: presentation context identifiers are odd, 1 to 255


def echo(peer: Peer, *, calling_ae: str) -> Outcome:
    """Verify a peer by C-ECHO (PS3.4 Annex A)."""
    assoc, trouble = associate(peer, [build_context(VERIFICATION)], calling_ae=calling_ae)
    if trouble:
        return Outcome(verdict=Verdict.POSTPONED, detail=trouble)
    try:
        status = assoc.send_c_echo().get("Status")
    finally:
        assoc.release()
    if status is None:
        return Outcome(verdict=Verdict.POSTPONED, detail="no answer to C-ECHO")
    return judge(status)


def send(
    files: Iterable[OutgoingFile], peer: Peer, *, calling_ae: str, fast: bool = True
) -> Generator[tuple[OutgoingFile, Outcome]]:
    """Send files to a peer by C-STORE; yield each with its outcome as soon as it is known.

    An association that is lost half-way is opened again, as long as each delivers an object.

    Parameters
    ----------
    fast
        Whether `FastSender` is used, where it can be.
    """
    waiting = list(files)
    while waiting:
        batch, rest = _split_batch(waiting)
        assoc, trouble = associate(peer, _contexts(batch), calling_ae=calling_ae)
        settled = 0
        if assoc.is_established:
            with _released(assoc), reactor_paused(assoc), _file_sender(assoc, fast=fast) as store:
                accepted = _accepted(assoc)
                for file in batch:
                    is_accepted = (file.sop_class_uid, file.transfer_syntax_uid) in accepted
                    outcome = _store(assoc, file, store) if is_accepted else _not_accepted(file)
                    if outcome.verdict is Verdict.POSTPONED and outcome.status is None:
                        trouble = outcome.detail
                        break
                    yield file, outcome
                    settled += 1
        if not settled:
            nothing_accepted = assoc.rejected_contexts and not assoc.accepted_contexts
            postponed = Outcome(verdict=Verdict.POSTPONED, detail=trouble)
            for file in batch:
                yield file, _not_accepted(file) if nothing_accepted else postponed
            settled = len(batch)
        waiting = batch[settled:] + rest


def _contexts(files: list[OutgoingFile]) -> list[PresentationContext]:
    """Presentation contexts of these files."""
    pairs = sorted({(file.sop_class_uid, file.transfer_syntax_uid) for file in files})
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def _accepted(assoc: Association) -> set[tuple[str, str]]:
    """Pairs of SOP class and transfer syntax that the peer accepted."""
    return {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in assoc.accepted_contexts}


@contextmanager
def _released(assoc: Association) -> Iterator[None]:
    """Release the association at the end, also when the caller takes no more outcomes."""
    try:
        yield
    finally:
        if assoc.is_established:
            assoc.release()


@contextmanager
def _file_sender(assoc: Association, *, fast: bool) -> Iterator[StoreFile]:
    """Yield the function that sends a file and returns the status, None without a response."""
    if fast and is_tested():
        with dul_paused(assoc) as is_paused:
            if is_paused:
                yield FastSender(assoc).store
                return
    yield lambda path: assoc.send_c_store(path).get("Status")


def _split_batch(files: list[OutgoingFile]) -> tuple[list[OutgoingFile], list[OutgoingFile]]:
    """Split off the files whose presentation contexts one association can negotiate."""
    pairs: set[tuple[str, str]] = set()
    for index, file in enumerate(files):
        pairs.add((file.sop_class_uid, file.transfer_syntax_uid))
        if len(pairs) > MAXIMUM_CONTEXTS:
            return files[:index], files[index:]
    return files, []


def _store(assoc: Association, file: OutgoingFile, store: StoreFile) -> Outcome:
    if not assoc.is_established or assoc.acse.is_aborted() or not assoc.dul.is_alive():
        return Outcome(verdict=Verdict.POSTPONED, detail="the association was lost")
    try:
        status = store(file.path)
    except (OSError, ValueError, AttributeError, InvalidDicomError) as fault:
        return unsendable(fault)
    if status is None:
        return Outcome(verdict=Verdict.POSTPONED, detail="no answer to C-STORE")
    return judge(status)


def _not_accepted(file: OutgoingFile) -> Outcome:
    kind = f"{UID(file.sop_class_uid).name} in {UID(file.transfer_syntax_uid).name}"
    return Outcome(verdict=Verdict.UNSUPPORTED, detail=f"the destination does not accept {kind}")
