"""Storage and Verification SCU: send files by C-STORE, with an outcome for each; C-ECHO.

An association that is lost with an object under way is opened again for the others. The object
goes last then, alone in an association, so that one that a destination cannot stand holds up no
other.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context

from dicom_node.delivery.encoding.uncompressed import COMPRESSED, write_again
from dicom_node.delivery.outcome import UNREADABLE, Outcome, Verdict, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.proof import judge, may_be_for_its_syntax
from dicom_node.network.association import HUNG_UP, Peer, associate
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.pynetdicom_internals.fast_store_scu import FastSender
from dicom_node.network.pynetdicom_internals.reactor_pause import dul_paused, reactor_paused
from dicom_node.network.pynetdicom_internals.version import is_tested
from dicom_node.network.sop_classes import VERIFICATION

StoreFile = Callable[[Path], int | None]
Sent = tuple[OutgoingFile, Outcome]
Context = tuple[str, str]  #: abstract and transfer syntax of a presentation context

MAXIMUM_CONTEXTS = 128  #: PS3.8 9.3.2: presentation context identifiers are odd, 1 to 255
MOST_SILENT = 3  #: associations in a row without any answer, before the destination is at fault


def echo(peer: Peer, *, calling_ae: str) -> Outcome:
    """Verify a peer by C-ECHO (PS3.4 Annex A)."""
    assoc, trouble = associate(peer, service_contexts(VERIFICATION), calling_ae=calling_ae)
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
) -> Generator[Sent]:
    """Send files to a peer by C-STORE; yield each with its outcome as soon as it is known.

    What had no answer (abort, timeout, connection lost) is tried once more, alone and after the
    others, unless it was the first of its association. After `MOST_SILENT` associations in a row
    without any answer the rest is postponed.

    Parameters
    ----------
    fast
        Whether `FastSender` is used, where it can be.
    """
    yield from _Sending(peer=peer, calling_ae=calling_ae, fast=fast, waiting=list(files)).run()


@dataclass(slots=True, kw_only=True)
class _Sending:
    """Files on their way to a peer.

    Attributes
    ----------
    waiting, suspects
        Files that are to be sent together, and those that had no answer: one by one, at the end.
    by_class
        Whether each SOP class gets an association of its own: the peer has hung up on a proposal.
    silent
        Associations in a row in which nothing was answered.
    """

    peer: Peer
    calling_ae: str
    fast: bool
    waiting: list[OutgoingFile]
    suspects: list[OutgoingFile] = field(default_factory=list)
    by_class: bool = False
    silent: int = 0

    def run(self) -> Generator[Sent]:
        """Send all files."""
        while self.waiting or self.suspects:
            batch = self._next_batch()
            trouble = yield from self._visit(batch)
            if trouble or self.silent >= MOST_SILENT:
                postponed = Outcome(
                    verdict=Verdict.POSTPONED,
                    detail=trouble or f"no answer to {self.silent} objects, one after the other",
                )
                yield from ((file, postponed) for file in [*batch, *self.waiting, *self.suspects])
                return

    def _next_batch(self) -> list[OutgoingFile]:
        """Take the files that can go in one association off those that wait."""
        if not self.waiting:
            return [self.suspects.pop(0)]
        contexts: set[Context] = set()
        for index, file in enumerate(self.waiting):
            contexts.update(file.contexts)
            other = self.by_class and file.sop_class_uid != self.waiting[0].sop_class_uid
            if other or len(contexts) > MAXIMUM_CONTEXTS:
                batch, self.waiting = self.waiting[:index], self.waiting[index:]
                return batch
        batch, self.waiting = self.waiting, []
        return batch

    def _visit(self, batch: list[OutgoingFile]) -> Generator[Sent, None, str]:
        """Send a batch in one association; take those with an outcome off it.

        Returns
        -------
        str
            Why there was no association to send anything; else empty.
        """
        asked_at = time.monotonic()
        assoc, trouble = associate(self.peer, _contexts(batch), calling_ae=self.calling_ae)
        if assoc.is_established:
            yield from self._store_all(assoc, batch)
            return ""
        if assoc.rejected_contexts:  # and none is accepted
            self.silent = 0
            while batch:
                yield batch[0], _not_accepted(batch.pop(0))
            return ""
        at_once = time.monotonic() - asked_at < self.peer.timeout_seconds
        if not (at_once and trouble.endswith(HUNG_UP)):
            return trouble
        if not self.by_class and len({file.sop_class_uid for file in batch}) > 1:
            self.by_class = True  # it may be for one class that it hangs up
            self.waiting = sorted(batch + self.waiting, key=_classes_in_order(batch))
            batch.clear()
            return ""
        if not self.by_class:
            return trouble
        self.silent += 1
        while batch:
            yield batch.pop(0), Outcome(verdict=Verdict.UNANSWERED, detail=trouble)
        return ""

    def _store_all(self, assoc: Association, batch: list[OutgoingFile]) -> Generator[Sent]:
        """Send a batch, as far as the association lasts; what is left of it waits again."""
        answers, silent_class = 0, ""
        with (
            _released(assoc),
            reactor_paused(assoc),
            _file_sender(assoc, fast=self.fast) as store,
        ):
            accepted = _accepted(assoc)
            while batch and (_lasts(assoc) or not answers):
                file = batch.pop(0)
                outcome = _store(assoc, file, store, accepted)
                if outcome.verdict is Verdict.UNANSWERED and answers:
                    self.suspects.append(file)
                else:
                    yield file, outcome
                if outcome.verdict is Verdict.UNANSWERED:
                    silent_class = file.sop_class_uid
                    break
                answers += 1
        self.silent = self.silent + 1 if silent_class and not answers else 0
        # other classes first: what a destination cannot stand is often a class as a whole
        batch.sort(key=lambda file: file.sop_class_uid == silent_class)
        self.waiting = batch + self.waiting
        batch.clear()


def _classes_in_order(files: Sequence[OutgoingFile]) -> Callable[[OutgoingFile], int]:
    """Key that sorts files by SOP class, the classes in the order in which they occur."""
    places = {file.sop_class_uid: place for place, file in reversed(list(enumerate(files)))}
    return lambda file: places.get(file.sop_class_uid, len(files))


def _contexts(files: list[OutgoingFile]) -> list[PresentationContext]:
    """Presentation contexts of these files, each with one transfer syntax; the best ones first."""
    best = {file.contexts[0] for file in files}
    others = {context for file in files for context in file.contexts} - best
    return [build_context(*context) for context in [*sorted(best), *sorted(others)]]


def _accepted(assoc: Association) -> set[Context]:
    """Pairs of SOP class and transfer syntax that the peer accepted."""
    return {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in assoc.accepted_contexts}


def _lasts(assoc: Association) -> bool:
    return assoc.is_established and not assoc.acse.is_aborted() and assoc.dul.is_alive()


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


def _store(
    assoc: Association, file: OutgoingFile, store: StoreFile, accepted: set[Context]
) -> Outcome:
    """Send one file in the first of its contexts that is accepted.

    What a peer refuses in compressed form is sent again in another that it accepted: a proxy may
    accept what the archive behind it cannot read.
    """
    outcome = _not_accepted(file)
    for syntax in file.syntaxes:
        if (file.sop_class_uid, syntax) in accepted:
            outcome = _store_in(assoc, file, syntax, store)
            if not (syntax in COMPRESSED and may_be_for_its_syntax(outcome)):
                break
    return outcome


def _store_in(assoc: Association, file: OutgoingFile, syntax: str, store: StoreFile) -> Outcome:
    if not _lasts(assoc):
        return Outcome(verdict=Verdict.UNANSWERED, detail="the association was lost")
    try:
        if syntax == file.transfer_syntax_uid:
            status = store(file.path)
        else:
            status = _store_encoded_again(file.path, syntax, store)
    except UNREADABLE as fault:
        return unsendable(fault)
    if status is None:
        return Outcome(verdict=Verdict.UNANSWERED, detail="no answer to C-STORE")
    return judge(status)


def _store_encoded_again(path: Path, syntax: str, store: StoreFile) -> int | None:
    with tempfile.TemporaryDirectory() as folder:
        encoded = Path(folder) / "again.dcm"
        write_again(path, encoded, syntax)
        return store(encoded)


def _not_accepted(file: OutgoingFile) -> Outcome:
    kind = f"{UID(file.sop_class_uid).name} in {UID(file.transfer_syntax_uid).name}"
    return Outcome(
        verdict=Verdict.UNSUPPORTED,
        detail=f"the destination does not accept {kind}",
        about_object=False,
    )
