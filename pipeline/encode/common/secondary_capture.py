"""Modules shared by the Secondary Captures of a result: heatmap and summary page (PS3.3 A.8).

Pictures are RGB and uncompressed, which every archive accepts. Burned In Annotation is NO because
it asks about the patient's identity (PS3.3 C.7.6.1.1.4), of which the pictures hold nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_dict

from pipeline.encode.common import sentences
from pipeline.encode.common.modules import da_tm, local_time
from pipeline.encode.language.translation import _
from pipeline.encode.result.context import ResultContext
from pipeline.types import CtSeries

Rgb = NDArray[np.uint8]


def add_equipment(result: Dataset, context: ResultContext) -> None:
    """SC Equipment (PS3.3 C.8.6.1)."""
    equipment = context.equipment
    result.ConversionType = "WSD"
    result.SecondaryCaptureDeviceManufacturer = equipment.manufacturer
    result.SecondaryCaptureDeviceManufacturerModelName = equipment.model_name
    result.SecondaryCaptureDeviceSoftwareVersions = equipment.software_versions


def add_image(
    result: Dataset, series: CtSeries, context: ResultContext, *, flavour: str, derivation: str
) -> None:
    """SC Image and General Image modules (PS3.3 C.8.6.2, C.7.6.1).

    Parameters
    ----------
    flavour
        Third value of Image Type.
    derivation
        Derivation Description.
    """
    result.DateOfSecondaryCapture, result.TimeOfSecondaryCapture = da_tm(
        local_time(series.common.header, context)
    )
    result.ImageType = ["DERIVED", "SECONDARY", flavour]
    result.BurnedInAnnotation = "NO"
    result.DerivationDescription = derivation
    result.ImageComments = _(sentences.RESEARCH_NOTICE)


def add_pixels(result: Dataset, shape: tuple[int, ...], data: bytes) -> None:
    """Image Pixel module (PS3.3 C.7.6.3) of RGB pictures.

    Parameters
    ----------
    shape
        ``(rows, columns, 3)`` of a frame.
    data
        All frames, one after the other.
    """
    result.SamplesPerPixel = 3
    result.PhotometricInterpretation = "RGB"
    result.PlanarConfiguration = 0
    result.Rows, result.Columns = shape[:2]
    result.BitsAllocated, result.BitsStored, result.HighBit = 8, 8, 7
    result.PixelRepresentation = 0
    result.add_new(keyword_dict["PixelData"], "OB", data + b"\x00" * (len(data) % 2))
