"""Make what watches scanners."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from config.settings import Settings
from dicom_node.drift.job import DriftJob, DriftRules
from dicom_node.reception.header import Unreadable, equipment_of, read_header
from dicom_node.resources import Resources
from storage.series.instance_facts import EquipmentFacts


def drift_rules_of(settings: Settings) -> DriftRules:
    """Say what is done about scanners that change."""
    return DriftRules(action=settings.drift.action, reference=settings.drift.reference_series)


def drift_job_of(settings: Settings, resources: Resources) -> DriftJob:
    """Make the job that watches scanners."""
    return DriftJob(
        resources=resources, rules=drift_rules_of(settings), read_equipment=read_equipment
    )


def prepared(job: DriftJob, settings: Settings) -> Callable[[], None]:
    """Make what follows from other settings; return what takes it up, and cannot fail."""
    rules = drift_rules_of(settings)
    return lambda: job.take(rules)


def read_equipment(path: Path) -> EquipmentFacts:
    """Read from an image what made it.

    Raises
    ------
    ValueError
        If it cannot be parsed.
    """
    try:
        return equipment_of(read_header(path).texts)
    except Unreadable as fault:
        raise ValueError(str(fault)) from fault
