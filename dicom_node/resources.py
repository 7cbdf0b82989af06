"""Resources that all parts of the node share: database, storage folder, clock and audit."""

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
    """Database, storage folder, clock and audit of one node.

    Attributes
    ----------
    sessions
        Makes database sessions; ``sessions.begin()`` is one transaction.
    folder
        The storage folder.
    clock
        Gives the time of day, timezone-aware.
    audit
        Where audit events go.
    """

    sessions: Sessions
    folder: StorageFolder
    clock: Clock = utc_now
    audit: AuditSink = NO_AUDIT

    def close(self) -> None:
        """Close the audit trail and the database; SQLite's is then one file, ready to be copied."""
        self.audit.close()
        self.sessions.close()
