"""Find whether a host name is one of this machine's, so that nobody sends results to himself."""

from __future__ import annotations

import socket

EVERY_INTERFACE = {"", "0.0.0.0", "::"}  # noqa: S104  # compared, not bound


def is_own(host: str, bind: str) -> bool:
    """Tell whether a receiver bound to `bind` is reached under a host name; False if unknown."""
    own = bind in EVERY_INTERFACE
    return any(address == bind or (own and _is_here(address)) for address in addresses_of(host))


def addresses_of(host: str) -> set[str]:
    """Look a host name up; nothing if it is not known."""
    try:
        return {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):  # not known, or no name at all
        return set()


def _is_here(address: str) -> bool:
    """Tell whether an address is of this machine: only then can we bind to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
