"""Results as HL7 version 2 messages, for an information system that takes no DICOM."""
