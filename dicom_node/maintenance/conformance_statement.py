"""Fill in the parts of documents, such as the conformance statement, that follow from the code.

A document marks such a part by two comments, ``<!-- made: NAME -->`` and ``<!-- /made -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from pydicom.sr.coding import Code
from pydicom.uid import UID, ExplicitVRLittleEndian

from config.example import settings_reference
from dicom_node.delivery.outcome import Verdict
from dicom_node.delivery.proof import judge
from dicom_node.delivery.result_classes import RESULT_CLASSES, class_name
from dicom_node.errors import NodeError
from dicom_node.maintenance.model_card import bundled_card
from dicom_node.monitoring.catalogue import rows
from dicom_node.network import status_codes as code
from dicom_node.network.presentation_contexts import DEFAULT_TRANSFER_SYNTAX
from dicom_node.network.sop_classes import (
    ACCEPTED_TRANSFER_SYNTAXES,
    DOCUMENT_TRANSFER_SYNTAXES,
    NOTIFICATION_CLASSES,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    WORKLIST_EVENT,
    WORKLIST_PULL,
    WORKLIST_WATCH,
)
from pipeline.encode.bundle import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from pipeline.encode.conformance import iod
from pipeline.encode.result import codes
from pipeline.encode.result.kinds import SUBSTITUTES
from pipeline.reasons import FailedReason, QualityFlag, RefusedReason, UnsuitableReason
from pipeline.series.sop_classes import CT_CLASSES, DOCUMENT_CLASSES

SCHEME = codes.PRIVATE_SCHEME
PART = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- /made -->)", re.DOTALL)


def fill(document: str) -> str:
    """Fill in every part that the document marks; the text between the parts stays.

    Raises
    ------
    NodeError
        If the document marks a part that does not exist.
    """
    return PART.sub(_filled, document)


def _filled(found: re.Match[str]) -> str:
    start, name, end = found.groups()
    if name not in PARTS:
        raise NodeError(f"expected one of the parts {', '.join(sorted(PARTS))}, got {name}")
    return f"{start}\n{PARTS[name]()}\n{end}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def _overview() -> str:
    received = (*CT_CLASSES, *DOCUMENT_CLASSES)
    sent = dict.fromkeys(row.sop_class for row in RESULT_CLASSES)
    verification = (UID(VERIFICATION).name, f"`{VERIFICATION}`", "yes", "yes")
    commitment = (UID(STORAGE_COMMITMENT).name, f"`{STORAGE_COMMITMENT}`", "yes", "yes")
    notifications = [(UID(uid).name, f"`{uid}`", "no", "yes") for uid in NOTIFICATION_CLASSES]
    queries = [
        (UID(uid).name, f"`{uid}`", "yes", "no")
        for uid in (
            STUDY_ROOT_FIND,
            STUDY_ROOT_MOVE,
            WORKLIST_PULL,
            WORKLIST_WATCH,
            WORKLIST_EVENT,
        )
    ]
    return _table(
        ("SOP class", "UID", "SCU", "SCP"),
        [
            verification,
            commitment,
            *notifications,
            *queries,
            *(
                (class_name(uid), f"`{uid}`", "yes", "yes" if uid in received else "no")
                for uid in sent
            ),
            *((UID(uid).name, f"`{uid}`", "no", "yes") for uid in received if uid not in sent),
        ],
    )


def _received() -> str:
    syntaxes = [(UID(uid).name, f"`{uid}`") for uid in ACCEPTED_TRANSFER_SYNTAXES]
    classes = ", ".join(UID(uid).name for uid in CT_CLASSES)
    documents = ", ".join(UID(uid).name for uid in DOCUMENT_CLASSES)
    plain = ", ".join(uid.name for uid in DOCUMENT_TRANSFER_SYNTAXES)
    return (
        f"{classes}, each in:\n\n"
        + _table(("transfer syntax", "UID"), syntaxes)
        + f"\nWith `[node] feedback = yes` (the default) {documents}, each in {plain}.\n"
    )


def _sent() -> str:
    rows = [
        (
            row.kind.replace("-", " "),
            class_name(row.sop_class),
            row.setting or "always",
            f"{row.transfer_syntax.name} (`{row.transfer_syntax}`)",
        )
        for row in RESULT_CLASSES
    ]
    explicit, default = (
        f"{uid.name} (`{uid}`)" for uid in (ExplicitVRLittleEndian, DEFAULT_TRANSFER_SYNTAX)
    )
    heads = ("object", "SOP class", "made with `[results]`", "kept in")
    return _table(heads, rows) + (
        "\nEach class is proposed in the transfer syntax in which its objects are kept, all of"
        f" them lossless (left out with `compressed = no`), in {explicit} and in {default}, each in"
        " a presentation context of its own. The first that is accepted is used: objects are"
        " decompressed or encoded again to be sent, and stay the same SOP Instances. What is"
        " refused in a compressed syntax is sent again in another that was accepted. By STOW-RS"
        f" they are sent in {explicit}; with `compressed = yes` as they are kept, with the"
        " transfer-syntax parameter in the Content-Type of the part, and where that is refused in"
        f" {explicit}.\n"
    )


def _fallbacks() -> str:
    rows = [
        (kind.replace("-", " "), ", else ".join(other.replace("-", " ") for other in others))
        for kind, others in SUBSTITUTES.items()
    ]
    return _table(("declined", "stands for it, if it has arrived"), rows)


def _answers() -> str:
    return _table(
        ("status", "meaning", "when"),
        [
            (f"`{code.SUCCESS:04X}`", "Success", "the instance survives a power cut"),
            (
                f"`{code.OUT_OF_RESOURCES:04X}`",
                "Out of resources",
                "too little space is free",
            ),
            (
                f"`{code.DATA_SET_DOES_NOT_MATCH:04X}`",
                "Data set does not match SOP class",
                "the data set names another SOP class or instance than the request; kept in"
                " quarantine",
            ),
            (
                f"`{code.CANNOT_UNDERSTAND:04X}`",
                "Cannot understand",
                "no data set, or no UID",
            ),
            (f"`{code.PROCESSING_FAILURE:04X}`", "Processing failure", "anything else"),
        ],
    )


REACTIONS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.ACCEPTED: "delivered",
        Verdict.POSTPONED: "sent again, after waits that grow, until `give_up_after_hours`",
        Verdict.UNSUPPORTED: "declined: see the fallbacks",
        Verdict.REFUSED: "refused: the series fails, and a person is told",
    }
)
STATUSES = (
    (code.SUCCESS, "Success"),
    (code.WARNING, "Warnings, B000 to BFFF"),
    (code.DUPLICATE_SOP_INSTANCE, "Duplicate SOP instance"),
    (code.PROCESSING_FAILURE, "Processing failure"),
    (code.OUT_OF_RESOURCES, "Out of resources, A700 to A7FF"),
    (code.SOP_CLASS_NOT_SUPPORTED, "SOP class not supported"),
    (code.NOT_AUTHORISED, "Not authorised"),
    (code.DATA_SET_DOES_NOT_MATCH, "Data set does not match SOP class, A900 to A9FF"),
    (code.CANNOT_UNDERSTAND, "Cannot understand, C000 to CFFF"),
)


def _reactions() -> str:
    rows = [
        (f"`{status:04X}`", words, REACTIONS[judge(status).verdict]) for status, words in STATUSES
    ]
    return _table(("status", "meaning", "what the node does"), rows)


def _attributes() -> str:
    """Modules of each SOP class, with the attributes that every object has."""
    classes = dict.fromkeys(row.sop_class for row in RESULT_CLASSES)
    return "\n".join(f"#### {class_name(uid)}\n\n{_modules(uid)}" for uid in classes)


def _modules(uid: str) -> str:
    asked: dict[str, list[str]] = {}
    for requirement in iod.requirements(uid).values():
        if requirement.type < 3:
            words = f"{requirement.keyword} ({requirement.type})"
            asked.setdefault(requirement.module, []).append(words)
    rows = [
        (module, usage, ", ".join(asked.get(module, [])) or "–")
        for module, usage in iod.modules(uid)
        if usage == "M" or module in asked
    ]
    return _table(("module", "usage", "attributes always present (type)"), rows)


def _codes() -> str:
    defined = [value for value in vars(codes).values() if isinstance(value, Code)]
    defined += codes.PREDICTION_SETS.values()
    ours = {
        (f"`{code.value}`", code.meaning) for code in defined if code.scheme_designator == SCHEME
    }
    return f"Coding scheme designator `{SCHEME}`.\n\n" + _table(("code", "meaning"), sorted(ours))


def _implementation() -> str:
    return _table(
        ("", "value"),
        [
            ("Implementation Class UID of files", f"`{IMPLEMENTATION_CLASS_UID}`"),
            ("Implementation Version Name of files", f"`{IMPLEMENTATION_VERSION_NAME}`"),
        ],
    )


def _reasons(kind: type[UnsuitableReason | FailedReason | QualityFlag | RefusedReason]) -> str:
    rows = [(f"`{reason}`", reason.sentence) for reason in kind]
    return _table(("code", "meaning, and what can be done"), rows)


PARTS: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "overview": _overview,
        "received": _received,
        "sent": _sent,
        "fallbacks": _fallbacks,
        "answers": _answers,
        "reactions": _reactions,
        "attributes": _attributes,
        "codes": _codes,
        "implementation": _implementation,
        "settings": settings_reference,
        "metrics": lambda: _table(("metric", "kind", "labels", "what it says"), rows()),
        "model-card": bundled_card,
        "unsuitable": lambda: _reasons(UnsuitableReason),
        "failed": lambda: _reasons(FailedReason),
        "quality": lambda: _reasons(QualityFlag),
        "refused": lambda: _reasons(RefusedReason),
    }
)
