"""Make a CT series of a phantom: complete CT Image Storage instances (PS3.3 A.3), and files.

Everything is synthetic and follows from the seed, UIDs included (``2.25.`` + UUIDv5, PS3.5 B.2),
so the same call writes the same series again.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from pipeline.synthetic.phantom.make import Phantom
from pipeline.synthetic.phantom.scan import PHANTOM_LOWEST_HU
from pipeline.synthetic.phantom.syntaxes import transcoded

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:dicom-node:phantom")
BITS_STORED = 12  #: -1024 to 3071 HU


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesOptions:
    """Names and numbers of the series that say nothing about the picture.

    Attributes
    ----------
    announce
        Whether each instance states how many there are (Images in Acquisition).
    """

    patient_name: str = "Phantom^Chest"
    series_description: str = "Thorax 3.0 Lung"
    series_number: int = 2
    announce: bool = True


def phantom_uid(seed: int, *parts: object) -> UID:
    """UID of one thing of the phantom with this seed."""
    name = "/".join(str(part) for part in (seed, *parts))
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")


def content_of(phantom: Phantom) -> str:
    """Digest of picture and place: the same patient scanned another way is another series."""
    return hashlib.sha256(phantom.hu.tobytes() + phantom.affine.tobytes()).hexdigest()


def phantom_datasets(
    phantom: Phantom, *, seed: int, options: SeriesOptions | None = None
) -> list[Dataset]:
    """One uncompressed CT Image Storage dataset per slice, feet to head, file meta included."""
    options = options or SeriesOptions()
    content = content_of(phantom)
    datasets = []
    for index, pixels in enumerate(phantom.hu):
        dataset = common_header(seed, options)
        dataset.SeriesInstanceUID = phantom_uid(seed, "series", options.series_number, content)
        dataset.SOPClassUID = CTImageStorage
        dataset.SOPInstanceUID = phantom_uid(
            seed, "instance", options.series_number, content, index
        )
        dataset.InstanceNumber = index + 1
        _add_technique(dataset)
        if options.announce:
            dataset.ImagesInAcquisition = len(phantom.hu)
        _add_plane(dataset, phantom, index)
        set_pixels(dataset, pixels.astype(np.int32) - PHANTOM_LOWEST_HU)
        finish(dataset)
        datasets.append(dataset)
    return datasets


def common_header(seed: int, options: SeriesOptions) -> Dataset:
    """Patient, study, series, equipment and frame of reference."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName, dataset.PatientID = options.patient_name, f"PHANTOM{seed:06d}"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19610507", "O", "064Y"
    dataset.StudyInstanceUID = phantom_uid(seed, "study")
    dataset.SeriesInstanceUID = phantom_uid(seed, "series", options.series_number)
    dataset.FrameOfReferenceUID = phantom_uid(seed, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{kind}Date", "20260314")
        setattr(dataset, f"{kind}Time", "092653")
    dataset.StudyID, dataset.AccessionNumber = "1", f"PH{seed:06d}"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "CT Thorax"
    dataset.SeriesNumber, dataset.AcquisitionNumber = options.series_number, 1
    dataset.SeriesDescription = options.series_description
    dataset.ProtocolName, dataset.BodyPartExamined = "Thorax phantom", "CHEST"
    dataset.Modality, dataset.PatientPosition = "CT", "HFS"
    dataset.Manufacturer, dataset.ManufacturerModelName = "dicom-node", "Synthetic chest"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "0", "1"
    return dataset


def _add_technique(dataset: Dataset) -> None:
    """CT Image module (PS3.3 C.8.2.1): values of a routine chest scan."""
    dataset.KVP, dataset.XRayTubeCurrent, dataset.ExposureTime = "120", 200, 500
    dataset.Exposure, dataset.FilterType, dataset.ConvolutionKernel = 100, "FLAT", "LUNG"
    dataset.RotationDirection, dataset.GantryDetectorTilt = "CW", "0"
    dataset.RescaleIntercept, dataset.RescaleSlope = str(PHANTOM_LOWEST_HU), "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["-600", "40"], ["1500", "400"]
    dataset.WindowCenterWidthExplanation = ["LUNG", "SOFT"]


def decimals(values: Sequence[float] | NDArray[np.float64]) -> list[str]:
    """Decimal Strings: at most 16 characters (PS3.5 6.2)."""
    return [f"{value + 0.0:.6f}".rstrip("0").rstrip(".") for value in values]


def _add_plane(dataset: Dataset, phantom: Phantom, index: int) -> None:
    """Image Plane module (PS3.3 C.7.6.2)."""
    affine = phantom.affine
    position = affine[:3, 3] + index * affine[:3, 0]
    spacing = np.linalg.norm(affine[:3, :3], axis=0)  # slice, row, column
    row, column = affine[:3, 2] / spacing[2], affine[:3, 1] / spacing[1]
    dataset.ImagePositionPatient = decimals(position)
    dataset.ImageOrientationPatient = decimals([*row, *column])
    dataset.PixelSpacing = decimals(spacing[1:])
    dataset.SliceThickness = decimals(spacing[:1])[0]
    dataset.SliceLocation = decimals(position[2:])[0]
    dataset.ReconstructionDiameter = decimals([spacing[2] * phantom.hu.shape[2]])[0]
    dataset.DataCollectionDiameter = "500"


def set_pixels(dataset: Dataset, stored: NDArray[np.integer], *, bits: int = BITS_STORED) -> None:
    """Put stored values ``([frames,] rows, columns)`` in, 16 bits allocated, little endian.

    Signed when any value is negative; then all 16 bits are stored.
    """
    signed = bool(stored.min() < 0)
    bits = 16 if signed else bits
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    dataset.add_new("PixelData", "OW", stored.astype("<i2" if signed else "<u2").tobytes())


def finish(dataset: Dataset) -> None:
    """Add the file meta information of an uncompressed little-endian file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta


def write_series(
    datasets: Sequence[Dataset], folder: Path, transfer_syntax: str = "explicit"
) -> list[Path]:
    """Write ``IM0001.dcm``, ``IM0002.dcm``, ... in the order given.

    Parameters
    ----------
    datasets
        Uncompressed, as `phantom_datasets` makes them; not changed.
    folder
        Made if it is not there.
    transfer_syntax
        A key of :data:`pipeline.synthetic.phantom.syntaxes.TRANSFER_SYNTAXES`.

    Raises
    ------
    ValueError
        If the transfer syntax is none of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, start=1):
        path = folder / f"IM{number:04d}.dcm"
        transcoded(dataset, transfer_syntax).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
