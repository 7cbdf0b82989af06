"""Find series by the exact value of what names them: accession number, patient, or a UID.

Accession Number and Patient ID are looked for by their keyed digests (`IdentityKey.digest` of the
value without spaces around it); nothing is found by an empty one.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from storage.database.schema import Instance, Series

MOST_FOUND = 200  #: series; more than anybody reads


def series_of_accession(session: Session, accession_key: str, limit: int = MOST_FOUND) -> list[str]:
    """List the Series Instance UIDs of an Accession Number, the latest received first."""
    return _found(session, Series.accession_key, accession_key, limit)


def series_of_patient(session: Session, patient_digest: str, limit: int = MOST_FOUND) -> list[str]:
    """List the Series Instance UIDs of a Patient ID, the latest received first."""
    return _found(session, Series.patient_digest, patient_digest, limit)


def series_of_uid(session: Session, uid: str, limit: int = MOST_FOUND) -> list[str]:
    """List the Series Instance UIDs of a study, a series or an instance, the latest first.

    Parameters
    ----------
    uid
        Study, Series or SOP Instance UID: the first of these that is known counts.
    """
    holders = select(Instance.series_instance_uid).where(Instance.sop_instance_uid == uid)
    return (
        _found(session, Series.series_instance_uid, uid, limit)
        or _found(session, Series.study_instance_uid, uid, limit)
        or _latest(session, Series.series_instance_uid.in_(holders), limit)
    )


def _found(
    session: Session, column: InstrumentedAttribute[str], value: str, limit: int
) -> list[str]:
    return _latest(session, column == value, limit) if value else []


def _latest(session: Session, chosen: ColumnElement[bool], limit: int) -> list[str]:
    return list(
        session.scalars(
            select(Series.series_instance_uid)
            .where(chosen)
            .order_by(Series.last_at.desc(), Series.series_instance_uid)
            .limit(limit)
        )
    )
