"""Log what waiting for the end of series cost, by sender."""

from __future__ import annotations

from datetime import timedelta

from dicom_node.logs import log
from dicom_node.resources import Resources
from storage.series.closings import waits

LOGGED = timedelta(days=1)  #: whose closings are summed up


def log_waits(resources: Resources) -> None:
    """Log a line for each sender of which a series was closed since a day."""
    with resources.sessions.reading() as session:
        lines = waits(session, resources.clock() - LOGGED)
    for line in lines:
        log.info(
            "waiting_summed_up",
            calling_ae=line.calling_ae,
            series=line.series,
            median_seconds=round(line.median_seconds, 1),
            p95_seconds=round(line.p95_seconds, 1),
            closed_by=dict(line.closed_by),
            too_early=dict(line.too_early),
        )
