"""Find series by what a person types: a UID, an accession number, a Patient ID; exactly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dicom_node.console.access.people import Role
from dicom_node.console.context import Console
from dicom_node.errors import NodeError
from dicom_node.identity_key import existing_key
from storage.series.search import series_of_accession, series_of_patient, series_of_uid

MAX_UID = 64  #: characters, PS3.5 9.1
UID = re.compile(rf"[0-9A-Za-z.-]{{1,{MAX_UID}}}")  #: some archives give UUIDs for UIDs
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
    """

    series: Sequence[str]
    alike_in: str


def find(console: Console, text: str, role: Role) -> Found | None:
    """Find series; None if there is none. A Patient ID is looked for by readers only."""
    text = text.strip()[:MOST_TYPED]
    with console.sessions.reading() as session:
        if UID.fullmatch(text) and (known := series_of_uid(session, text)):
            return Found(series=known, alike_in="study_of")
        try:
            key = existing_key(console.folder)
        except NodeError:  # nothing was ever received: there is nothing to be found
            return None
        digest = key.digest(text)
        if known := series_of_accession(session, digest):
            return Found(series=known, alike_in="accession_of")
        may_know = role.includes(Role.READER) and console.settings().console.show_patients
        if may_know and (known := series_of_patient(session, digest)):
            return Found(series=known, alike_in="patient_of")
    return None
