"""What a destination takes: every class we may send is proposed, and the answers are kept."""

from __future__ import annotations

from collections.abc import Collection

from pydicom.uid import UID
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made at run time
    StorageCommitmentPushModel,
    Verification,
)

from dicom_node.delivery.output_forms import FALLBACK_FORMS
from dicom_node.delivery.result_classes import SENT, TRANSFER_SYNTAX, class_name
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.network.association import Peer, associate
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.delivery.capabilities import Capability, record_capabilities
from storage.delivery.substitutes import stand_in

SERVICES = (Verification, StorageCommitmentPushModel)


def proposed() -> list[UID]:
    """Every SOP class we may propose, each once."""
    return list(dict.fromkeys([*(each.sop_class for each in SENT), *SERVICES]))


def probe(peer: Peer, *, calling_ae: str) -> tuple[Capability, ...]:
    """Propose every class in one association; nothing is sent.

    Raises
    ------
    NodeError
        If there is no answer to the proposal.
    """
    contexts = [build_context(uid, TRANSFER_SYNTAX) for uid in proposed()]
    assoc, trouble = associate(peer, contexts, calling_ae=calling_ae)
    if assoc.is_established:
        assoc.release()
    elif not assoc.rejected_contexts:
        raise NodeError(trouble)
    accepted = {
        str(each.abstract_syntax): each.transfer_syntax[0] for each in assoc.accepted_contexts
    }
    return tuple(
        Capability(sop_class_uid=uid, transfer_syntax_uid=str(accepted.get(uid, "")))
        for uid in proposed()
    )


def probe_and_record(
    name: str, peer: Peer, *, calling_ae: str, resources: Resources
) -> tuple[Capability, ...]:
    """Probe a destination, keep what it takes, and log it.

    Raises
    ------
    NodeError
        As `probe`.
    """
    found = probe(peer, calling_ae=calling_ae)
    with resources.sessions.begin() as session:
        record_capabilities(session, name, found, resources.clock())
    refused = [class_name(each.sop_class_uid) for each in found if not each.is_accepted]
    log.info("destination_probed", destination=name, proposed=len(found), refused=refused)
    return found


def probe_in_background(name: str, peer: Peer, *, calling_ae: str, resources: Resources) -> None:
    """Probe in the background: a destination that does not answer is no news yet."""
    try:
        probe_and_record(name, peer, calling_ae=calling_ae, resources=resources)
    except NodeError as fault:
        log.info("destination_not_probed", destination=name, reason=str(fault))


def instead(kind: str, sop_class: str, accepted: Collection[str]) -> str:
    """Say what a destination gets in place of a kind it does not take in a class.

    Parameters
    ----------
    accepted
        SOP Class UIDs that it takes.
    """
    plainer = FALLBACK_FORMS.get(UID(sop_class))
    if plainer is not None and plainer.sop_class in accepted:
        return f"the {plainer.name}"
    kinds = {str(each.kind) for each in SENT if each.sop_class in accepted}
    other = stand_in(SUBSTITUTES, kind, kinds)
    return f"the {other.replace('-', ' ')}" if other else "nothing: the series fails"
