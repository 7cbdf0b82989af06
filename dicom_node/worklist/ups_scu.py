"""Unified Procedure Step SCU, of the Pull and Watch SOP classes (PS3.4 Annex CC)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from pydicom import Dataset
from pydicom.tag import BaseTag
from pynetdicom.association import Association

from dicom_node.errors import NodeError
from dicom_node.network.association import Peer, associate
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.pynetdicom_internals.reactor_pause import reactor_paused
from dicom_node.network.sop_classes import WORK_ITEM, WORKLIST_PULL, WORKLIST_WATCH
from dicom_node.network.status_codes import (
    GENERAL_WARNINGS,
    NO_SUCH_SOP_INSTANCE,
    NO_SUCH_WORK_ITEM,
    PENDING,
    SUCCESS,
    WORK_ITEM_WARNINGS,
)

CHANGE_STATE, SUBSCRIBE = 1, 3  #: Action Type IDs, PS3.4 Table CC.2.1-1 and CC.2.3-1
MAXIMUM_ANSWERS = 1_000  #: to one query; a manager that sends more does not end
UNKNOWN = frozenset({NO_SUCH_SOP_INSTANCE, NO_SUCH_WORK_ITEM})


class ManagerFailed(NodeError):
    """The manager cannot be reached, or did not answer: nothing is known of what was asked."""


class ItemRefused(NodeError):
    """The manager does not show a work item that it has.

    Parameters
    ----------
    status
        Its answer.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the manager answered 0x{status:04X} to N-GET")


@dataclass(frozen=True, slots=True)
class UpsManager:
    """An association to a worklist manager."""

    assoc: Association

    def offers(self, sop_class: str) -> bool:
        """Tell whether the manager has accepted a SOP class."""
        return any(context.abstract_syntax == sop_class for context in self.assoc.accepted_contexts)

    def find(self, keys: Dataset) -> list[Dataset]:
        """Ask by C-FIND for work items.

        Raises
        ------
        ManagerFailed
            If the query did not come to its end.
        """
        self._require_open()
        matches: list[Dataset] = []
        answers = self.assoc.send_c_find(keys, WORKLIST_PULL)
        for status, match in islice(answers, MAXIMUM_ANSWERS):
            code = status.get("Status")
            if code in PENDING:
                matches += [match] if match is not None else []
            elif code == SUCCESS:
                return matches
            else:
                raise ManagerFailed(f"the manager answered {_shown(code)} to C-FIND")
        self.assoc.abort()
        raise ManagerFailed(f"the manager sent {MAXIMUM_ANSWERS} answers to C-FIND, and more")

    def get(self, uid: str, tags: Sequence[BaseTag]) -> Dataset | None:
        """Get attributes of a work item; None if the manager does not know it.

        Raises
        ------
        ManagerFailed
            If there is no answer.
        ItemRefused
            If it is refused otherwise.
        """
        self._require_open()
        answer, ds = self.assoc.send_n_get(list(tags), WORK_ITEM, uid, meta_uid=WORKLIST_PULL)
        status = _status(answer, "N-GET")
        if status in UNKNOWN:
            return None
        if ds is None or not is_done(status):
            raise ItemRefused(status)
        return ds

    def set(self, uid: str, attributes: Dataset) -> int:
        """Set attributes of a work item; return the status.

        Raises
        ------
        ManagerFailed
            If there is no answer.
        """
        self._require_open()
        answer, _ = self.assoc.send_n_set(attributes, WORK_ITEM, uid, meta_uid=WORKLIST_PULL)
        return _status(answer, "N-SET")

    def change_state(self, uid: str, transaction_uid: str, state: str) -> int:
        """Have a work item change its state; return the status.

        Parameters
        ----------
        state
            Procedure Step State (0074,1000).

        Raises
        ------
        ManagerFailed
            If there is no answer.
        """
        information = Dataset()
        information.ProcedureStepState, information.TransactionUID = state, transaction_uid
        return self._act(uid, CHANGE_STATE, information, WORKLIST_PULL)

    def subscribe(self, uid: str, ae_title: str) -> int | None:
        """Have events of a work item reported to an AE; None if the manager offers no such thing.

        Raises
        ------
        ManagerFailed
            If there is no answer.
        """
        if not self.offers(WORKLIST_WATCH):
            return None
        information = Dataset()
        information.ReceivingAE, information.DeletionLock = ae_title, "FALSE"
        return self._act(uid, SUBSCRIBE, information, WORKLIST_WATCH)

    def _act(self, uid: str, action: int, information: Dataset, context: str) -> int:
        self._require_open()
        answer, _ = self.assoc.send_n_action(information, action, WORK_ITEM, uid, meta_uid=context)
        return _status(answer, "N-ACTION")

    def _require_open(self) -> None:
        if not self.assoc.is_established:
            raise ManagerFailed("the manager has ended the association")


@contextmanager
def ups_manager(peer: Peer, *, calling_ae: str) -> Iterator[UpsManager]:
    """Open an association to a worklist manager.

    Raises
    ------
    ManagerFailed
        If it cannot be reached, or is none.
    """
    contexts = service_contexts(WORKLIST_PULL, WORKLIST_WATCH)
    assoc, trouble = associate(peer, contexts, calling_ae=calling_ae)
    if not assoc.is_established:
        raise ManagerFailed(trouble)
    manager = UpsManager(assoc)
    try:
        if not manager.offers(WORKLIST_PULL):
            raise ManagerFailed(f"{peer.ae_title} takes no Unified Procedure Steps (Pull)")
        with reactor_paused(assoc):
            yield manager
    finally:
        if assoc.is_established:
            assoc.release()


def is_done(status: int) -> bool:
    """Tell whether a status says that the request was done, with a remark or without."""
    return status == SUCCESS or status in GENERAL_WARNINGS or status in WORK_ITEM_WARNINGS


def _status(answer: Dataset, request: str) -> int:
    status = answer.get("Status")
    if status is None:
        raise ManagerFailed(f"no answer to {request}")
    return int(status)


def _shown(code: int | None) -> str:
    return "nothing" if code is None else f"0x{code:04X}"
