"""Send reports as HL7 messages by MLLP, one connection for what is due together."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from datetime import datetime

from dicom_node.clock_watch import utc_now
from dicom_node.delivery.hl7.acknowledgement import acknowledged, judge_acknowledgement
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
        waiting, sent = list(files), set[str]()
        try:
            with MllpConnection(self.peer) as connection:
                while waiting:
                    outcome = self._send(connection, waiting[0], sent)
                    yield waiting.pop(0), outcome
                    if outcome.verdict is Verdict.UNANSWERED:
                        raise NotAnswered(outcome.detail)
        except NodeError as fault:
            yield from (
                (file, Outcome(verdict=Verdict.POSTPONED, detail=str(fault))) for file in waiting
            )

    def _send(self, connection: MllpConnection, outgoing: OutgoingFile, sent: set[str]) -> Outcome:
        """Send one report.

        Parameters
        ----------
        sent
            Control IDs of what was sent on the connection: a second acknowledgement of such a
            message, as of enhanced mode (CA, later AA), is read past. This one is added.
        """
        try:
            report = read_report(outgoing.path)
            message = oru(report, self.header, self.clock())
        except UNREADABLE as fault:
            return unsendable(fault)
        name = control_id(report)
        earlier = sent - {name}
        sent.add(name)
        try:
            answer = connection.exchange(message, lambda got: acknowledged(got) in earlier)
        except NotAnswered as fault:
            return Outcome(verdict=Verdict.UNANSWERED, detail=str(fault))
        return judge_acknowledgement(answer, name)

    def echo(self) -> Outcome:
        """See whether the receiver can be connected to: HL7 has no other way to ask."""
        try:
            with MllpConnection(self.peer):
                return Outcome(verdict=Verdict.ACCEPTED)
        except NodeError as fault:
            return Outcome(verdict=Verdict.POSTPONED, detail=str(fault))

    def probe(self) -> None:
        """Return None: HL7 negotiates nothing."""
