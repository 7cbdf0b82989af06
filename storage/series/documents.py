"""Keep documents apart from the images of the series that they say they are in.

A series holds instances of one modality (PS3.3 C.7.3.1): a document that gives the Series Instance
UID of images does not belong there. It gets a series of its own, whichever came first, so that
neither the count nor the sender of the images changes, and the document is read as any other.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from storage.database.batches import batched
from storage.database.schema import Feedback, Instance, Series
from storage.series.instance_facts import OF_THE_STUDY, InstanceFacts
from storage.series.lifecycle import ENDED, reopen
from storage.states import SeriesState

NAMESPACE = uuid.UUID("0d1f8b0a-6a7b-4f5e-9a53-2f3f0b1b6a57")
"""Namespace of the name-based UUIDs (RFC 9562, version 5); drawn once, never to be changed."""
ROOT = "2.25"  #: of UIDs that are made of UUIDs, PS3.5 B.2

Arrivals = Sequence[tuple[InstanceFacts, datetime]]


def documents_beside(series_instance_uid: str) -> str:
    """Name the series of the documents that came in a series of images."""
    return f"{ROOT}.{uuid.uuid5(NAMESPACE, series_instance_uid).int}"


def keep_apart(session: Session, arrivals: Arrivals) -> Arrivals:
    """Give documents that came in a series of images the series beside it."""
    documents = {facts.series_instance_uid for facts, _ in arrivals if facts.is_document}
    if not documents:
        return arrivals
    of_images = {facts.series_instance_uid for facts, _ in arrivals if not facts.is_document}
    of_images |= _of_images(session, documents)
    return [(_apart(facts, of_images), now) for facts, now in arrivals]


def _apart(facts: InstanceFacts, of_images: set[str]) -> InstanceFacts:
    uid = facts.series_instance_uid
    if not facts.is_document or uid not in of_images:
        return facts
    return replace(facts, series_instance_uid=documents_beside(uid))


def _of_images(session: Session, uids: set[str]) -> set[str]:
    """Find those of some series that are known, and of images."""
    found: set[str] = set()
    for batch in batched(sorted(uids)):
        found.update(
            session.scalars(
                select(Series.series_instance_uid).where(
                    Series.series_instance_uid.in_(batch), ~Series.of_documents
                )
            )
        )
    return found


def leave_to_images(session: Session, row: Series, image: InstanceFacts, now: datetime) -> None:
    """Move the documents of a series to the one beside it, and begin it anew as one of images."""
    beside = documents_beside(image.series_instance_uid)
    if session.get(Series, beside) is None:
        session.add(_copy(row, beside))
        session.flush()
    for table in (Instance, Feedback):
        session.execute(
            update(table)
            .where(table.series_instance_uid == image.series_instance_uid)
            .values(series_instance_uid=beside)
        )
    if row.state is not SeriesState.RECEIVING:
        reopen(session, row, now)
    row.of_documents, row.purging, row.urgent, row.instances = False, False, False, 0
    row.first_at = row.last_at = row.since = now
    for name in ("modality", "sop_class_uid", "calling_ae", "series_number", *OF_THE_STUDY):
        setattr(row, name, getattr(image, name))
    session.flush()


def _copy(row: Series, series_instance_uid: str) -> Series:
    """Copy the row of documents; they are read again where that had not come to an end."""
    values = {
        column.key: getattr(row, column.key)
        for column in Series.__mapper__.column_attrs
        if column.key not in {"series_instance_uid", "state", "holder", "rerun", "attempts"}
    }
    state = row.state if row.state in ENDED else SeriesState.RECEIVING
    return Series(**values, series_instance_uid=series_instance_uid, state=state)
