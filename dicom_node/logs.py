"""Structured logging with a closed set of events and no patient data.

An event's name is short, constant and in the past tense; values go into fields. A field with the
name of a patient attribute is refused, so that no line can carry patient data by mistake.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import pydicom.config
import structlog

from dicom_node import log_tracebacks

EVENTS = frozenset(
    {
        "node_started",
        "node_draining",
        "node_stopped",
        "association_accepted",
        "association_rejected",
        "association_broken",
        "certificates_renewed",
        "certificates_unusable",
        "fast_receive_unusable",
        "context_refused",
        "instance_received",
        "instance_repeated",
        "instance_refused",
        "instance_quarantined",
        "index_delayed",
        "index_refused",
        "inbox_scanned",
        "series_closed",
        "analysis_started",
        "analysis_finished",
        "analysis_unsuitable",
        "analysis_failed",
        "analysis_lost",
        "analysis_held",
        "analysis_superseded",
        "analysis_unchanged",
        "notice_not_made",
        "wish_taken_up",
        "earlier_study_fetched",
        "earlier_study_postponed",
        "earlier_study_not_found",
        "series_purged",
        "quarantine_purged",
        "disagreement_found",
        "series_exported",
        "series_erased",
        "quarantine_reinjected",
        "delivery_accepted",
        "delivery_settled",
        "instances_indexed",
        "delivery_postponed",
        "delivery_declined",
        "delivery_refused",
        "destination_probed",
        "forms_chosen",
        "destination_not_probed",
        "commitment_requested",
        "commitment_not_requested",
        "commitment_answered",
        "commitment_given_up",
        "commitment_ignored",
        "commitment_asked_for",
        "commitment_not_reported",
        "engine_restarted",
        "clock_jumped",
        "setting_doubtful",
        "audit_delayed",
        "audit_dropped",
        "job_failed",
    }
)
FORBIDDEN_FIELDS = ("patient", "accession", "birth")


def refuse_unlisted(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Refuse events outside the closed set, and fields that may hold patient data.

    Raises
    ------
    ValueError
        If the event is not in `EVENTS`, or a field has the name of a patient attribute.
    """
    if event["event"] not in EVENTS:
        raise ValueError(f"log event {event['event']!r} is not in the closed set")
    for name in event:
        if name.startswith(FORBIDDEN_FIELDS):
            raise ValueError(f"log field {name!r} may hold patient data")
    return event


def configure(*, level: str = "info", style: Literal["json", "console"] = "json") -> None:
    """Log the node's events to standard error, and of libraries only warnings.

    pydicom reads values without validating them: its warnings would quote patient data.
    """
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            refuse_unlisted,
            log_tracebacks.without_words,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    # pynetdicom logs data sets and AE titles of peers: the events above say what matters
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
