"""Synthetic series of the self-test: the same picture each time, under UIDs of its own.

Nothing in it comes from a patient. Only its UIDs tell it from a patient's series: see
`storage.files.self_test_mark`.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import lru_cache

from pydicom import Dataset

from pipeline.synthetic.phantom.dicom import SeriesOptions, phantom_datasets
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom

SPEC = PhantomSpec(seed=7, slices=60, size=384, spacing_mm=5.0, lesions=6)
"""A chest whose score lies where scores change most: what alters the analysis alters it."""
NAMESPACE = uuid.UUID("5a1c2f0e-8f0b-4bb8-9d0e-0b7c9d7f3a51")
"""Of the UIDs within the series (RFC 9562, version 5); drawn once, never to be changed."""
OPTIONS = SeriesOptions(
    patient_name="Self-test^Synthetic", series_description="Self-test, synthetic chest"
)


@lru_cache(maxsize=1)
def phantom() -> Phantom:
    """Draw the chest, once a process."""
    return make_phantom(SPEC)


def self_test_datasets(series_instance_uid: str, now: datetime) -> list[Dataset]:
    """Make the images of a run, feet to head; the same UID and time make the same ones.

    Parameters
    ----------
    series_instance_uid
        As `draw_self_test_uid` draws it; all other UIDs follow from it.
    """
    datasets = phantom_datasets(phantom(), seed=SPEC.seed, options=OPTIONS)
    for number, dataset in enumerate(datasets):
        dataset.SeriesInstanceUID = series_instance_uid
        dataset.StudyInstanceUID = within(series_instance_uid, "study")
        dataset.FrameOfReferenceUID = within(series_instance_uid, "frame of reference")
        dataset.SOPInstanceUID = within(series_instance_uid, str(number))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.PatientID = "SELF-TEST"
        dataset.AccessionNumber = ""
        for kind in ("Study", "Series", "Acquisition", "Content"):
            setattr(dataset, f"{kind}Date", f"{now:%Y%m%d}")
            setattr(dataset, f"{kind}Time", f"{now:%H%M%S}")
    return datasets


def within(series_instance_uid: str, name: str) -> str:
    """Derive a UID of something of the series."""
    return f"2.25.{uuid.uuid5(NAMESPACE, f'{series_instance_uid}/{name}').int}"
