"""Status codes of DIMSE and DICOMweb, under the names of the standard.

General DIMSE codes: PS3.7 Annex C. C-STORE: PS3.4 Table B.2-1. C-FIND and C-MOVE: PS3.4 Tables
C.4-1 and C.4-2. Work items: PS3.4 Annex CC. The Failure Reason (0008,1197) of storage commitment
(PS3.3 C.14.1.1) and of STOW-RS (PS3.18 Table I.2-2) uses the same numbers for the same meanings.
HTTP status codes: PS3.18 Table 10.5.3-1.
"""

from __future__ import annotations

from http import HTTPStatus

SUCCESS = 0x0000
PENDING = frozenset({0xFF00, 0xFF01})  #: of C-FIND and C-MOVE: more responses follow

PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111  #: the peer has it already
INVALID_ATTRIBUTE_VALUE = 0x0106
NO_SUCH_SOP_INSTANCE = 0x0112
INVALID_ARGUMENT_VALUE = 0x0115
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION = 0x0123
NOT_AUTHORISED = 0x0124
RESOURCE_LIMITATION = 0x0213  #: of the N- services and of storage commitment

OUT_OF_RESOURCES = 0xA700  #: of C-STORE and STOW-RS; the first of its range
DATA_SET_DOES_NOT_MATCH = 0xA900  #: the SOP class, or the study addressed
WARNING = 0xB000  #: stored, with a remark; the first of its range
CANNOT_UNDERSTAND = 0xC000
TRANSFER_SYNTAX_NOT_SUPPORTED = 0xC122  #: of STOW-RS

NO_LONGER_UPDATED = 0xC300  #: of a work item that has ended; PS3.4 Tables CC.2.1-2 and CC.2.6-2
WRONG_TRANSACTION_UID = 0xC301
ALREADY_IN_PROGRESS = 0xC302
NO_SUCH_WORK_ITEM = 0xC307
WORK_ITEM_WARNINGS = range(0xB300, 0xB400)  #: done, coerced, or in the requested state before

WARNING_RANGE = range(WARNING, CANNOT_UNDERSTAND)
GENERAL_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  #: done, with a remark: PS3.7 C.4
WARNING_MEANINGS = {
    0xB000: "it changed attributes",
    0xB006: "it left elements out",
    0xB007: "it found that the data set does not match the SOP class",
}
"""What warnings of C-STORE and STOW-RS say (PS3.4 Table B.2-1, PS3.18 Table I.2-1)."""
OF_THE_OBJECT = frozenset({0x0105, 0x0106, 0x0115, 0x0117, 0x0119, 0x0120, 0x0121})
"""Failures for what is in the object or its identifiers (PS3.7 C.5); of all others the SCP may
change its mind: its resources, its configuration, whom it lets in."""
OF_THE_OBJECT_RANGES = (range(DATA_SET_DOES_NOT_MATCH, 0xAA00), range(CANNOT_UNDERSTAND, 0xD000))
"""Failures of C-STORE for what is in the object (PS3.4 Table B.2-1)."""

HTTP_ALL_STORED = HTTPStatus.OK
HTTP_SOME_STORED = HTTPStatus.ACCEPTED  #: or all, with warnings
HTTP_NONE_STORED = HTTPStatus.CONFLICT
HTTP_NO_ROOM = HTTPStatus.SERVICE_UNAVAILABLE
HTTP_BUSY = HTTPStatus.SERVICE_UNAVAILABLE
