"""Make the job that removes what need not be kept."""

from __future__ import annotations

from datetime import timedelta

from config.destinations import DicomDestination
from config.settings import Settings
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import RetentionJob, RowRetention
from dicom_node.resources import Resources
from storage.files.disk import GIGABYTE
from storage.maintenance.retention import RetentionRules


def retention_of(settings: Settings, resources: Resources, clock: ConfirmedClock) -> RetentionJob:
    """Make the job of retention.

    Parameters
    ----------
    clock
        Remembers what it has confirmed, whatever the settings become.
    """
    retention = settings.retention
    return RetentionJob(
        resources=resources,
        clock=clock,
        rules=RetentionRules(
            keep=_days(retention.keep_days),
            committing=frozenset(
                destination.name
                for destination in settings.destinations
                if isinstance(destination, DicomDestination) and destination.verify != "no"
            ),
        ),
        free_bytes=int(retention.disk_pressure_gb * GIGABYTE),
        keep_quarantine=_days(retention.quarantine_days),
        rows=RowRetention(
            resources=resources,
            condense=_days(retention.condense_days),
            keep_series=_days(retention.series_days),
            keep_changes=_days(retention.changes_days),
            keep_unknown_reports=timedelta(days=settings.reports.unknown_days),
        ),
    )


def _days(days: float) -> timedelta | None:
    """Make a time of a setting, of which 0 means for ever."""
    return timedelta(days=days) if days else None
