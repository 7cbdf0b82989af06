"""Perform work items of a worklist manager: Unified Procedure Steps, PS3.4 Annex CC, IHE AIW-I."""
