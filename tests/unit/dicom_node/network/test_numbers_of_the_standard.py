"""Numbers of the standard under its names, against those of pynetdicom and pydicom."""

from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.tag import Tag
from pynetdicom import status
from pynetdicom.dimse_messages import _MESSAGE_TYPES

from dicom_node.network import command_set, status_codes

WORDS = {
    "PROCESSING_FAILURE": "Processing Failure",
    "DUPLICATE_SOP_INSTANCE": "Duplication SOP Instance",
    "INVALID_ATTRIBUTE_VALUE": "Invalid Attribute Value",
    "NO_SUCH_SOP_INSTANCE": "No Such SOP Instance",
    "INVALID_ARGUMENT_VALUE": "Invalid Argument Value",
    "CLASS_INSTANCE_CONFLICT": "Class-Instance Conflict",
    "MISSING_ATTRIBUTE": "Missing Attribute",
    "SOP_CLASS_NOT_SUPPORTED": "Refused: SOP Class Not Supported",
    "NO_SUCH_ACTION": "No Such Action",
    "NOT_AUTHORISED": "Refused: Not Authorised",
    "RESOURCE_LIMITATION": "Resource Limitation",
}
OF_THE_OBJECT = {
    *("No Such Attribute", "Invalid Attribute Value", "Invalid Argument Value"),
    *("Invalid Object Instance", "Class-Instance Conflict"),
    *("Missing Attribute", "Missing Attribute Value"),
}
ELEMENTS = {
    "GROUP_LENGTH": "CommandGroupLength",
    "AFFECTED_SOP_CLASS": "AffectedSOPClassUID",
    "COMMAND_FIELD": "CommandField",
    "MESSAGE_ID": "MessageID",
    "RESPONDED_TO": "MessageIDBeingRespondedTo",
    "PRIORITY": "Priority",
    "DATA_SET_TYPE": "CommandDataSetType",
    "STATUS": "Status",
    "AFFECTED_SOP_INSTANCE": "AffectedSOPInstanceUID",
}
REQUESTS = ("C_STORE_RQ", "C_ECHO_RQ", "N_SET_RQ", "N_CREATE_RQ", "C_STORE_RSP")


def general(kind: str) -> dict[str, int]:
    """General status codes of a category by their words (PS3.7 Annex C)."""
    return {words: code for code, (of, words) in status.GENERAL_STATUS.items() if of == kind}


def storage(kind: str, words: str) -> set[int]:
    """Status codes of C-STORE with a meaning (PS3.4 Table B.2-1)."""
    rows = status.STORAGE_SERVICE_CLASS_STATUS.items()
    return {code for code, row in rows if row == (kind, words)}


@pytest.mark.parametrize(("name", "words"), WORDS.items())
def test_general_status_codes(name: str, words: str) -> None:
    assert getattr(status_codes, name) == general("Failure")[words]


def test_sets_of_status_codes() -> None:
    failures = general("Failure")
    assert {failures[words] for words in OF_THE_OBJECT} == status_codes.OF_THE_OBJECT
    requested_attributes = 0x0001  # PS3.7 C.4.1: of the N- services alone
    warnings = {requested_attributes, *general("Warning").values()}
    assert warnings == status_codes.GENERAL_WARNINGS
    unfit, unreadable = "Data Set Does Not Match SOP Class", "Cannot Understand"
    of_object = storage("Failure", unfit) | storage("Failure", unreadable)
    assert set().union(*status_codes.OF_THE_OBJECT_RANGES) == of_object
    assert min(storage("Failure", unfit)) == status_codes.DATA_SET_DOES_NOT_MATCH
    assert min(storage("Failure", unreadable)) == status_codes.CANNOT_UNDERSTAND
    assert min(storage("Failure", "Refused: Out of Resources")) == status_codes.OUT_OF_RESOURCES
    moving = status.QR_MOVE_SERVICE_CLASS_STATUS | status.QR_FIND_SERVICE_CLASS_STATUS
    assert {c for c, (kind, _) in moving.items() if kind == "Pending"} == status_codes.PENDING


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0xB000, "Coercion of Data Elements"),
        (0xB006, "Element Discarded"),
        (0xB007, "Data Set Does Not Match SOP Class"),
    ],
)
def test_warnings_of_c_store(code: int, words: str) -> None:
    assert {code} == storage("Warning", words)
    assert code in status_codes.WARNING_MEANINGS
    assert code in status_codes.WARNING_RANGE


def test_codes_that_pynetdicom_has_under_no_name_of_their_own() -> None:
    """PS3.7 C.1 and C.4 (Success, Bxxx), PS3.18 Table I.2-2 (the transfer syntax)."""
    assert status_codes.SUCCESS == 0x0000
    assert range(0xB000, 0xC000) == status_codes.WARNING_RANGE
    assert status_codes.TRANSFER_SYNTAX_NOT_SUPPORTED == 0xC122


@pytest.mark.parametrize(("name", "keyword"), ELEMENTS.items())
def test_elements_of_a_command_set(name: str, keyword: str) -> None:
    assert Tag(tag_for_keyword(keyword) or 0).element == getattr(command_set, name)


@pytest.mark.parametrize("name", REQUESTS)
def test_command_fields(name: str) -> None:
    """PS3.7 Table E.1-1."""
    assert _MESSAGE_TYPES[getattr(command_set, name)][0] == name.replace("_", "-")


def test_values_of_priority_and_data_set_type() -> None:
    """PS3.7 9.3.1.1 and Table E.1-1."""
    assert (command_set.HIGH, command_set.LOW) == (1, 2)
    assert (command_set.NO_DATA_SET, command_set.RESPONSE) == (0x0101, 0x8000)
