"""Look now and then at what there is to tell, and tell it; nothing waits for a recipient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from dicom_node.errors import NodeError
from dicom_node.logs import log
from dicom_node.notify import matters
from dicom_node.notify.apprise_sender import MessageSender, send_message
from dicom_node.notify.decision import Rules, Told, message_for, must_wait
from dicom_node.notify.matters import Matter
from dicom_node.notify.memory import Memory, read_memory, write_memory
from dicom_node.notify.recipients import Recipient, Subject, read_recipients
from dicom_node.resources import Resources
from storage.errors import StorageError
from storage.results.to_tell import failed_since, positives_since
from storage.standing import standing

PART = "notify"  #: in the condition of the node
LOOK_BACK = timedelta(days=7)  #: events that are older are told no more, however long a mail waits
OF_DATABASE = frozenset(Subject) - {Subject.FAULTS}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyRules:
    """What is told to whom, and when.

    Attributes
    ----------
    recipients_file
        Read anew each time.
    backlog
        What has waited for so long is told.
    """

    recipients_file: Path
    backlog: timedelta
    rules: Rules


class NotifyJob:
    """Tells recipients what there is to tell.

    A recipient who cannot be reached is told later, and is a fault of the node meanwhile; the
    memory of what was told is kept in the storage folder, and here while that is away.

    Parameters
    ----------
    destinations
        Names of those that are delivered to now.
    withholds
        Tells whether no result leaves now: then no positive one is told either.
    """

    def __init__(
        self,
        resources: Resources,
        rules: NotifyRules,
        destinations: Callable[[], Sequence[str]],
        send: MessageSender = send_message,
        withholds: Callable[[], bool] = bool,
    ) -> None:
        self._resources, self._rules, self._destinations = resources, rules, destinations
        self._send, self._withholds = send, withholds
        self._memory: Memory | None = None
        self._faulted: dict[str, str] = {}  #: by key of the recipient, the part in the condition

    def run_once(self) -> None:
        """Tell each recipient what is due."""
        health, now = self._resources.health, self._resources.clock()
        try:
            recipients = read_recipients(self._rules.recipients_file)
        except NodeError as fault:
            health.fault(PART, str(fault))
            return
        health.well(PART)
        self._forget_faults(recipients)
        memory = self._remembered(now)
        found, unknown = self._look(memory, now)
        told = {one.key: memory.told.get(one.key, Told()) for one in recipients}
        if told != memory.told or self._memory is None:
            self._keep(replace(memory, told=told))
        for one in recipients:
            before = told[one.key]
            told[one.key] = self._tell(one, before, found, unknown, now)
            if told[one.key] != before:
                self._keep(replace(memory, told=dict(told)))

    def _remembered(self, now: datetime) -> Memory:
        return self._memory or read_memory(self._resources.folder.root, now)

    def _look(self, memory: Memory, now: datetime) -> tuple[list[Matter], frozenset[Subject]]:
        """Find what there is to tell, and of which subjects that cannot be known now."""
        found = list(matters.of_faults(self._resources.health.snapshot()))
        since = max(memory.since, now - LOOK_BACK)
        withholds = self._withholds()
        try:
            with self._resources.sessions.reading() as session:
                stands = standing(session, self._destinations(), now)
                found += matters.of_backlog(now, stands, self._rules.backlog)
                found += matters.of_failures(failed_since(session, since))
                if not withholds:
                    found += matters.of_positives(positives_since(session, since))
        except StorageError:  # which is a fault itself, and told as one
            return list(matters.of_faults(self._resources.health.snapshot())), OF_DATABASE
        return found, frozenset({Subject.POSITIVES}) if withholds else frozenset()

    def _tell(
        self,
        recipient: Recipient,
        told: Told,
        found: Sequence[Matter],
        unknown: frozenset[Subject],
        now: datetime,
    ) -> Told:
        rules = self._rules.rules
        if must_wait(told, now, rules):
            return told
        message = message_for(recipient, found, told, now, rules, unknown=unknown)
        if message is None:
            self._forget_fault(recipient.key)
            return told
        try:
            self._send(recipient.url, message.title, message.body)
        except NodeError as fault:
            self._faulted[recipient.key] = _part(recipient)
            if self._resources.health.fault(_part(recipient), f"{recipient.name}: {fault}"):
                log.warning("notification_not_sent", line=recipient.line, reason=str(fault))
            return replace(told, tried_at=now)
        self._forget_fault(recipient.key)
        log.info("notification_sent", line=recipient.line, matters=len(message.told))
        return Told(tried_at=now, matters=message.told)

    def _forget_faults(self, recipients: Sequence[Recipient]) -> None:
        """End the faults of recipients that are in the file no more, or in another line."""
        parts = {one.key: _part(one) for one in recipients}
        for key in [key for key, part in self._faulted.items() if parts.get(key) != part]:
            self._forget_fault(key)

    def _forget_fault(self, key: str) -> None:
        if part := self._faulted.pop(key, ""):
            self._resources.health.well(part)

    def _keep(self, memory: Memory) -> None:
        self._memory = memory
        try:
            write_memory(self._resources.folder.root, memory)
        except OSError as fault:
            log.warning("notification_not_noted", reason=str(fault.strerror))


def _part(recipient: Recipient) -> str:
    return f"{PART} line {recipient.line}"
