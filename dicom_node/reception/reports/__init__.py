"""Signed reports of the information system, as HL7 version 2 messages by MLLP."""
