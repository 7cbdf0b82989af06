"""Tables of signed reports: what they say of a study, and by what it is found; never their text."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from storage.database.columns import Digest, Words
from storage.database.schema import Base

MAX_REFERENCE = 64  #: characters


class SignedReportRow(Base):
    """The latest report of one order, as it was read.

    Attributes
    ----------
    order_key
        Keyed digest of the sender and of the number of the order.
    reference
        Control ID of the message (HL7 MSH-10), by which the information system finds it.
    status
        Of HL7 table 0123: F final, C corrected, X canceled.
    diagnosis
        What it means for the disease that results are about; empty where it says nothing of it.
    pneumonia, covid_19
        What it says of each. None of these words is interpreted by storage but for `diagnosis`.
    patient_digests
        Keyed digests of the patient's numbers, a space between.
    birth_digest
        As in `storage.database.schema.Series`.
    reported_at
        When it got its status, by its sender.
    """

    __tablename__ = "signed_report"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_key: Mapped[str] = mapped_column(Digest, unique=True)
    reference: Mapped[str] = mapped_column(Words(MAX_REFERENCE))
    status: Mapped[str] = mapped_column(String(1))
    diagnosis: Mapped[str] = mapped_column(String(16))
    pneumonia: Mapped[str] = mapped_column(String(16))
    covid_19: Mapped[str] = mapped_column(String(16))
    patient_digests: Mapped[str] = mapped_column(Words, default="")
    birth_digest: Mapped[str] = mapped_column(Digest, default="")
    reported_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)


class SignedReportSubject(Base):
    """By what the study of a report is found, known here or not.

    Attributes
    ----------
    value
        Study Instance UID, or the keyed digest of what may be its accession number.
    """

    __tablename__ = "signed_report_subject"

    report_id: Mapped[int] = mapped_column(ForeignKey("signed_report.id"), primary_key=True)
    value: Mapped[str] = mapped_column(Digest, primary_key=True, index=True)
