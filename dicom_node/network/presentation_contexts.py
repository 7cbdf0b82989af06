"""Presentation contexts that we propose: each with one transfer syntax, the default in all cases.

A peer that takes implicit VR little endian only is entitled to be asked for it (PS3.5 10.1 a): an
AE that proposes an abstract syntax shall offer the default transfer syntax in at least one of its
presentation contexts. In a context of its own it is seen by peers, too, that look at the first
syntax of a list only, and it does not take the place of the one that is wanted.
"""

from __future__ import annotations

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.presentation import PresentationContext, build_context

DEFAULT_TRANSFER_SYNTAX = ImplicitVRLittleEndian  #: PS3.5 10.1
SERVICE_TRANSFER_SYNTAXES = (DEFAULT_TRANSFER_SYNTAX, ExplicitVRLittleEndian)
"""Of C-ECHO, C-FIND, C-MOVE, N-ACTION and N-EVENT-REPORT, in the order of preference."""


def service_contexts(*sop_classes: str) -> list[PresentationContext]:
    """Presentation contexts of services, whose data sets we encode as the peer likes."""
    return [
        build_context(sop_class, syntax)
        for sop_class in sop_classes
        for syntax in SERVICE_TRANSFER_SYNTAXES
    ]
