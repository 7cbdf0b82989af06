"""Find series by what a person types: UID, reference, accession number, Patient ID; exactly."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from dicom_node.console.access.people import Role
from dicom_node.console.context import Console
from dicom_node.console.parameters import UID
from dicom_node.errors import Busy
from storage.console.worklist import Filter, worklist
from storage.database.sessions import Session
from storage.results.to_tell import series_of_reference
from storage.series.search import series_of_accession, series_of_patient, series_of_uid

MOST_TYPED = 64  #: characters of what is looked for: LO (PS3.5 6.2), the longest of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Series that were found.

    Attributes
    ----------
    series
        Series Instance UIDs, the latest first.
    alike_in
        Name of the parameter of the worklist that shows them all, by one of them.
    patient
        A series of the patient whose Patient ID the same text is; empty if it is none.
    """

    series: Sequence[str]
    alike_in: str
    patient: str = ""


def find(console: Console, text: str, role: Role) -> Found | None:
    """Find series; None if there is none. A Patient ID is looked for by readers only.

    Raises
    ------
    Busy
        If nothing can be looked for, as the identity key is away.
    """
    text = text.strip()[:MOST_TYPED]
    with console.sessions.reading() as session:
        if UID.fullmatch(text) and (known := series_of_uid(session, text)):
            return Found(series=known, alike_in="study_of")
        if known := series_of_reference(session, text):
            return Found(series=known, alike_in="study_of")
        try:
            key = console.identity_key("accession numbers and patients cannot be looked for")
        except Busy:
            if not worklist(session, Filter(), 1):
                return None
            raise
        # what is received is digested byte by byte (`dicom_node.reception.header`)
        digests = {key.digest(text), key.digest(text.encode().decode("latin-1"))}
        may_know = role.includes(Role.READER) and console.settings().console.show_patients
        of_patient = _any(series_of_patient, session, digests) if may_know else []
        if known := _any(series_of_accession, session, digests):
            patient = of_patient[0] if of_patient else ""
            return Found(series=known, alike_in="accession_of", patient=patient)
        if of_patient:
            return Found(series=of_patient, alike_in="patient_of")
    return None


def _any(
    search: Callable[[Session, str], list[str]], session: Session, digests: Collection[str]
) -> list[str]:
    """Search for each digest."""
    return [uid for digest in sorted(digests) for uid in search(session, digest)]
