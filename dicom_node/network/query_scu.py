"""Query/Retrieve SCU (PS3.4 Annex C): query an archive, and have objects sent to an AE."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom.association import Association

from dicom_node.errors import NodeError
from dicom_node.network.association import Peer, associate
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_MOVE
from dicom_node.network.status_codes import PENDING, SUCCESS

MAXIMUM_ANSWERS = 1_000  #: to one request; an archive that sends more does not end
MAXIMUM_MATCHES = 500  #: of one query; with more matches the query is too broad


Answer = tuple[Dataset, Dataset | None]  #: status, and match


class QueryFailed(NodeError):
    """An archive did not answer a request, or refused it."""


@dataclass(frozen=True, slots=True)
class Archive:
    """An association to an archive."""

    assoc: Association

    def find(self, keys: Dataset, *, limit: int = MAXIMUM_MATCHES) -> list[Dataset]:
        """Ask by C-FIND; return the matches, at most so many.

        Raises
        ------
        QueryFailed
            If the query did not come to its end.
        """
        matches: list[Dataset] = []
        answers = self.assoc.send_c_find(keys, STUDY_ROOT_FIND)
        for status, match in self._counted("C-FIND", answers):
            code = status.get("Status")
            if code in PENDING and match is not None and len(matches) < limit:
                matches.append(match)
            elif code not in PENDING:
                _require_success("C-FIND", code)
        return matches

    def move(self, keys: Dataset, ae_title: str) -> None:
        """Have all matches sent to an AE by C-MOVE.

        Raises
        ------
        QueryFailed
            If the request did not come to its end, or not all matches were sent.
        """
        answers = self.assoc.send_c_move(keys, ae_title, STUDY_ROOT_MOVE)
        for status, _ in self._counted("C-MOVE", answers):
            code = status.get("Status")
            if code not in PENDING:
                _require_success("C-MOVE", code)

    def _counted(self, request: str, answers: Iterator[Answer]) -> Iterator[Answer]:
        for number, answer in enumerate(answers):
            if number >= MAXIMUM_ANSWERS:
                self.assoc.abort()
                raise QueryFailed(
                    f"the archive sent more than {MAXIMUM_ANSWERS} answers to {request}"
                )
            yield answer


def _require_success(request: str, code: int | None) -> None:
    if code is None:
        raise QueryFailed(f"no answer to {request}")
    if code != SUCCESS:
        raise QueryFailed(f"the archive answered 0x{code:04X} to {request}")


@contextmanager
def archive(peer: Peer, *, calling_ae: str) -> Iterator[Archive]:
    """Open an association to an archive.

    Raises
    ------
    QueryFailed
        If the archive cannot be reached, or does not answer queries.
    """
    contexts = service_contexts(STUDY_ROOT_FIND, STUDY_ROOT_MOVE)
    assoc, trouble = associate(peer, contexts, calling_ae=calling_ae)
    if not assoc.is_established:
        raise QueryFailed(trouble)
    try:
        with reactor_paused(assoc):
            yield Archive(assoc)
    except ValueError as refused:  # what pynetdicom raises for a context that was not accepted
        raise QueryFailed(f"{peer.ae_title} does not answer queries") from refused
    finally:
        if assoc.is_established:
            assoc.release()


def keys(level: str, **values: str) -> Dataset:
    """Make the Identifier of a request; keys with an empty value are to be returned."""
    ds = Dataset()
    ds.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds
