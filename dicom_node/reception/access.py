"""Access list: the AE titles that may call, from any address or from given networks only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from dicom_node.network.addresses.networks import Network, source_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An AE title that may call; `network` is None if it may from any address."""

    ae_title: str
    network: Network | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCallers:
    """The callers that are allowed; an empty list allows everybody."""

    allowed: tuple[Caller, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> AllowedCallers:
        """Read entries such as ``CT1`` and ``ROUTER@10.1.0.0/16``.

        Raises
        ------
        ValueError
            If what follows the last ``@`` is no address and no network.
        """
        return cls(allowed=tuple(map(_caller, entries)))

    def may_call(self, ae_title: str, address: str) -> bool:
        """Say whether a peer of this AE title and address may call."""
        return not self.why_not(ae_title, address)

    def why_not(self, ae_title: str, address: str) -> str:
        """Say why a peer of this AE title and address may not call; empty if it may.

        AE titles are told apart by upper and lower case (PS3.5 6.2): people often do not.
        """
        if not self.allowed:
            return ""
        title = ae_title.strip()
        known = [caller for caller in self.allowed if caller.ae_title == title]
        if known:
            source = source_of(address)
            may = any(caller.network is None or source in caller.network for caller in known)
            return "" if may else "its AE title may not call from this address"
        if any(caller.ae_title.casefold() == title.casefold() for caller in self.allowed):
            return "its AE title is known in other upper and lower case only"
        return "its AE title is not one of those that may call"


def _caller(entry: str) -> Caller:
    title, at, network = entry.rpartition("@")
    if not at:
        return Caller(ae_title=entry.strip())
    return Caller(ae_title=title.strip(), network=ipaddress.ip_network(network, strict=False))
