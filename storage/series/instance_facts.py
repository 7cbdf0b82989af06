"""Attributes of a received instance that are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field

from storage.series.slices import NOTHING_KNOWN, SliceFacts

OF_THE_STUDY = (
    "patient_key",
    "patient_digest",
    "birth_digest",
    "accession_key",
    "study_date",
    "study_time",
)
"""Of the latest instance of a series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentFacts:
    """What made the images of a series, as an image says it; empty where it does not.

    Attributes
    ----------
    kernel
        Convolution Kernel; several are separated by a backslash.
    software
        Software Versions, likewise.
    """

    manufacturer: str = ""
    model: str = ""
    station: str = ""
    kernel: str = ""
    software: str = ""

    @property
    def scanner(self) -> str:
        """Name of the one machine: its maker, model and station."""
        return " ".join(filter(None, (self.manufacturer, self.model, self.station)))


NOTHING_SAID = EquipmentFacts()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """Attributes of a kept instance.

    Attributes
    ----------
    path, digest, bytes
        As in :class:`storage.files.folder.KeptFile`.
    patient_key, patient_digest, birth_digest, accession_key
        Digests, as in :class:`storage.database.schema.Series`.
    study_date, study_time, series_number
        As in :class:`storage.database.schema.Series`.
    urgent
        Whether its series is to be analysed before others.
    slice
        Where its slice lies.
    is_document
        Whether it is a document, no image.
    patient_id
        For the audit trail alone: it is not recorded.
    equipment
        What made the image.
    of_self_test
        Whether its series is one of our own self-test, by its proved UID.
    """

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    transfer_syntax_uid: str
    modality: str
    calling_ae: str
    path: str
    digest: str
    bytes: int
    patient_key: str = ""
    patient_digest: str = ""
    birth_digest: str = ""
    accession_key: str = ""
    study_date: str = ""
    study_time: str = ""
    series_number: int | None = None
    urgent: bool = False
    slice: SliceFacts = NOTHING_KNOWN
    is_document: bool = False
    patient_id: str = field(default="", repr=False)
    of_self_test: bool = False
    equipment: EquipmentFacts = NOTHING_SAID
