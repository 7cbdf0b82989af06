"""Structured logging with a closed set of events and no patient data.

An event's name is short, constant and in the past tense; values go into fields. A field with the
name of a patient attribute is refused, so that no line can carry patient data by mistake.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
import warnings
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pydicom.config
import structlog
from structlog.typing import Processor

from config.settings import LogSettings
from dicom_node import log_tracebacks
from dicom_node.errors import NodeError
from dicom_node.library_log import LibraryHandler, log_warning
from dicom_node.log_writer import LogFile, LogWriter, WriterStream

EVENTS = frozenset(
    {
        "node_started",
        "node_draining",
        "node_stopped",
        "node_starting",
        "stop_given_up",
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
        "drain_begun",
        "drain_ended",
        "instance_quarantined",
        "index_delayed",
        "index_refused",
        "inbox_scanned",
        "copies_removed",
        "series_closed",
        "archive_counted",
        "decision_recorded",
        "decision_not_recorded",
        "manifest_not_kept",
        "notification_kept",
        "notification_sent",
        "notification_not_sent",
        "notification_not_noted",
        "worklist_away",
        "workitem_claimed",
        "workitem_ended",
        "workitem_left",
        "workitem_not_subscribed",
        "workitem_postponed",
        "workitem_cancel_requested",
        "workitem_images_fetched",
        "workitem_images_not_fetched",
        "waiting_summed_up",
        "ends_not_seen",
        "analysis_begun_ahead",
        "analysis_ahead_failed",
        "analysis_started",
        "analysis_finished",
        "results_begun",
        "results_not_begun",
        "analysis_unsuitable",
        "analysis_failed",
        "analysis_lost",
        "analysis_held",
        "analysis_superseded",
        "analysis_unchanged",
        "notice_not_made",
        "feedback_received",
        "report_kept",
        "report_overtaken",
        "report_passed_over",
        "report_refused",
        "reports_forgotten",
        "wish_taken_up",
        "earlier_study_fetched",
        "earlier_study_postponed",
        "earlier_study_not_found",
        "series_purged",
        "retention_waits_for_backup",
        "quarantine_purged",
        "rows_condensed",
        "rows_forgotten",
        "disagreement_found",
        "file_unreadable",
        "removal_failed",
        "drift_found",
        "scanner_changed",
        "shadow_failed",
        "shadow_finished",
        "shadow_stopped",
        "self_test_begun",
        "self_test_canceled",
        "self_test_failed",
        "self_test_passed",
        "series_exported",
        "series_erased",
        "quarantine_reinjected",
        "delivery_accepted",
        "delivery_settled",
        "instances_indexed",
        "delivery_postponed",
        "delivery_declined",
        "delivery_refused",
        "delivery_overtaken",
        "destination_paused",
        "destination_probed",
        "destination_resumed",
        "forms_chosen",
        "destination_not_probed",
        "console_connection_ended",
        "console_login_failed",
        "console_page_failed",
        "console_ready",
        "console_token_refused",
        "commitment_requested",
        "commitment_not_requested",
        "commitment_answered",
        "commitment_given_up",
        "commitment_ignored",
        "commitment_asked_for",
        "commitment_not_reported",
        "files_sent",
        "files_not_sent",
        "engine_away",
        "engine_connected",
        "engine_ready",
        "scheduler_ready",
        "worker_fit",
        "worker_joined",
        "worker_parted",
        "worker_idle",
        "worker_left_out",
        "worker_restarted",
        "clock_jumped",
        "copy_restored",
        "identity_keyed",
        "identity_forgotten",
        "receiver_joined",
        "receiver_waits",
        "self_test_left_out",
        "receiver_standby",
        "receiver_active",
        "receiver_ended",
        "receiver_lost",
        "election_delayed",
        "lease_awaited",
        "library_complained",
        "lease_lost",
        "lease_not_noted",
        "lease_not_released",
        "lease_not_renewed",
        "lease_taken",
        "setting_doubtful",
        "settings_need_restart",
        "settings_not_kept",
        "settings_refused",
        "settings_taken_up",
        "audit_delayed",
        "audit_dropped",
        "job_failed",
        "part_ended",
        "part_restarted",
        "log_lines_lost",
        "monitoring_away",
        "monitoring_connection_ended",
        "threads_left",
    }
)
LINES_A_MINUTE = 1_000  #: of one event: what a stranger can provoke must not fill the disk
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


class LineLimit:
    """Limits how many lines of one event are written in a minute.

    The next line that is written says how many were left out (``suppressed``).

    Parameters
    ----------
    lines
        Most lines of one event in a minute.
    steady
        Monotonic clock, seconds.
    """

    def __init__(
        self, lines: int = LINES_A_MINUTE, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._lines, self._steady = lines, steady
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}  #: by event: minute, and lines in it

    def __call__(
        self, logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Count a line; drop it if there were enough."""
        name, minute = str(event["event"]), int(self._steady() // 60)
        with self._lock:
            known, lines = self._seen.get(name, (minute, 0))
            fresh = known != minute
            self._seen[name] = (minute, 1 if fresh else lines + 1)
        if not fresh and lines >= self._lines:
            raise structlog.DropEvent
        if fresh and lines > self._lines:
            event["suppressed"] = lines - self._lines
        return event


OBSERVERS: list[Callable[[MutableMapping[str, Any]], object]] = []
"""Hear of every event, also of one that the log's level or limit leaves out; must not wait."""


def tell_observers(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Tell `OBSERVERS` of an event; what goes wrong with them is their own loss."""
    for observe in tuple(OBSERVERS):
        with contextlib.suppress(Exception):
            observe(event)
    return event


def at_least(level: str) -> Processor:
    """Drop events below a level."""
    levels = logging.getLevelNamesMapping()
    least = levels[level.upper()]

    def check(
        logger: object, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        if levels[event["level"].upper()] < least:
            raise structlog.DropEvent
        return event

    return check


def _never_raising(processors: Sequence[Processor], writer: LogWriter) -> Processor:
    """Join processors; a line that they cannot make is counted, and its caller goes on."""

    def process(logger: object, method: str, event: MutableMapping[str, Any]) -> Any:  # noqa: ANN401  # as structlog declares it
        made: Any = event
        try:
            for processor in processors:
                made = processor(logger, method, made)
        except structlog.DropEvent:
            raise
        except Exception as fault:
            writer.lose(f"a line cannot be made ({type(fault).__name__})")
            raise structlog.DropEvent from fault
        return made

    return process


class _WriterLogger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LogWriter) -> None:
        self.msg = self.debug = self.info = self.warning = self.error = writer.put
        self.critical = writer.put


def configure_service(settings: LogSettings) -> LogWriter:
    """Log as the settings have it: for what runs until it is stopped."""
    return configure(level=settings.level, style=settings.format, file=settings.file)


def configure(
    *,
    level: str = "info",
    style: Literal["json", "console"] = "json",
    file: Path | None = None,
    strict: bool = False,
) -> LogWriter:
    """Log the node's events to standard error or a file, and of libraries only warnings.

    Logging never raises into work and never waits: lines go through the writer that is returned,
    which counts what it cannot write. pydicom reads values without validating them: its warnings
    would quote patient data.

    Parameters
    ----------
    strict
        Raise the `ValueError` of `refuse_unlisted`; for tests.

    Raises
    ------
    NodeError
        If the file cannot be opened.
    """
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    writer = LogWriter(sys.stderr if file is None else _opened(file))
    renderer: Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=bool(sys.stderr and sys.stderr.isatty()))
    )
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        refuse_unlisted,
        tell_observers,
        at_least(level),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        LineLimit(),
        log_tracebacks.without_words,
        renderer,
    ]
    structlog.configure(
        processors=processors if strict else [_never_raising(processors, writer)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: _WriterLogger(writer),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[LibraryHandler()])
    # pynetdicom logs data sets and AE titles of peers: the events above say what matters
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
    return writer


def _opened(file: Path) -> LogFile:
    try:
        return LogFile(file)
    except OSError as fault:
        raise NodeError(
            f"[log] file: expected a file that can be written, got {file} ({fault.strerror})"
        ) from fault


def take_standard_error(writer: LogWriter) -> None:
    """Have what libraries print or warn of, and exceptions of threads, go to the log.

    Printing to a pipe whose reader is gone raises, in the midst of whatever the library did.
    """
    sys.stderr = WriterStream(writer)
    warnings.showwarning = log_warning

    def log_exception(thrown: threading.ExceptHookArgs) -> None:
        name = thrown.thread.name if thrown.thread else ""
        if thrown.exc_type is not SystemExit and thrown.exc_value is not None:
            log.error("job_failed", job=f"thread {name}", exc_info=thrown.exc_value)

    threading.excepthook = log_exception


log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
