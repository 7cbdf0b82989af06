"""Access list: the AE titles that may call, from any address or from given networks only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        if not self.allowed:
            return True
        source = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped:
            source = source.ipv4_mapped
        return any(
            caller.ae_title == ae_title.strip()
            and (caller.network is None or source in caller.network)
            for caller in self.allowed
        )


def _caller(entry: str) -> Caller:
    title, at, network = entry.rpartition("@")
    if not at:
        return Caller(ae_title=entry.strip())
    return Caller(ae_title=title.strip(), network=ipaddress.ip_network(network, strict=False))
