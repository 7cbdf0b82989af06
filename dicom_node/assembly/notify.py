"""Make the job that tells people and services outside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from config.settings import Settings
from dicom_node.notify.decision import Rules
from dicom_node.notify.job import NotifyJob, NotifyRules
from dicom_node.resources import Resources


def notify_job_of(
    settings: Settings,
    resources: Resources,
    destinations: Callable[[], Sequence[str]],
    withholds: Callable[[], bool],
) -> NotifyJob | None:
    """Make the job; None if nobody is to be told.

    Parameters
    ----------
    destinations
        Names of those that are delivered to now.
    withholds
        As `NotifyJob` takes it.
    """
    wanted = settings.notify
    if wanted.recipients_file is None:
        return None
    rules = NotifyRules(
        recipients_file=wanted.recipients_file,
        backlog=timedelta(minutes=wanted.backlog_minutes),
        rules=Rules(
            gap=timedelta(minutes=wanted.gap_minutes),
            again=timedelta(hours=wanted.again_hours) if wanted.again_hours else None,
            source=settings.node.ae_title,
        ),
    )
    return NotifyJob(resources, rules, destinations, withholds=withholds)
