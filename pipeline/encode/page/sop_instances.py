"""Encode the summary page: as Secondary Capture (PS3.3 A.8), and as encapsulated PDF (A.45.1).

The picture is for viewers, the PDF for systems that file documents.
"""

from __future__ import annotations

from io import BytesIO
from time import struct_time

from PIL import Image
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from pipeline.encode.common import secondary_capture
from pipeline.encode.common.modules import (
    add_anatomy,
    add_body_part,
    add_lossy_history,
    local_time,
    new_object,
)
from pipeline.encode.common.secondary_capture import Rgb
from pipeline.encode.page.canvas import SCALE
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.source.copying import copy_elements
from pipeline.types import CtSeries

TITLE = "AI summary of a chest CT (research use only)"
RESOLUTION = 230.0  #: dots per inch: the page fits A4 and Letter, landscape, with a margin
QUALITY = 92  #: of the JPEG in the PDF, with which letters have no halos


def summary_page(series: CtSeries, context: ResultContext, drawn: Rgb) -> Dataset:
    """Encode the page as Secondary Capture, reduced to the pixels of a screen.

    Parameters
    ----------
    drawn
        From `pipeline.encode.page.layout.page`.
    """
    result = new_object(
        series.common.header, context, ResultKind.SUMMARY, SecondaryCaptureImageStorage
    )
    add_body_part(series, result)
    secondary_capture.add_equipment(result, context)
    secondary_capture.add_image(
        result, series, context, flavour="SUMMARY", derivation="Summary page of the AI result"
    )
    result.PatientOrientation = None
    _add_sources(result, series)
    add_lossy_history(series, result)
    shown = Image.fromarray(drawn).reduce(SCALE)
    secondary_capture.add_pixels(result, (shown.height, shown.width, 3), shown.tobytes())
    return result


def _add_sources(result: Dataset, series: CtSeries) -> None:
    images = source_slices.instance_references(source_slices.real_slices(series))
    for image in images:
        image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    result.SourceImageSequence = images


def document(series: CtSeries, context: ResultContext, drawn: Rgb) -> Dataset:
    """Encode the page as PDF for print; parameters as those of `summary_page`."""
    result = new_object(series.common.header, context, ResultKind.DOCUMENT, EncapsulatedPDFStorage)
    copy_elements(series.common.header, result, ("RequestAttributesSequence",))
    add_anatomy(series.common.header, result)
    secondary_capture.add_equipment(result, context)
    result.AcquisitionDateTime = None
    result.BurnedInAnnotation = "NO"
    result.VerificationFlag = "UNVERIFIED"
    result.DocumentTitle = TITLE
    result.ConceptNameCodeSequence = [codes.code_item(codes.SUMMARY_SERIES)]
    result.SourceInstanceSequence = source_slices.instance_references(
        source_slices.real_slices(series)
    )
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data = pdf(drawn, local_time(series.common.header, context).utctimetuple())
    result.EncapsulatedDocumentLength = len(data)
    padded = data + b"\x00" * (len(data) % 2)
    result.add_new(keyword_dict["EncapsulatedDocument"], "OB", padded)
    return result


def pdf(drawn: Rgb, created: struct_time) -> bytes:
    """Write a PDF of one page; the same picture and time (UTC) give the same bytes."""
    buffer = BytesIO()
    Image.fromarray(drawn).save(
        buffer,
        "PDF",
        resolution=RESOLUTION,
        quality=QUALITY,
        subsampling=0,
        title=TITLE,
        creationDate=created,
        modDate=created,
    )
    return buffer.getvalue()
