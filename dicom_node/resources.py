"""Resources that all parts of the node share: database, folder, clock, audit and health."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from dicom_node.audit.decisions import NO_DECISIONS, DecisionSink
from dicom_node.audit.syslog import NO_AUDIT, AuditSink
from dicom_node.clock_watch import utc_now
from dicom_node.health import Health
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder
from storage.files.identity_key import NO_KEY, IdentityKey

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Database, storage folder, clock, audit and health of one node.

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
    decisions
        Where it is recorded what counts, was sent, and was taken back.
    identity_key
        Of the digests of who a patient is; there is none before `dicom_node.identity_key.keyed`,
        which what only reads needs not.
    health
        Where parts report that they are out of order, or in order again.
    """

    sessions: Sessions
    folder: StorageFolder
    clock: Clock = utc_now
    audit: AuditSink = NO_AUDIT
    decisions: DecisionSink = NO_DECISIONS
    identity_key: IdentityKey = NO_KEY
    health: Health = field(default_factory=Health)

    def close(self) -> None:
        """Close the audit trail and the database; SQLite's is then one file, ready to be copied."""
        self.audit.close()
        self.sessions.close()
