"""Results as FHIR R4B resources, for a server that takes no DICOM."""
