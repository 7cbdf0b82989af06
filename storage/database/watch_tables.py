"""Tables of what watches the node: self-tests."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from storage.database.columns import Uid, Words, word
from storage.database.schema import Base
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
