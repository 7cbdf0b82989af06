"""Small CT series and analyses made by hand, for the tests of the encoding."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import Equipment, Prior, ReportReference, derived_uid
from pipeline.series.common_header import common_header
from pipeline.types import (
    Analysis,
    Classification,
    Completeness,
    CtSeries,
    CtVolume,
    GeometryVerdict,
    Involvement,
    Lesion,
    LungMask,
    Provenance,
    Side,
    SourceFrame,
)

KEY = "0" * 64
CREATED = datetime(2026, 11, 22, 10, 30, 15, 250000, tzinfo=UTC)

EQUIPMENT = Equipment(
    manufacturer="Example Maker",
    model_name="Chest CT node",
    serial_number="SN-0001",
    software_versions="0.1.0",
    device_uid="2.25.1234567890",
    station_uid="2.25.987654321",
)

POSITIONS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "HFS": ((1, 0, 0), (0, 1, 0)),
    "FFS": ((-1, 0, 0), (0, 1, 0)),
    "HFP": ((-1, 0, 0), (0, -1, 0)),
    "FFP": ((1, 0, 0), (0, -1, 0)),
    "decubitus": ((0, 1, 0), (-1, 0, 0)),
    "oblique": ((0.6, 0.8, 0), (-0.8, 0.6, 0)),
    "tipped": ((1, 0, 0), (0, 0.96, 0.28)),
}
"""Directions along a row and along a column (LPS) of images as scanners write them."""


def context(**changes: object) -> ResultContext:
    values: dict[str, object] = {"key": KEY, "equipment": EQUIPMENT, "created": CREATED}
    return ResultContext(**{**values, **changes})  # type: ignore[arg-type]  # checked at run time


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSpec:
    shape: tuple[int, int, int] = (6, 16, 24)
    spacing_mm: tuple[float, float, float] = (2.5, 0.7, 0.9)
    position: str = "HFS"
    missing: tuple[int, ...] = ()
    frame_of_reference_uid: str = "1.2.3.4.5.6"
    source_reversed: bool = False  #: instance numbers run from head to feet


def affine_of(spec: SeriesSpec) -> NDArray[np.float64]:
    row, column = (np.array(direction) for direction in POSITIONS[spec.position])
    affine = np.eye(4)
    normal = np.cross(row, column)
    affine[:3, 0] = normal * np.sign(normal[2]) * spec.spacing_mm[0]
    affine[:3, 1] = column * spec.spacing_mm[1]
    affine[:3, 2] = row * spec.spacing_mm[2]
    affine[:3, 3] = (-12.5, 7.25, -310.0)
    return affine


def read_back(dataset: Dataset) -> Dataset:
    """The dataset after a journey through a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    buffer.seek(0)
    return dcmread(buffer)


def header_of(spec: SeriesSpec, **identity: object) -> Dataset:
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.PatientName, header.PatientID = "Muster^Mia", "P-1"
    header.PatientBirthDate, header.PatientSex, header.PatientAge = "19600101", "F", "066Y"
    header.IssuerOfPatientID, header.StudyDescription = "Klinik", "CT Thorax"
    header.StudyInstanceUID, header.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    header.StudyDate, header.StudyTime, header.StudyID = "20261122", "093000", "S1"
    header.AccessionNumber, header.ReferringPhysicianName = "A-77", "Arzt^Anna"
    header.TimezoneOffsetFromUTC, header.Modality = "+0100", "CT"
    header.BodyPartExamined, header.SeriesNumber = "CHEST", 3
    header.Manufacturer, header.SliceThickness = "Scanner", "2.5"
    header.FrameOfReferenceUID = spec.frame_of_reference_uid
    _, header.Rows, header.Columns = spec.shape
    for keyword, value in identity.items():
        if value is None:
            del header[keyword]
        else:
            setattr(header, keyword, value)
    return header


def _plane(affine: NDArray[np.float64], index: int) -> list[str]:
    return [format_number_as_ds(float(v)) for v in affine[:3, 0] * index + affine[:3, 3]]


def _orientation(spec: SeriesSpec) -> list[str]:
    """As scanners write it: with more digits than the number needs."""
    return [f"{value:.6f}" for direction in POSITIONS[spec.position] for value in direction]


def _spacing(spec: SeriesSpec) -> list[str]:
    return [f"{value:.5f}" for value in spec.spacing_mm[1:]]


def _headers(
    spec: SeriesSpec, affine: NDArray[np.float64], identity: dict[str, object]
) -> list[Dataset]:
    headers = []
    for index in range(spec.shape[0]):
        if index in spec.missing:
            continue
        header = header_of(spec, **identity)
        header.SOPClassUID = CTImageStorage
        header.SOPInstanceUID = derived_uid("sample", index)
        header.InstanceNumber = spec.shape[0] - index if spec.source_reversed else index + 1
        header.ImagePositionPatient = _plane(affine, index)
        header.ImageOrientationPatient, header.PixelSpacing = _orientation(spec), _spacing(spec)
        headers.append(read_back(header))
    return headers


def _volume(
    spec: SeriesSpec, source: tuple[SourceFrame | None, ...], affine: NDArray[np.float64]
) -> CtVolume:
    hu = np.random.default_rng(1).integers(-1000, 200, spec.shape).astype(np.int16)
    return CtVolume(
        hu=hu,
        affine=affine,
        frame_of_reference_uid=spec.frame_of_reference_uid,
        source=source,
    )


def _verdict(spec: SeriesSpec) -> GeometryVerdict:
    return GeometryVerdict(
        spacing_mm=spec.spacing_mm[0],
        coverage_mm=spec.spacing_mm[0] * (spec.shape[0] - 1),
        completeness=Completeness.QUIET,
        statement=f"{spec.shape[0]} slices, {len(spec.missing)} missing.",
    )


def ct_series(spec: SeriesSpec = SeriesSpec(), **identity: object) -> CtSeries:
    """Series of single-frame instances; ``identity`` sets attributes, None removes them."""
    affine = affine_of(spec)
    headers = _headers(spec, affine, identity)
    source: list[SourceFrame | None] = [None] * spec.shape[0]
    real = [index for index in range(spec.shape[0]) if index not in spec.missing]
    for index, header in zip(real, headers, strict=True):
        source[index] = SourceFrame(
            sop_class_uid=CTImageStorage, sop_instance_uid=header.SOPInstanceUID
        )
    return CtSeries(
        volume=_volume(spec, tuple(source), affine),
        headers=tuple(headers),
        common=common_header(headers),
        geometry=_verdict(spec),
        instance_count=len(headers),
    )


def enhanced_series(spec: SeriesSpec = SeriesSpec()) -> CtSeries:
    """Series of one multi-frame instance whose frames run from head to feet."""
    affine, count = affine_of(spec), spec.shape[0]
    header = header_of(spec)
    header.SOPClassUID, header.SOPInstanceUID = EnhancedCTImageStorage, UID("1.2.3.9")
    header.InstanceNumber, header.NumberOfFrames = 1, count
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, orientation.ImageOrientationPatient = _spacing(spec), _orientation(spec)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    header.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for index in reversed(range(count)):
        plane, group = Dataset(), Dataset()
        plane.ImagePositionPatient = _plane(affine, index)
        group.PlanePositionSequence = [plane]
        groups.append(group)
    header.PerFrameFunctionalGroupsSequence = groups
    source = tuple(
        SourceFrame(
            sop_class_uid=EnhancedCTImageStorage,
            sop_instance_uid="1.2.3.9",
            frame_number=count - index,
        )
        for index in range(count)
    )
    headers = (read_back(header),)
    return CtSeries(
        volume=_volume(spec, source, affine),
        headers=headers,
        common=common_header(headers),
        geometry=_verdict(spec),
        instance_count=1,
    )


def masks(shape: tuple[int, int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Lungs, and two lesions inside them, without any symmetry."""
    lungs, lesions = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    rows, columns = shape[1:]
    lungs[1:, 2 : rows - 3, 1 : columns // 2 - 1] = 1
    lungs[1:, 3 : rows - 2, columns // 2 + 1 : columns - 2] = 2
    lesions[1:4, 4 : rows // 2, 2 : columns // 3] = 1
    lesions[2:4, rows // 2 : rows - 4, columns // 2 + 2 : columns - 4] = 2
    return lungs, lesions


def lesion(number: int, side: Side = Side.RIGHT, **changes: object) -> Lesion:
    values: dict[str, object] = {
        "number": number,
        "side": side,
        "volume_mm3": 1500.0 / number,
        "centroid_mm": (1.0, 2.0, 3.0),
        "mean_hu": -350.5,
        "activation": 0.75,
        "key_slice": 2,
    }
    return Lesion(**{**values, **changes})  # type: ignore[arg-type]  # checked at run time


def prior(**changes: object) -> Prior:
    """Earlier result of the same model, in another study."""
    values: dict[str, object] = {
        "study_date": date(2026, 10, 1),
        "score": 0.41,
        "threshold": 0.5,
        "right": 0.04,
        "left": 0.02,
        "total": 0.031,
        "model": "DeCoVNet 1.0.0",
        "report": ReportReference(
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.34",
            sop_instance_uid="1.2.4.7",
            series_instance_uid="1.2.4.2",
            study_instance_uid="1.2.4.1",
        ),
    }
    return Prior(**{**values, **changes})  # type: ignore[arg-type]  # checked at run time


def analysis(
    shape: tuple[int, int, int] = SeriesSpec().shape,
    *,
    lungs: NDArray[np.uint8] | None = None,
    lesion_labels: NDArray[np.uint8] | None = None,
    lesions: tuple[Lesion, ...] | None = None,
    score: float = 0.87,
    flags: tuple[str, ...] = (),
) -> Analysis:
    default_lungs, default_lesions = masks(shape)
    activation = np.linspace(0, 255, int(np.prod(shape))).astype(np.uint8).reshape(shape)
    return Analysis(
        lungs=LungMask(labels=default_lungs if lungs is None else lungs, method="unsupervised"),
        classification=Classification(score=score, threshold=0.5, operating_point="screening"),
        activation=activation,
        lesion_labels=default_lesions if lesion_labels is None else lesion_labels,
        lesions=(lesion(1), lesion(2, Side.LEFT)) if lesions is None else lesions,
        involvement=Involvement(right_ml=2100, left_ml=1900, right=0.08, left=0.04, total=0.061),
        provenance=Provenance(
            model_name="DeCoVNet",
            model_version="1.0.0",
            weights_sha256="ab" * 32,
            software_version="0.1.0",
            device="cpu",
            started=datetime(2026, 11, 22, 10, 30, tzinfo=UTC),
            finished=datetime(2026, 11, 22, 10, 30, 12, tzinfo=UTC),
            parameters={"window": "-1200 to 700 HU"},
        ),
        flags=flags,
    )
