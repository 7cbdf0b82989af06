"""Send reports as HL7 messages by MLLP, one connection for what is due together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import datetime

from dicom_node.clock_watch import utc_now
from dicom_node.delivery.hl7.acknowledgement import judge_acknowledgement
from dicom_node.delivery.hl7.oru import Header, control_id, oru
from dicom_node.delivery.outcome import UNREADABLE, Outcome, Verdict, unsendable
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.report_content import read_report
from dicom_node.errors import NodeError
from dicom_node.network.hl7.mllp import MllpConnection, MllpPeer, NotAnswered


@dataclass(frozen=True, slots=True, kw_only=True)
class Hl7Sender:
    """Sends by MLLP.

    Attributes
    ----------
    clock
        Gives the time of a message.
    """

    peer: MllpPeer
    header: Header
    clock: Callable[[], datetime] = utc_now

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        """Send the reports in order; after one without an answer the others are postponed."""
        waiting = list(files)
        try:
            with MllpConnection(self.peer) as connection:
                while waiting:
                    outcome = self._send(connection, waiting[0])
                    yield waiting.pop(0), outcome
                    if outcome.verdict is Verdict.UNANSWERED:
                        raise NotAnswered(outcome.detail)
        except NodeError as fault:
            yield from (
                (file, Outcome(verdict=Verdict.POSTPONED, detail=str(fault))) for file in waiting
            )

    def _send(self, connection: MllpConnection, outgoing: OutgoingFile) -> Outcome:
        try:
            report = read_report(outgoing.path)
            message = oru(report, self.header, self.clock())
        except UNREADABLE as fault:
            return unsendable(fault)
        try:
            answer = connection.exchange(message)
        except NotAnswered as fault:
            return Outcome(verdict=Verdict.UNANSWERED, detail=str(fault))
        return judge_acknowledgement(answer, control_id(report))

    def echo(self) -> Outcome:
        """See whether the receiver can be connected to: HL7 has no other way to ask."""
        try:
            with MllpConnection(self.peer):
                return Outcome(verdict=Verdict.ACCEPTED)
        except NodeError as fault:
            return Outcome(verdict=Verdict.POSTPONED, detail=str(fault))

    def probe(self) -> None:
        """Return None: HL7 negotiates nothing."""
