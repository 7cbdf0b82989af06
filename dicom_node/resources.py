"""What every part of the node stands on: files, rows and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.clock_watch import utc_now
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Where instances, results and their states are kept.

    Attributes
    ----------
    sessions
        Makes database sessions; ``sessions.begin()`` is one transaction.
    inbox
        The storage folder.
    audit
        Where events for an auditor go.
    """

    sessions: Sessions
    folder: StorageFolder
    clock: Clock = utc_now
    audit: AuditSink = NO_AUDIT

    def close(self) -> None:
        """Let go of the audit trail and the database; SQLite's is one file then, to be copied."""
        self.audit.close()
        self.sessions.close()
