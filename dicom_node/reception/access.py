"""Who may call: AE titles, each from anywhere or from given addresses only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An AE title that may call; `network` is None if it may from anywhere."""

    ae_title: str
    network: Network | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCallers:
    """All that may call; none means anybody."""

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
        """Whether a peer of this title and address may call."""
        if not self.allowed:
            return True
        from_where = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(from_where, ipaddress.IPv6Address) and from_where.ipv4_mapped:
            from_where = from_where.ipv4_mapped
        return any(
            each.ae_title == ae_title.strip()
            and (each.network is None or from_where in each.network)
            for each in self.allowed
        )


def _caller(entry: str) -> Caller:
    title, at, network = entry.rpartition("@")
    if not at:
        return Caller(ae_title=entry.strip())
    return Caller(ae_title=title.strip(), network=ipaddress.ip_network(network, strict=False))
