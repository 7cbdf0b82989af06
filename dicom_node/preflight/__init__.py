"""Checks of `dicom-node check`: faults, what the node starts without, and doubts."""
