"""Storage and Verification SCU: one association, one outcome per object."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at run time

from dicom_node.delivery.outcome import Outcome, Verdict, judge, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.association import Peer, associate
from dicom_node.network.pynetdicom_internals.fast_store_scu import FastSender
from dicom_node.network.pynetdicom_internals.reactor_pause import dul_paused, reactor_paused
from dicom_node.network.pynetdicom_internals.version import is_tested

StoreFile = Callable[[Path], int | None]
MAXIMUM_CONTEXTS = 128  #: PS3.8 9.3.2: presentation context identifiers are odd, 1 to 255


def echo(peer: Peer, *, calling_ae: str) -> Outcome:
    """Verify a peer by C-ECHO (PS3.4 Annex A)."""
    assoc, trouble = associate(peer, [build_context(Verification)], calling_ae=calling_ae)
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

    An association that is lost half-way is made anew, as long as each one brings something over.

    Parameters
    ----------
    fast
        Whether `dicom_node.network.pynetdicom_internals.fast_store_scu` is used, where it can be.
    """
    waiting = list(files)
    while waiting:
        batch, rest = _one_association(waiting)
        assoc, trouble = associate(peer, _contexts(batch), calling_ae=calling_ae)
        settled = 0
        if assoc.is_established:
            with _parting(assoc), reactor_paused(assoc), _way(assoc, fast=fast) as store:
                accepted = _accepted(assoc)
                for file in batch:
                    takes = (file.sop_class_uid, file.transfer_syntax_uid) in accepted
                    outcome = _store_one(assoc, file, store) if takes else _not_accepted(file)
                    if outcome.verdict is Verdict.POSTPONED and outcome.status is None:
                        trouble = outcome.detail
                        break
                    yield file, outcome
                    settled += 1
        if not settled:
            nothing_accepted = assoc.rejected_contexts and not assoc.accepted_contexts
            postponed = Outcome(verdict=Verdict.POSTPONED, detail=trouble)
            yield from ((p, _not_accepted(p) if nothing_accepted else postponed) for p in batch)
            settled = len(batch)
        waiting = batch[settled:] + rest


def _contexts(files: list[OutgoingFile]) -> list[PresentationContext]:
    """Presentation contexts that can carry these parcels."""
    pairs = sorted({(each.sop_class_uid, each.transfer_syntax_uid) for each in files})
    return [build_context(sop_class, syntax) for sop_class, syntax in pairs]


def _accepted(assoc: Association) -> set[tuple[str, str]]:
    """SOP classes and transfer syntaxes that the peer takes."""
    return {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in assoc.accepted_contexts}


@contextmanager
def _parting(assoc: Association) -> Iterator[None]:
    """Release the association at the end, also when the caller wants no more outcomes."""
    try:
        yield
    finally:
        if assoc.is_established:
            assoc.release()


@contextmanager
def _way(assoc: Association, *, fast: bool) -> Iterator[StoreFile]:
    """Find what sends a file and gives the status, None where no answer came."""
    if fast and is_tested():
        with dul_paused(assoc) as alone:
            if alone:
                yield FastSender(assoc).store
                return
    yield lambda path: assoc.send_c_store(path).get("Status")


def _one_association(files: list[OutgoingFile]) -> tuple[list[OutgoingFile], list[OutgoingFile]]:
    """Split off what one association can negotiate."""
    pairs: set[tuple[str, str]] = set()
    for index, file in enumerate(files):
        pairs.add((file.sop_class_uid, file.transfer_syntax_uid))
        if len(pairs) > MAXIMUM_CONTEXTS:
            return files[:index], files[index:]
    return files, []


def _store_one(assoc: Association, file: OutgoingFile, store: StoreFile) -> Outcome:
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
