"""Keep what signed reports say: read the text in memory, write the answers, acknowledge."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from dicom_node.logs import log
from dicom_node.reception.refusals import Refusal
from dicom_node.reception.reports.acknowledgement import acknowledgement
from dicom_node.reception.reports.oru_reader import (
    CANCELED,
    Envelope,
    SignedReport,
    read_envelope,
    read_message,
    read_reports,
)
from dicom_node.reception.reports.refused import ErrorCode, MessageRefused, rejection
from dicom_node.resources import Resources
from pipeline.feedback.report_text.answers import ReportReading, Said
from pipeline.feedback.report_text.read import read_report
from storage.errors import StorageError
from storage.results.signed_reports import NewReport, enter_report

NOTHING_SAID = ReportReading(pneumonia=Said.NOTHING, covid_19=Said.NOTHING)
NO_DIAGNOSIS = "nothing"  #: in the log and the table, where a report says nothing of the disease


class ReportKeeper:
    """Takes messages, each to be answered; any thread may call.

    A message that comes again changes nothing: of the reports of an order the latest is kept.

    Parameters
    ----------
    refuse
        Records what is refused.
    """

    def __init__(self, resources: Resources, refuse: Callable[[Refusal], None]) -> None:
        self._resources, self._refuse = resources, refuse
        self._lock = threading.Lock()

    def take(self, message: bytes, address: str) -> bytes:
        """Keep the reports of a message, and give its acknowledgement.

        It accepts only what is in the database, and what is not to be kept.
        """
        envelope, refused = read_envelope(message), None
        now = self._resources.clock()
        try:
            reports = read_reports(read_message(message))
            self._keep(envelope, reports, now)
        except MessageRefused as why:
            refused = why
        except StorageError:
            refused = rejection(
                "expected the database, which is away", ErrorCode.APPLICATION_INTERNAL_ERROR
            )
        if refused is not None:
            self._refuse(
                Refusal(
                    kind="report_refused", what="HL7 report", reason=str(refused), address=address
                )
            )
        return acknowledgement(envelope, refused, now.astimezone())

    def _keep(self, envelope: Envelope, reports: list[SignedReport], now: datetime) -> None:
        if not reports:
            log.info("report_passed_over", reference=envelope.control_id)
            return
        rows = [self._row(envelope, report, now) for report in reports]
        with self._lock, self._resources.sessions.begin() as session:
            entered = [enter_report(session, row) for row in rows]
        for row, is_new in zip(rows, entered, strict=True):
            log.info(
                "report_kept" if is_new else "report_overtaken",
                reference=row.reference,
                answer=row.diagnosis or NO_DIAGNOSIS,
                pneumonia=row.pneumonia,
            )

    def _row(self, envelope: Envelope, report: SignedReport, now: datetime) -> NewReport:
        digest = self._resources.identity_key.digest
        is_canceled = report.status == CANCELED
        reading = NOTHING_SAID if is_canceled else read_report(report.text)
        return NewReport(
            order_key=digest("\n".join((*envelope.sender, report.order))),
            reference=envelope.control_id,
            status=report.status,
            diagnosis=str(reading.diagnosis or ""),
            pneumonia=str(reading.pneumonia),
            covid_19=str(reading.covid_19),
            subjects=(*report.study_instance_uids, *map(digest, report.numbers)),
            patient_digests=tuple(map(digest, report.patient_ids)),
            birth_digest=digest(report.birth_date),
            reported_at=min(report.at or now, now),
            received_at=now,
        )
