"""Tables of what watches the node, scanners and models: self-tests, drift, shadow, records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.database.columns import Digest, Uid, Words, word
from storage.database.schema import Base, Series
from storage.states import SelfTestState


class SelfTest(Base):
    """One run of the self-test, asked for by a person or due by the settings.

    Attributes
    ----------
    requested_by
        Empty where it was due.
    series_instance_uid
        Of the synthetic series; empty before it is sent. It is known for ever, the rows of the
        series are removed when the run has ended.
    reason
        Why it failed, or came to no end.
    model
        Name and version of the model, as in `storage.database.schema.Result`; empty unless an
        analysis came to its end.
    basis
        What its figures may be compared with: those of another run of the same basis.
    found
        JSON text: what the analysis found; empty before.
    verdict
        JSON text: what was expected, and how far off it was; empty before. Neither is interpreted
        by storage.
    """

    __tablename__ = "self_test"
    __table_args__ = (Index(None, "state", "requested_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[SelfTestState] = mapped_column(word(SelfTestState))
    requested_at: Mapped[datetime]
    requested_by: Mapped[str] = mapped_column(Words, default="")
    began_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None, index=True)
    series_instance_uid: Mapped[str] = mapped_column(Uid, default="", index=True)
    reason: Mapped[str] = mapped_column(Words, default="")
    model: Mapped[str] = mapped_column(Words, default="")
    basis: Mapped[str] = mapped_column(Words, default="")
    found: Mapped[str] = mapped_column(Text, default="")
    verdict: Mapped[str] = mapped_column(Text, default="")


class SelfTestSeries(Base):
    """The mark of a series of the self-test, as long as there are rows of it."""

    __tablename__ = "self_test_series"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )


MAX_NAME = 64  #: characters of an attribute of equipment (PS3.5 6.2, LO)
MAX_SCANNER = 200  #: characters of the name of a scanner
Name = Words(MAX_NAME)
Scanner = Words(MAX_SCANNER)
HOLD, STOP = "hold", "stop"  #: actions: results are not delivered; series are not analysed either


class SeriesEquipment(Base):
    """What made the images of a series, as the first of them says it.

    Attributes
    ----------
    scanner
        Manufacturer, model and station: the one machine.
    """

    __tablename__ = "series_equipment"

    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), primary_key=True
    )
    scanner: Mapped[str] = mapped_column(Scanner, index=True)
    manufacturer: Mapped[str] = mapped_column(Name)
    model: Mapped[str] = mapped_column(Name)
    station: Mapped[str] = mapped_column(Name)
    kernel: Mapped[str] = mapped_column(Name)
    software: Mapped[str] = mapped_column(Name)


class DriftSample(Base):
    """Figures of one series by which its scanner is watched; the first outcome of it counts.

    Attributes
    ----------
    basis
        Model, method and settings that found them; empty where nothing was analysed, and of what
        was found before that was kept.
    figures
        JSON object: name to value; not interpreted by storage.
    """

    __tablename__ = "drift_sample"
    __table_args__ = (Index(None, "scanner", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), unique=True
    )
    at: Mapped[datetime]
    scanner: Mapped[str] = mapped_column(Scanner)
    kernel: Mapped[str] = mapped_column(Name)
    software: Mapped[str] = mapped_column(Name)
    basis: Mapped[str] = mapped_column(Text, default="")
    figures: Mapped[str] = mapped_column(Text)


class DriftFinding(Base):
    """Something of a scanner that has changed, until somebody accepts it.

    Attributes
    ----------
    what
        The figure, or the kind of news.
    action
        What is done with series of the scanner meanwhile; storage knows `HOLD` and `STOP` alone.
    ended_by
        Who has accepted it.
    """

    __tablename__ = "drift_finding"
    __table_args__ = (Index(None, "ended_at", "scanner"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    scanner: Mapped[str] = mapped_column(Scanner)
    what: Mapped[str] = mapped_column(Words)
    text: Mapped[str] = mapped_column(Words)
    at: Mapped[datetime]
    action: Mapped[str] = mapped_column(String(16))
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_by: Mapped[str] = mapped_column(Words, default="")


def is_held(*actions: str) -> ColumnElement[bool]:
    """Build the condition for series whose scanner has a finding with one of some actions.

    They wait until somebody accepts it.
    """
    return (
        select(DriftFinding.id)
        .join(SeriesEquipment, SeriesEquipment.scanner == DriftFinding.scanner)
        .where(
            SeriesEquipment.series_instance_uid == Series.series_instance_uid,
            DriftFinding.ended_at.is_(None),
            DriftFinding.action.in_(actions),
        )
        .exists()
    )


class DriftBaseline(Base):
    """From which sample on a scanner has its reference.

    Attributes
    ----------
    after_id
        The sample before the first of the reference.
    """

    __tablename__ = "drift_baseline"

    scanner: Mapped[str] = mapped_column(Scanner, primary_key=True)
    after_id: Mapped[int]
    at: Mapped[datetime]
    by: Mapped[str] = mapped_column(Words)


class ShadowResult(Base):
    """Figures that a second model found in a series, beside those of a result; never delivered.

    Attributes
    ----------
    result_key
        The result that it is compared with, by another model from the same images.
    model, manifest_sha256
        Name and version of the second model, and SHA-256 of its manifest.
    software
        Version of the program that found them.
    score
        None where it found nothing.
    opacities_ml, lungs_ml
        Volumes of all opacities, reported or not, and of the lungs.
    opacities_of_result_ml, lungs_of_result_ml
        Those of the result; None where what was kept of its analysis could not be read.
    seconds
        How long the analysis took.
    reason
        Why there is no score; else empty.
    """

    __tablename__ = "shadow_result"
    __table_args__ = (UniqueConstraint("result_key", "manifest_sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    result_key: Mapped[str] = mapped_column(ForeignKey("result.key"))
    series_instance_uid: Mapped[str] = mapped_column(
        ForeignKey("series.series_instance_uid"), index=True
    )
    at: Mapped[datetime]
    model: Mapped[str] = mapped_column(Words)
    manifest_sha256: Mapped[str] = mapped_column(Digest, index=True)
    software: Mapped[str] = mapped_column(Words, default="")
    score: Mapped[float | None] = mapped_column(default=None)
    opacities_ml: Mapped[float | None] = mapped_column(default=None)
    lungs_ml: Mapped[float | None] = mapped_column(default=None)
    opacities_of_result_ml: Mapped[float | None] = mapped_column(default=None)
    lungs_of_result_ml: Mapped[float | None] = mapped_column(default=None)
    seconds: Mapped[float] = mapped_column(default=0.0)
    reason: Mapped[str] = mapped_column(Words, default="")


class ErasedResult(Base):
    """Record of a result whose rows were erased, or forgotten: without any identity.

    Attributes
    ----------
    id
        Drawn by chance: neither it nor the order of rows tells when one was erased.
    month
        In which the result was made, YYYY-MM.
    record
        JSON text; not interpreted by storage.
    """

    __tablename__ = "erased_result"
    __table_args__ = ({"sqlite_with_rowid": False},)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), index=True)
    record: Mapped[str] = mapped_column(Text)
