"""Select the prior study and the most similar series from the matches of C-FIND."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydicom import Dataset

from dicom_node.network.query_scu import keys

KNOWN_OF_BOTH = ("IssuerOfPatientID", "PatientBirthDate")  #: not every archive has them
TAGS = [
    "SpecificCharacterSet",
    "PatientID",
    *KNOWN_OF_BOTH,
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
]
"""Attributes of a series that the search for a prior study needs."""


def query_for(here: Dataset) -> Dataset:
    """Make the identifier that asks for the patient's studies with CT up to this day."""
    identifier = keys(
        "STUDY",
        PatientID=str(here.PatientID),
        IssuerOfPatientID="",
        PatientBirthDate="",
        StudyInstanceUID="",
        StudyDate=f"-{here.StudyDate}",
        StudyTime="",
        ModalitiesInStudy="CT",
    )
    if "SpecificCharacterSet" in here:
        identifier.SpecificCharacterSet = here.SpecificCharacterSet
    return identifier


def earlier(here: Dataset, studies: Iterable[Dataset]) -> list[Dataset]:
    """Choose the studies of the same patient before this one, the latest first.

    Archives take wildcards in a Patient ID for what they are, and not all know the issuer:
    identity is held here. An issuer or a birth date that only one side has decides nothing.
    """
    same = (study for study in studies if _same_patient(here, study))
    before = (study for study in same if _text(study, "StudyDate") and _is_before(study, here))
    return sorted(before, key=_when, reverse=True)


def rank(series: Iterable[Dataset], *, instances: int, min_slices: int) -> list[str]:
    """Order series by how close they are in size to ours; those of unknown size last.

    Parameters
    ----------
    instances
        Of the series that is to be compared.
    min_slices
        Series with fewer instances are left out.

    Returns
    -------
    list of str
        Series Instance UIDs of CT with enough instances.
    """
    candidates = []
    for match in series:
        text = _text(match, "NumberOfSeriesRelatedInstances")
        count = int(text) if text.isdecimal() else None
        if _text(match, "Modality") != "CT" or (count is not None and count < min_slices):
            continue
        difference = math.inf if not count else abs(math.log(count / max(instances, 1)))
        candidates.append((difference, str(match.SeriesInstanceUID)))
    return [uid for _, uid in sorted(candidates)]


def _same_patient(here: Dataset, study: Dataset) -> bool:
    others = [(_text(here, keyword), _text(study, keyword)) for keyword in KNOWN_OF_BOTH]
    return _text(here, "PatientID") == _text(study, "PatientID") and all(
        ours == theirs for ours, theirs in others if ours and theirs
    )


def _is_before(study: Dataset, here: Dataset) -> bool:
    other = _text(study, "StudyInstanceUID") != _text(here, "StudyInstanceUID")
    return other and _when(study) < _when(here)


def _when(study: Dataset) -> tuple[str, str]:
    return _text(study, "StudyDate"), _text(study, "StudyTime")


def _text(ds: Dataset, keyword: str) -> str:
    return str(ds.get(keyword) or "").strip()
