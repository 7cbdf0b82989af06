"""Tables of the codes and code meanings by which a document says its answer.

The titles of rejection are those of DICOM (PS3.16 CID 7010) and of dcm4chee. The text of IHE's
profile of AI result assessments (AIRA) was not at hand: its words stand here as the creator of
pacs_system writes them, and as anybody would. A code that is not here is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.feedback.answers import Answer, Concept

TITLES: Mapping[tuple[str, str], tuple[Answer, str]] = MappingProxyType(
    {
        ("113001", "DCM"): (Answer.REJECTED, "quality"),
        ("113037", "DCM"): (Answer.REJECTED, "patient safety"),
        ("113038", "DCM"): (Answer.REJECTED, "incorrect worklist entry"),
        ("113039", "DCM"): (Answer.EXPIRED, "retention time over"),
        ("REVOKE_REJECTION", "99DCM4CHEE"): (Answer.REVOKED, ""),
    }
)
"""Titles of Key Object Selections that are rejection notes (IHE RAD TF-3 4.66, PS3.16 CID 7010)."""

DOCUMENT_TITLE_MODIFIER = "113011"  #: DCM; why something is of bad quality, CID 7011
KEY_OBJECT_DESCRIPTION = "113012"  #: DCM
PERSON_OBSERVER_NAME = "121008"  #: DCM, PS3.16 TID 1003
ROLES = ("121011", "121010")  #: DCM; in this procedure, in the organization
TRACKING_UID = "112040"  #: DCM, Tracking Unique Identifier

ASSESSMENT_TITLES = frozenset({"ai result assessment", "assessment of ai result"})
DECISION_NAMES = frozenset(
    {
        "assessment",
        "assessment decision",
        "assessment of ai result",
        "assessment of finding",
        "ai result assessment",
        "decision",
    }
)
REASON_NAMES = frozenset(
    {
        "reason",
        "reason for rejection",
        "reason for modification",
        "rejection reason",
        "modification reason",
    }
)
ANSWERS: Mapping[str, Answer] = MappingProxyType(
    {
        **dict.fromkeys(
            ("accept", "accepted", "agree", "ai result accepted", "true positive"),
            Answer.ACCEPTED,
        ),
        **dict.fromkeys(
            ("reject", "rejected", "disagree", "ai result rejected", "false positive"),
            Answer.REJECTED,
        ),
        **dict.fromkeys(
            ("modify", "modified", "ai result modified", "accepted with modifications"),
            Answer.MODIFIED,
        ),
    }
)
"""Meanings in lower case; and what stands behind the last hyphen of a code such as AIRA-ACCEPT."""


def answer_of(concept: Concept) -> Answer:
    """Look up the answer that a coded decision says: by its meaning, else by its value."""
    for words in (normal(concept.meaning), normal(concept.value.rpartition("-")[2])):
        if words in ANSWERS:
            return ANSWERS[words]
    return Answer.UNCLEAR


def normal(words: str) -> str:
    """Write words as the tables do."""
    return " ".join(words.casefold().split())
