"""Make what tells when series are complete."""

from __future__ import annotations

from functools import partial

from config.settings import Settings
from dicom_node.assembly.security import credentials_of
from dicom_node.closing.archive_counts import MAXIMUM_COUNT, ArchiveCounts, count_by_find
from dicom_node.closing.policy import ClosingPolicy
from dicom_node.network.association import Peer
from dicom_node.reception.transfers import Transfers
from dicom_node.resources import Resources

ASK_SECONDS = 10.0  #: longest wait for an archive; a series waits for it no longer than a minute


def closing_policy_of(settings: Settings) -> ClosingPolicy:
    """Say how long series wait."""
    closing, selection = settings.closing, settings.selection
    return ClosingPolicy(
        quiet_seconds=closing.quiet_seconds,
        quiet_seconds_by_ae=closing.quiet_seconds_by_ae,
        regular_seconds=closing.quiet_seconds_regular,
        regular_seconds_by_ae=closing.quiet_seconds_regular_by_ae,
        min_slices=selection.min_slices,
        min_coverage_mm=selection.min_coverage_mm,
    )


def archive_counts_of(
    settings: Settings, resources: Resources, transfers: Transfers
) -> ArchiveCounts:
    """Make who asks archives, by TLS if our port speaks TLS.

    Where receivers share the storage folder nobody knows how many instances had come when an
    archive gave its answer: more than it ever counts, so that its count proves nothing.
    """
    shares = bool(settings.node.receiver)
    return ArchiveCounts(
        archives_of(settings),
        partial(count_by_find, calling_ae=settings.node.ae_title),
        (lambda _: MAXIMUM_COUNT + 1) if shares else transfers.received,
        resources.health,
    )


def archives_of(settings: Settings) -> dict[str, Peer]:
    """Say which archives are asked, by the sender of a series.

    Raises
    ------
    NodeError
        If our port speaks TLS, and there are no files for that.
    """
    return {sender: _peer(entry, settings) for sender, entry in settings.closing.ask.items()}


def _peer(entry: str, settings: Settings) -> Peer:
    ae_title, _, where = entry.rpartition("@")
    host, _, port = where.rpartition(":")
    tls = credentials_of(settings.tls) if settings.tls.receive else None
    return Peer(ae_title=ae_title, host=host, port=int(port), timeout_seconds=ASK_SECONDS, tls=tls)
