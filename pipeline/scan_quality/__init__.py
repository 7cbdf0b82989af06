"""Acquisition properties of a scan and the flags they raise."""
