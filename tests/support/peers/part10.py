"""Part 10 files with any bytes as their data set."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom.dsutils import split_dataset

from pipeline.encode.bundle import part10


def part10_file(
    path: Path, body: bytes, number: int = 1, sop_class: str = SecondaryCaptureImageStorage
) -> Path:
    """Write a file with a File Meta group, and any bytes as its data set."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"2.25.{number}"
    path.write_bytes(part10(ds))
    start = split_dataset(path)[1]
    path.write_bytes(path.read_bytes()[:start] + body)
    return path
