"""Probe which SOP classes a destination accepts: propose every class, and record the answers.

Each is proposed in the presentation contexts in which it is used.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from pydicom.uid import UID
from pynetdicom.presentation import build_context

from dicom_node.delivery.encoding.uncompressed import COMPRESSED, syntaxes
from dicom_node.delivery.fallback_forms import FALLBACK_FORMS
from dicom_node.delivery.result_classes import RESULT_CLASSES, class_name
from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.network.association import Peer, associate
from dicom_node.network.presentation_contexts import service_contexts
from dicom_node.network.sop_classes import (
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES, TRANSFER_SYNTAXES, ResultKind
from storage.delivery.capabilities import Capability, record_capabilities
from storage.delivery.substitutes import stand_in

WITHOUT_CONSEQUENCE: Mapping[str, str] = MappingProxyType(
    {
        ResultKind.NOTICE: "nothing",
        ResultKind.REJECTION_NOTE: "nothing: no note is made",
    }
)
"""Kinds that no other says, and whose series does not fail where they are declined."""
SERVICES = (VERIFICATION, STORAGE_COMMITMENT, STUDY_ROOT_FIND, STUDY_ROOT_MOVE)


def proposed() -> list[UID]:
    """SOP classes of all results and of the services, without repetition."""
    return list(dict.fromkeys([*(sent.sop_class for sent in RESULT_CLASSES), *SERVICES]))


def probe(peer: Peer, *, calling_ae: str, compressed: bool = True) -> tuple[Capability, ...]:
    """Propose every class in one association; nothing is sent.

    Parameters
    ----------
    compressed
        Whether compressed transfer syntaxes are proposed, as they are in sending.

    Raises
    ------
    NodeError
        If there is no answer to the proposal.
    """
    contexts = [
        build_context(uid, syntax)
        for uid, kept in TRANSFER_SYNTAXES.items()
        for syntax in syntaxes(kept)
        if compressed or syntax not in COMPRESSED
    ]
    contexts += service_contexts(*SERVICES)
    assoc, trouble = associate(peer, contexts, calling_ae=calling_ae)
    if assoc.is_established:
        assoc.release()
    elif not assoc.rejected_contexts:
        raise NodeError(trouble)
    accepted: dict[str, str] = {}
    for context in assoc.accepted_contexts:  # in the order of the proposal: the first is used
        accepted.setdefault(str(context.abstract_syntax), str(context.transfer_syntax[0]))
    return tuple(
        Capability(sop_class_uid=uid, transfer_syntax_uid=accepted.get(uid, ""))
        for uid in proposed()
    )


def instead(kind: str, sop_class: str, accepted: Collection[str]) -> str:
    """Name the object that a destination gets instead of a kind in a class that it declines.

    Parameters
    ----------
    accepted
        SOP Class UIDs that it accepts.
    """
    fallback = FALLBACK_FORMS.get(UID(sop_class))
    if fallback is not None and fallback.sop_class in accepted:
        return f"the {fallback.name}"
    kinds = {str(sent.kind) for sent in RESULT_CLASSES if sent.sop_class in accepted}
    if kind in WITHOUT_CONSEQUENCE:
        return WITHOUT_CONSEQUENCE[kind]
    other = stand_in(SUBSTITUTES, kind, kinds)
    return f"the {other.replace('-', ' ')}" if other else "nothing: the series fails"


def record_probe(name: str, answers: tuple[Capability, ...], resources: Resources) -> None:
    """Record under the name of a destination what it accepts, and log it."""
    with resources.sessions.begin() as session:
        record_capabilities(session, name, answers, resources.clock())
    refused = [class_name(answer.sop_class_uid) for answer in answers if not answer.is_accepted]
    log.info("destination_probed", destination=name, proposed=len(answers), refused=refused)
