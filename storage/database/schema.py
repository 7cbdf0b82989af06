"""Tables. Instants are aware and UTC; paths are relative to the storage folder."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from storage.database.columns import Digest, Instant, RelativePath, Title, Uid, word
from storage.states import CommitmentState, DeliveryState, Rerun, SearchState, SeriesState


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


class Series(Base):
    """One received series.

    Attributes
    ----------
    since
        When the series came to its present state.
    reason
        Why the series is UNSUITABLE or FAILED, or was given back; else empty.
    generation
        1 at first; each time an instance comes after closing, one more.
    calling_ae
        Who sent the latest instance.
    instances
        How many instances are in use, superseded ones left out.
    attempts
        How often this generation has been claimed for analysis.
    reopened
        An instance came during ANALYSING: back to RECEIVING on leaving that state.
    result_key
        The latest result kept, also while a later generation is being made.
    wish
        What a person wants done once more; gone in the transaction that keeps what came of it.
    patient_key, birth_digest
        Digests that tell patients apart without naming them; empty if nothing is known.
    study_date, study_time
        As the source has them (DICOM DA and TM); empty if it has none.
    purging
        Files of what is marked as purged are being removed.
    urgent
        An instance came as urgent, by its sender's word or by its own.
    """

    __tablename__ = "series"

    series_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(Uid)
    modality: Mapped[str] = mapped_column(Text)
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    calling_ae: Mapped[str] = mapped_column(Title)
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    instances: Mapped[int] = mapped_column(default=0)
    state: Mapped[SeriesState] = mapped_column(default=SeriesState.RECEIVING, index=True)
    since: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text, default="")
    generation: Mapped[int] = mapped_column(default=1)
    attempts: Mapped[int] = mapped_column(default=0)
    reopened: Mapped[bool] = mapped_column(default=False)
    result_key: Mapped[str | None] = mapped_column(String(64), default=None)
    wish: Mapped[Rerun | None] = mapped_column(default=None)
    patient_key: Mapped[str] = mapped_column(Digest, default="", index=True)
    birth_digest: Mapped[str] = mapped_column(Digest, default="")
    study_date: Mapped[str] = mapped_column(String(8), default="")
    study_time: Mapped[str] = mapped_column(String(16), default="")
    purging: Mapped[bool] = mapped_column(default=False)
    urgent: Mapped[bool] = mapped_column(default=False)


class Instance(Base):
    """One kept instance: its UID and its bytes together are its identity.

    Attributes
    ----------
    superseded
        The same SOP Instance UID came later with other bytes; those are used instead.
    purged_at
        When it was decided that its file goes; None for one that is kept.
    """

    __tablename__ = "instance"

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


class Result(Base):
    """One result that was kept; its key is a hash of all that could change it.

    Attributes
    ----------
    revision
        1 for the first result of a series, one more for each that follows.
    score, positive
        None in a notice, which says why a series was not analysed.
    priors
        How many earlier studies of the patient it was compared with.
    summary
        JSON text for people and for the status; storage does not look into it.
    purged_at
        When it was decided that its files go; None while they are kept.
    """

    __tablename__ = "result"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), index=True
    )
    generation: Mapped[int]
    created_at: Mapped[datetime]
    model: Mapped[str] = mapped_column(String(255))
    score: Mapped[float | None]
    positive: Mapped[bool | None]
    revision: Mapped[int] = mapped_column(default=1)
    priors: Mapped[int] = mapped_column(default=0)
    summary: Mapped[str] = mapped_column(Text)
    folder: Mapped[str] = mapped_column(RelativePath)
    purged_at: Mapped[datetime | None] = mapped_column(default=None)


class ResultObject(Base):
    """One DICOM object of a result, a file in the result's folder.

    Attributes
    ----------
    series_instance_uid
        Of the object itself, not of the CT it was made from.
    position
        0-based place in the order of sending.
    """

    __tablename__ = "result_object"

    sop_instance_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    result_key: Mapped[str] = mapped_column(ForeignKey("result.key"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    sop_class_uid: Mapped[str] = mapped_column(Uid)
    series_instance_uid: Mapped[str] = mapped_column(Uid)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    path: Mapped[str] = mapped_column(RelativePath)
    position: Mapped[int]


class Delivery(Base):
    """One object on its way to one destination.

    Attributes
    ----------
    next_at
        When it is to be sent; of one that is UNCOMMITTED, when its destination is to be asked.
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
    reason: Mapped[str] = mapped_column(Text, default="")


class Commitment(Base):
    """One request to a destination to commit to the storage of what it accepted."""

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
        Why the destination does not commit to it (PS3.3 C.14.1.1, Failure Reason); None if it
        does, or has not said.
    """

    __tablename__ = "commitment_item"

    transaction_uid: Mapped[str] = mapped_column(
        ForeignKey("commitment.transaction_uid"), primary_key=True
    )
    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("delivery.id"), primary_key=True, index=True
    )
    failure: Mapped[int | None] = mapped_column(default=None)


class Search(Base):
    """The search in archives for an earlier study, to compare a series with.

    Attributes
    ----------
    attempts
        How often archives have been asked.
    next_at
        When they are to be asked; of what was fetched, until when it is waited for.
    study_instance_uid, fetched_series_uid
        What was fetched last; empty if nothing was.
    """

    __tablename__ = "search"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )
    state: Mapped[SearchState] = mapped_column(default=SearchState.WANTED)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text, default="")
    study_instance_uid: Mapped[str] = mapped_column(Uid, default="")
    fetched_series_uid: Mapped[str] = mapped_column(Uid, default="")


class Quarantine(Base):
    """A file that was kept but cannot be understood."""

    __tablename__ = "quarantine"

    path: Mapped[str] = mapped_column(RelativePath, primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    calling_ae: Mapped[str] = mapped_column(Title)
    at: Mapped[datetime]


class Refusal(Base):
    """What was refused before an instance could come, so that someone can find out why."""

    __tablename__ = "refusal"

    calling_ae: Mapped[str] = mapped_column(Title, primary_key=True)
    what: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last_at: Mapped[datetime]


class Capability(Base):
    """Whether a destination takes a SOP class, as it last said at negotiation.

    Attributes
    ----------
    transfer_syntax_uid
        In which transfer syntax; empty if it does not.
    """

    __tablename__ = "capability"

    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(Uid, primary_key=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(Uid)
    accepted: Mapped[bool]
    at: Mapped[datetime]
