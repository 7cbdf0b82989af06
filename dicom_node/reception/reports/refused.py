"""Refusals of messages, in the words and codes of HL7."""

from __future__ import annotations

from enum import IntEnum

from dicom_node.errors import NodeError


class ErrorCode(IntEnum):
    """Message error condition codes (HL7 2.5.1, table 0357)."""

    REQUIRED_FIELD_MISSING = 101
    DATA_TYPE_ERROR = 102
    TABLE_VALUE_NOT_FOUND = 103
    UNSUPPORTED_MESSAGE_TYPE = 200
    UNSUPPORTED_EVENT_CODE = 201
    UNSUPPORTED_PROCESSING_ID = 202
    UNSUPPORTED_VERSION_ID = 203
    APPLICATION_INTERNAL_ERROR = 207


class MessageRefused(NodeError):
    """A message is not taken.

    Parameters
    ----------
    reason
        For people; quotes nothing of the message.
    is_rejected
        Whether it is answered AR: it is for another, or may be sent again later. Else AE: as it
        is, it is never taken.
    """

    def __init__(self, reason: str, code: ErrorCode, *, is_rejected: bool = False) -> None:
        super().__init__(reason)
        self.code, self.is_rejected = code, is_rejected


def fault(reason: str, code: ErrorCode) -> MessageRefused:
    """Refuse for what the message is (AE)."""
    return MessageRefused(reason, code)


def rejection(reason: str, code: ErrorCode) -> MessageRefused:
    """Refuse for what the message is not meant for, or for now (AR)."""
    return MessageRefused(reason, code, is_rejected=True)
