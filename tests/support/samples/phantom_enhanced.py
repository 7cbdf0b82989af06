"""Make one Enhanced CT multi-frame instance of a phantom (PS3.3 A.38.1)."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset, Sequence
from pydicom.uid import EnhancedCTImageStorage

from pipeline.synthetic.phantom.dicom import (
    SeriesOptions,
    common_header,
    content_of,
    decimals,
    finish,
    phantom_uid,
    set_pixels,
)
from pipeline.synthetic.phantom.make import Phantom
from pipeline.synthetic.phantom.scan import PHANTOM_LOWEST_HU

FRAME_TYPE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]


def enhanced_dataset(
    phantom: Phantom, *, seed: int, options: SeriesOptions | None = None, head_first: bool = False
) -> Dataset:
    """One dataset of all slices, frames feet to head, or head to feet with ``head_first``."""
    options, content = options or SeriesOptions(), content_of(phantom)
    dataset = common_header(seed, options)
    dataset.SeriesInstanceUID = phantom_uid(seed, "enhanced series", options.series_number, content)
    dataset.SOPClassUID = EnhancedCTImageStorage
    dataset.SOPInstanceUID = phantom_uid(seed, "enhanced instance", content)
    dataset.InstanceNumber = 1
    dataset.ImageType = FRAME_TYPE
    del dataset.AcquisitionDate, dataset.AcquisitionTime  # the frames have their own
    order = list(range(len(phantom.hu)))[:: -1 if head_first else 1]
    set_pixels(dataset, phantom.hu[order].astype(np.int32) - PHANTOM_LOWEST_HU)
    dataset.NumberOfFrames = len(order)
    _add_image_module(dataset)
    _add_dimensions(dataset, seed)
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared(phantom, seed)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [_frame(phantom, index, number) for number, index in enumerate(order, start=1)]
    )
    finish(dataset)
    return dataset


def item(**values: object) -> Dataset:
    """Make a dataset of attributes by keyword."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Make a coded entry (PS3.3 8.8)."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _add_image_module(dataset: Dataset) -> None:
    """Enhanced CT Image, Acquisition Context and Synchronisation modules."""
    dataset.ContentQualification = "PRODUCT"
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.AcquisitionDateTime, dataset.AcquisitionDuration = "20260314092653", 5.0
    dataset.BurnedInAnnotation, dataset.LossyImageCompression = "NO", "00"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.MultienergyCTAcquisition = "NO"
    dataset.IsocenterPosition = [0.0, 0.0, 0.0]


def _add_dimensions(dataset: Dataset, seed: int) -> None:
    """Frames differ in their place along one stack (PS3.3 C.7.6.17)."""
    organisation = phantom_uid(seed, "dimension organisation")
    dataset.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=organisation)])
    pointer = item(
        DimensionOrganizationUID=organisation,
        DimensionIndexPointer=0x00209057,  # In-Stack Position Number
        FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
        DimensionDescriptionLabel="Position",
    )
    dataset.DimensionIndexSequence = Sequence([pointer])


def _shared(phantom: Phantom, seed: int) -> Dataset:
    """Functional groups that hold for all frames."""
    affine = phantom.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)  # slice, row, column
    directions = [*(affine[:3, 2] / spacing[2]), *(affine[:3, 1] / spacing[1])]
    region = code("51185008", "SCT", "Chest")
    groups = {
        "PixelMeasuresSequence": item(
            PixelSpacing=decimals(spacing[1:]), SliceThickness=decimals(spacing[:1])[0]
        ),
        "PlaneOrientationSequence": item(ImageOrientationPatient=decimals(directions)),
        "FrameAnatomySequence": item(
            FrameLaterality="U", AnatomicRegionSequence=Sequence([region])
        ),
        "FrameVOILUTSequence": item(WindowCenter="-600", WindowWidth="1500"),
        "PixelValueTransformationSequence": item(
            RescaleIntercept=str(PHANTOM_LOWEST_HU), RescaleSlope="1", RescaleType="HU"
        ),
        "IrradiationEventIdentificationSequence": item(
            IrradiationEventUID=phantom_uid(seed, "irradiation event")
        ),
        **_ct_groups(float(spacing[2] * phantom.hu.shape[2])),
    }
    return item(**{keyword: Sequence([group]) for keyword, group in groups.items()})


def _ct_groups(diameter_mm: float) -> dict[str, Dataset]:
    """CT functional groups (PS3.3 C.8.15.3): values of a routine spiral chest scan."""
    return {
        "CTImageFrameTypeSequence": item(
            FrameType=FRAME_TYPE,
            PixelPresentation="MONOCHROME",
            VolumetricProperties="VOLUME",
            VolumeBasedCalculationTechnique="NONE",
        ),
        "CTAcquisitionTypeSequence": item(
            AcquisitionType="SPIRAL",
            ConstantVolumeFlag="NO",
            FluoroscopyFlag="NO",
        ),
        "CTAcquisitionDetailsSequence": item(
            RotationDirection="CW",
            RevolutionTime=0.5,
            SingleCollimationWidth=0.6,
            TotalCollimationWidth=38.4,
            TableHeight=0.0,
            GantryDetectorTilt=0.0,
            DataCollectionDiameter=500.0,
        ),
        "CTTableDynamicsSequence": item(
            TableSpeed=76.8, TableFeedPerRotation=38.4, SpiralPitchFactor=1.0
        ),
        "CTPositionSequence": item(
            DataCollectionCenterPatient=[0.0, 0.0, 0.0],
            ReconstructionTargetCenterPatient=[0.0, 0.0, 0.0],
            TablePosition=0.0,
        ),
        "CTGeometrySequence": item(
            DistanceSourceToDetector=1000.0, DistanceSourceToDataCollectionCenter=550.0
        ),
        "CTReconstructionSequence": item(
            ReconstructionAlgorithm="FILTER_BACK_PROJ",
            ConvolutionKernel="LUNG",
            ConvolutionKernelGroup="LUNG",
            ReconstructionDiameter=diameter_mm,
            ReconstructionPixelSpacing=[diameter_mm / 512] * 2,
            ReconstructionAngle=360.0,
            ImageFilter="NONE",
        ),
        "CTExposureSequence": item(
            ExposureTimeInms=500.0,
            XRayTubeCurrentInmA=200.0,
            ExposureInmAs=100.0,
            ExposureModulationType="NONE",
            CTDIvol=5.0,
            CTDIPhantomTypeCodeSequence=Sequence(
                [code("113691", "DCM", "IEC Body Dosimetry Phantom")]
            ),
        ),
        "CTXRayDetailsSequence": item(
            KVP="120", FocalSpots=[1.0], FilterType="FLAT", FilterMaterial="ALUMINUM"
        ),
    }


def _frame(phantom: Phantom, index: int, number: int) -> Dataset:
    """Functional groups of one frame: its place."""
    position = phantom.affine[:3, 3] + index * phantom.affine[:3, 0]
    content = item(
        FrameAcquisitionNumber=1,
        FrameReferenceDateTime="20260314092653",
        FrameAcquisitionDateTime="20260314092653",
        FrameAcquisitionDuration=50.0,
        StackID="1",
        InStackPositionNumber=number,
        DimensionIndexValues=[number],
    )
    plane = item(ImagePositionPatient=decimals(position))
    return item(FrameContentSequence=Sequence([content]), PlanePositionSequence=Sequence([plane]))
