"""Tell whether the address of a peer is of given networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """Networks that settings name."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Networks:
        """Read entries such as ``10.1.0.7`` and ``10.2.0.0/16``.

        Raises
        ------
        ValueError
            If one is no address and no network.
        """
        return cls(networks=tuple(ipaddress.ip_network(one, strict=False) for one in entries))

    def include(self, address: str) -> bool:
        """Say whether an address is of one of them; what is no address is of none."""
        try:
            source = source_of(address)
        except ValueError:
            return False
        return any(source in network for network in self.networks)


def source_of(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Read the address of a peer; IPv4 mapped into IPv6 is IPv4.

    Raises
    ------
    ValueError
        If it is no address.
    """
    source = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped:
        return source.ipv4_mapped
    return source
