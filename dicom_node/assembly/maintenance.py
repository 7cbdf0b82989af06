"""Make the job that removes what need not be kept."""

from __future__ import annotations

from datetime import timedelta

from config.destinations import DicomDestination
from config.settings import Settings
from dicom_node.assembly.resources import GIGABYTE
from dicom_node.maintenance.confirmed_clock import ConfirmedClock
from dicom_node.maintenance.retention import RetentionJob
from dicom_node.resources import Resources
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
            keep=timedelta(days=retention.keep_days) if retention.keep_days else None,
            committing=frozenset(
                destination.name
                for destination in settings.destinations
                if isinstance(destination, DicomDestination) and destination.verify != "no"
            ),
        ),
        free_bytes=int(retention.disk_pressure_gb * GIGABYTE),
        keep_quarantine=(
            timedelta(days=retention.quarantine_days) if retention.quarantine_days else None
        ),
    )
