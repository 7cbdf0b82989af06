"""Tables of the database. Times are aware and UTC; paths are relative to the storage folder."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.database.columns import (
    Digest,
    Instant,
    KeyWords,
    RelativePath,
    Title,
    Uid,
    Words,
    word,
)
from storage.states import CommitmentState, DeliveryState, Rerun, SearchState, SeriesState

SERIES = "series_instance_uid"  #: column of what belongs to a series
MAX_DEVICE = 64  #: characters of the name of a scanner, or of a kernel


class Base(DeclarativeBase):
    """Metadata of the node's database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's declarative hook, not a mutable default
        datetime: Instant,
        SeriesState: word(SeriesState),
        DeliveryState: word(DeliveryState),
        Rerun: word(Rerun),
        CommitmentState: word(CommitmentState),
        SearchState: word(SearchState),
    }


def _index_of_some(name: str, condition: str, *columns: str) -> Index:
    """Make an index of the rows that fulfil a condition."""
    where = text(condition)
    return Index(f"ix_{name}", *columns, sqlite_where=where, postgresql_where=where)


class Lease(Base):
    """The one row that says which installation and which process works on this database.

    Attributes
    ----------
    number
        One more each time that a process takes the lease: the claims of rows name it.
    holder
        Drawn at random by the process that holds the lease; empty when it let go.
    place
        Where that process holds its storage folder, so that its end can be proved there.
    folder, host, pid
        The same for people.
    beats
        Grows while the holder lives.
    found
        What a start found wrong with the age of the database; empty if nothing is.
    """

    __tablename__ = "lease"

    id: Mapped[int] = mapped_column(primary_key=True)
    installation: Mapped[str] = mapped_column(String(36))
    number: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str] = mapped_column(String(32))
    place: Mapped[str] = mapped_column(Words)
    folder: Mapped[str] = mapped_column(Words)
    host: Mapped[str] = mapped_column(Words)
    pid: Mapped[int]
    since: Mapped[datetime]
    beats: Mapped[int] = mapped_column(BigInteger, default=0)
    found: Mapped[str] = mapped_column(Words, default="")


class Receiver(Base):
    """A process that shares the database with others, and receives.

    Without its row it writes nothing more: whoever takes it for ended takes the row away.

    Attributes
    ----------
    holder
        Drawn at random by the process; the holder of the lease too, while it is the active one.
    name
        As in its settings.
    host, pid, version
        The same for people.
    beats
        Grows while it lives.
    sending
        JSON list of the series of which an open association has sent some.
    """

    __tablename__ = "receiver"

    holder: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(32), unique=True)
    host: Mapped[str] = mapped_column(Words)
    pid: Mapped[int]
    version: Mapped[str] = mapped_column(Words)
    since: Mapped[datetime]
    beats: Mapped[int] = mapped_column(BigInteger, default=0)
    sending: Mapped[str] = mapped_column(Text, default="[]")


class DigestKey(Base):
    """The one row that says under which key the digests of identity are made.

    There is none as long as they are plain, as versions before 0019 made them, or there are none.

    Attributes
    ----------
    fingerprint
        As in `storage.files.identity_key.IdentityKey`.
    """

    __tablename__ = "digest_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(Digest)


class Series(Base):
    """One received series.

    Attributes
    ----------
    since
        When the series entered its present state.
    reason
        Why the series is UNSUITABLE or FAILED, or was given back; else empty.
    generation
        Starts at 1; incremented when an instance arrives after closing.
    calling_ae
        Who sent the latest instance.
    instances
        Number of instances in use, superseded ones left out.
    attempts
        Number of times this generation was claimed for analysis.
    reopened
        An instance arrived during ANALYSING: back to RECEIVING on leaving that state.
    result_key
        The latest result kept, also while a later generation is analysed.
    rerun
        The rerun that an operator has requested; cleared in the transaction that keeps its outcome.
    patient_key, patient_digest, birth_digest, accession_key
        Digests that tell patients and studies apart without naming them, of Patient ID and its
        issuer, of Patient ID alone, of the birth date and of the Accession Number; empty if nothing
        is known. They are keyed: see `DigestKey`.
    of_documents
        Whether it holds documents, no images: the two never share a row.
    study_date, study_time
        As in the instances (DICOM DA and TM); empty if they have none.
    series_number
        As in the first instance; None if it has none.
    purging
        Files of instances and results marked as purged are being removed.
    urgent
        An instance was urgent, by its sender's priority or its own attributes.
    holder
        Number of the lease under which it was claimed last (`Lease.number`).
    not_before
        When a STABLE series may be claimed, after an attempt that failed; None for at once.
    """

    __tablename__ = "series"
    __table_args__ = (  # the worklist of the console, by each of its filters
        Index(None, "last_at", "series_instance_uid"),
        Index(None, "state", "last_at", "series_instance_uid"),
        Index(None, "calling_ae", "last_at", "series_instance_uid"),
        Index(None, "state", "since"),  # what has ended long ago, and what waits the longest
    )

    series_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Uid, index=True)
    modality: Mapped[str] = mapped_column(Words)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    calling_ae: Mapped[str] = mapped_column(Title)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    instances: Mapped[int] = mapped_column(default=0)
    state: Mapped[SeriesState] = mapped_column(default=SeriesState.RECEIVING)
    since: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Words, default="")
    generation: Mapped[int] = mapped_column(default=1)
    attempts: Mapped[int] = mapped_column(default=0)
    reopened: Mapped[bool] = mapped_column(default=False)
    result_key: Mapped[str | None] = mapped_column(String(64), default=None)
    rerun: Mapped[Rerun | None] = mapped_column("wish", default=None)
    patient_key: Mapped[str] = mapped_column(Digest, default="", index=True)
    patient_digest: Mapped[str] = mapped_column(Digest, default="", index=True)
    birth_digest: Mapped[str] = mapped_column(Digest, default="")
    accession_key: Mapped[str] = mapped_column(Digest, default="", index=True)
    of_documents: Mapped[bool] = mapped_column(default=False)
    study_date: Mapped[str] = mapped_column(String(8), default="")
    study_time: Mapped[str] = mapped_column(String(16), default="")
    series_number: Mapped[int | None] = mapped_column(BigInteger, default=None)
    purging: Mapped[bool] = mapped_column(default=False)
    urgent: Mapped[bool] = mapped_column(default=False)
    holder: Mapped[int | None] = mapped_column(BigInteger, default=None)
    not_before: Mapped[datetime | None] = mapped_column(default=None)


class Instance(Base):
    """One kept instance, identified by its UID and its bytes together.

    Attributes
    ----------
    superseded
        The same SOP Instance UID arrived later with other bytes, which are used instead.
    purged_at
        When its file was marked for removal; None while it is kept.
    acquisition_number, images_in_acquisition, instance_number, frames, plane, height_mm
        As in :class:`storage.series.slices.SliceFacts`.
    """

    __tablename__ = "instance"
    __table_args__ = (  # what retention has to look at: few rows, however many there are
        _index_of_some("instance_kept", "purged_at IS NULL", "received_at", "series_instance_uid"),
        _index_of_some(
            "instance_gone", "purged_at IS NOT NULL", "purged_at", "series_instance_uid"
        ),
    )

    sop_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), index=True
    )
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    path: Mapped[str] = mapped_column(RelativePath, unique=True)
    bytes: Mapped[int] = mapped_column(BigInteger)
    calling_ae: Mapped[str] = mapped_column(Title)
    received_at: Mapped[datetime]
    superseded: Mapped[bool] = mapped_column(default=False)
    purged_at: Mapped[datetime | None] = mapped_column(default=None)
    acquisition_number: Mapped[int | None] = mapped_column(BigInteger, default=None)
    images_in_acquisition: Mapped[int | None] = mapped_column(BigInteger, default=None)
    instance_number: Mapped[int | None] = mapped_column(BigInteger, default=None)
    frames: Mapped[int | None] = mapped_column(BigInteger, default=None)
    plane: Mapped[str] = mapped_column(Digest, default="")
    height_mm: Mapped[float | None] = mapped_column(default=None)


class CondensedInstances(Base):
    """Instances in use of a series whose rows were condensed, some time after their files went.

    Attributes
    ----------
    purged_at
        As in their rows.
    received_at
        When the latest of them was received.
    count
        Number of the instances.
    entries
        One of each instance, as in `storage.series.condensed.entries`.
    """

    __tablename__ = "condensed_instances"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )
    sop_class_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    purged_at: Mapped[datetime] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]
    count: Mapped[int]
    entries: Mapped[bytes] = mapped_column(LargeBinary)


class Closing(Base):
    """How one generation of a series was taken for complete.

    Attributes
    ----------
    calling_ae
        Who had sent the latest instance.
    closed_by
        A proof, or the quiet time; not interpreted by storage.
    waited_seconds
        From the latest instance to the closing.
    late_at
        When an instance came after all; None if none has.
    """

    __tablename__ = "closing"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )
    generation: Mapped[int] = mapped_column(primary_key=True)
    calling_ae: Mapped[str] = mapped_column(Title)
    closed_by: Mapped[str] = mapped_column(String(32))
    instances: Mapped[int]
    waited_seconds: Mapped[float]
    closed_at: Mapped[datetime] = mapped_column(index=True)
    late_at: Mapped[datetime | None] = mapped_column(default=None, index=True)


class Notification(Base):
    """A Modality Performed Procedure Step, or an Instance Availability Notification.

    Attributes
    ----------
    kind, status
        As in :class:`storage.series.notifications.NotificationKind` and `NotificationState`.
    """

    __tablename__ = "notification"

    sop_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    calling_ae: Mapped[str] = mapped_column(Title)
    received_at: Mapped[datetime]
    changed_at: Mapped[datetime] = mapped_column(index=True)


class NotifiedSeries(Base):
    """The instances of one series that a notification names.

    Attributes
    ----------
    instances
        JSON list of SOP Instance UIDs.
    count
        Number of those.
    """

    __tablename__ = "notified_series"

    notification_uid: Mapped[str] = mapped_column(
        ForeignKey("notification.sop_instance_uid"), primary_key=True
    )
    series_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True, index=True)
    instances: Mapped[str] = mapped_column(Text)
    count: Mapped[int]


class Result(Base):
    """One kept result; its key, and so its UIDs, are of this one making.

    Attributes
    ----------
    inputs
        Digest of everything that decides what it says; equal to that of another result where
        only the time of making differs.
    revision
        1 for the first result of a series, one more for each that follows.
    score, positive
        None in a notice, which gives the reason why a series was not analysed; ``positive`` also
        where the score is indeterminate.
    priors
        Number of earlier studies of the patient that it was compared with.
    summary
        JSON text for the status; not interpreted by storage.
    scanner, kernel
        Of the images analysed; empty in a notice, and where they do not say.
    begun_on
        Occasion of its making while only the objects that come first are kept; empty once all are.
    purged_at
        When its files were marked for removal; None while they are kept.
    """

    __tablename__ = "result"
    __table_args__ = (_index_of_some("result_kept", "purged_at IS NULL", "created_at", SERIES),)

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), index=True
    )
    inputs: Mapped[str] = mapped_column(String(64), default="")
    generation: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(index=True)
    model: Mapped[str] = mapped_column(String(255))
    score: Mapped[float | None]
    positive: Mapped[bool | None]
    revision: Mapped[int] = mapped_column(default=1)
    priors: Mapped[int] = mapped_column(default=0)
    summary: Mapped[str] = mapped_column(Words)
    folder: Mapped[str] = mapped_column(RelativePath)
    begun_on: Mapped[str] = mapped_column(String(100), default="")
    purged_at: Mapped[datetime | None] = mapped_column(default=None)
    scanner: Mapped[str] = mapped_column(String(MAX_DEVICE), default="", index=True)
    kernel: Mapped[str] = mapped_column(String(MAX_DEVICE), default="", index=True)


class ResultObject(Base):
    """One DICOM object of a result, a file in the result's folder.

    Attributes
    ----------
    series_instance_uid
        Of the object itself, not of the CT series analysed.
    position
        0-based place in the order of sending.
    only_for
        The destination that alone gets it, once it has all others; empty for every one.
    further
        SOP Instance UIDs of objects that were alike and went the same way, whose rows were
        condensed into this one: as in `storage.results.condensed_objects`; None if there are none.
    """

    __tablename__ = "result_object"

    sop_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    result_key: Mapped[str] = mapped_column(ForeignKey("result.key"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    series_instance_uid: Mapped[str] = mapped_column(Uid, index=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    path: Mapped[str] = mapped_column(RelativePath)
    position: Mapped[int]
    only_for: Mapped[str] = mapped_column(String(64), default="")
    further: Mapped[bytes | None] = mapped_column(LargeBinary, default=None)


class Delivery(Base):
    """The delivery of one object to one destination.

    Attributes
    ----------
    next_at
        When it is to be sent; if UNCOMMITTED, when its destination is to be asked.
    unanswered
        Whether its last attempt had no answer, from a destination that was there: it is sent alone.
    holder
        Number of the lease under which it was claimed last (`Lease.number`).
    again
        Sent once more, to a destination that was replaced: after what is new.
    """

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "destination"),
        Index(None, "destination", "state", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(ForeignKey("result_object.sop_instance_uid"))
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState] = mapped_column(default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    first_at: Mapped[datetime]
    next_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Words, default="")
    unanswered: Mapped[bool] = mapped_column(default=False)
    holder: Mapped[int | None] = mapped_column(BigInteger, default=None)
    again: Mapped[bool] = mapped_column(default=False)


class Commitment(Base):
    """One request to a destination to commit to the storage of objects that it accepted."""

    __tablename__ = "commitment"

    transaction_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[CommitmentState] = mapped_column(default=CommitmentState.ASKED)
    requested_at: Mapped[datetime]


class CommitmentItem(Base):
    """One delivery in a request for commitment.

    Attributes
    ----------
    failure
        Failure Reason of the destination (PS3.3 C.14.1.1); None if it has committed, or has not
        answered.
    """

    __tablename__ = "commitment_item"

    transaction_uid: Mapped[str] = mapped_column(
        ForeignKey("commitment.transaction_uid"), primary_key=True
    )
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("delivery.id"), primary_key=True, index=True
    )
    failure: Mapped[int | None] = mapped_column(default=None)


class Feedback(Base):
    """One answer of a reader to a result, or to a finding, as a document says it.

    Attributes
    ----------
    series_instance_uid, study_instance_uid, patient_digest, birth_digest
        Of the document, as in `Series`.
    position
        0-based place of the answer in its document.
    predecessors
        SOP Instance UIDs of the documents that this one amends, a space between.
    answer
        A word; not interpreted by storage.
    finding, finding_name
        Tracking UID of the finding, and what we call it; empty for the result as a whole, or where
        the finding is not known.
    reason_code, reason_scheme, reason
        Value, scheme and meaning of the coded reason.
    observer, role
        Who answered: the person's name, as the document has it.
    said_at
        When, by the document; when it was received if it does not say.
    superseded
        Another answer has taken its place.
    """

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("document_uid", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_uid: Mapped[str] = mapped_column(Uid)
    position: Mapped[int]
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), index=True
    )
    study_instance_uid: Mapped[str] = mapped_column(Uid, index=True)
    patient_digest: Mapped[str] = mapped_column(Digest, default="")
    birth_digest: Mapped[str] = mapped_column(Digest, default="")
    predecessors: Mapped[str] = mapped_column(Words, default="")
    answer: Mapped[str] = mapped_column(String(16))
    finding: Mapped[str] = mapped_column(Uid, default="")
    finding_name: Mapped[str] = mapped_column(String(64), default="")
    reason_code: Mapped[str] = mapped_column(Words, default="")
    reason_scheme: Mapped[str] = mapped_column(Words, default="")
    reason: Mapped[str] = mapped_column(Words, default="")
    comment: Mapped[str] = mapped_column(Words, default="")
    observer: Mapped[str] = mapped_column(Words, default="")
    role: Mapped[str] = mapped_column(Words, default="")
    said_at: Mapped[datetime]
    received_at: Mapped[datetime] = mapped_column(index=True)
    calling_ae: Mapped[str] = mapped_column(Title)
    superseded: Mapped[bool] = mapped_column(default=False)


class FeedbackSubject(Base):
    """What an answer is about: a series of objects, or one object, known here or not.

    Attributes
    ----------
    uid
        Series Instance UID; SOP Instance UID where the document does not say the series.
    """

    __tablename__ = "feedback_subject"

    feedback_id: Mapped[int] = mapped_column(ForeignKey("feedback.id"), primary_key=True)
    uid: Mapped[str] = mapped_column(Uid, primary_key=True, index=True)


class Search(Base):
    """The search in archives for an earlier study, to compare a series with.

    Attributes
    ----------
    attempts
        Number of times archives were asked.
    next_at
        When archives are to be asked; if FETCHED, until when the series is awaited.
    study_instance_uid, fetched_series_uid
        The study and series fetched last; empty if none was.
    """

    __tablename__ = "search"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )
    state: Mapped[SearchState] = mapped_column(default=SearchState.WANTED)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Words, default="")
    study_instance_uid: Mapped[str] = mapped_column(Uid, default="")
    fetched_series_uid: Mapped[str] = mapped_column(Uid, default="")


class Quarantine(Base):
    """A kept file that cannot be read as an instance."""

    __tablename__ = "quarantine"

    path: Mapped[str] = mapped_column(RelativePath, primary_key=True)
    reason: Mapped[str] = mapped_column(Words)
    calling_ae: Mapped[str] = mapped_column(Title)
    at: Mapped[datetime]


class Refusal(Base):
    """A kind of refusal before an instance was kept, counted, so that its cause can be found."""

    __tablename__ = "refusal"

    calling_ae: Mapped[str] = mapped_column(Title, primary_key=True)
    address: Mapped[str] = mapped_column(String(64), primary_key=True, default="")
    what: Mapped[str] = mapped_column(KeyWords, primary_key=True)
    reason: Mapped[str] = mapped_column(KeyWords, primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]


class CommitmentRequestRow(Base):
    """The request of a sender that we commit to the storage of its objects, without a report yet.

    Attributes
    ----------
    objects
        JSON object: SOP Instance UID to SOP Class UID.
    count
        Number of those objects.
    next_at
        When the report is to be tried again.
    """

    __tablename__ = "commitment_request"

    calling_ae: Mapped[str] = mapped_column(Title, primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    objects: Mapped[str] = mapped_column(Text)
    count: Mapped[int]
    requested_at: Mapped[datetime]
    next_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)


class PausedDestination(Base):
    """A destination that gets nothing until somebody resumes it.

    Attributes
    ----------
    by
        Who has paused it.
    """

    __tablename__ = "paused_destination"

    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(Words)


class Capability(Base):
    """The acceptance of a SOP class by a destination, as last negotiated.

    Attributes
    ----------
    transfer_syntax_uid
        The transfer syntax accepted; empty if the class is not.
    """

    __tablename__ = "capability"

    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    accepted: Mapped[bool]
    at: Mapped[datetime]
