"""Encode the summary page: as Secondary Capture (PS3.3 A.8), and as encapsulated PDF (A.45.1).

The picture is for viewers, the PDF, whose text can be searched, for systems that file documents.
"""

from __future__ import annotations

from PIL import Image
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from pipeline.encode.common import secondary_capture, sentences
from pipeline.encode.common.modules import (
    add_anatomy,
    add_body_part,
    add_lossy_history,
    local_time,
    new_object,
)
from pipeline.encode.common.secondary_capture import Rgb
from pipeline.encode.common.typeface import draws
from pipeline.encode.language.translation import _, current_language, writing_in
from pipeline.encode.language.translation import day as written_day
from pipeline.encode.page.canvas import SCALE, STRONG, Canvas, fitting_size
from pipeline.encode.page.layout import EDGE, HEIGHT, WIDTH, draw_page
from pipeline.encode.page.pdf_canvas import About, PdfCanvas
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.source import source_slices
from pipeline.encode.source.copying import copy_elements
from pipeline.series.attributes import calendar_date, peek_text
from pipeline.types import Analysis, CtSeries

TITLE = "AI summary of a chest CT (research use only)"
STRIP = 40.0  #: height of the line with the patient's identity above the page, points


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
        result, series, context, flavour="SUMMARY", derivation=_("Summary page of the AI result")
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


def document(series: CtSeries, analysis: Analysis, context: ResultContext) -> Dataset:
    """Encode the page as PDF for print, with the patient's identity above it.

    A sheet of paper without a name may be taken for another patient's, so it has what a system
    that files documents shows beside it, and Burned In Annotation says so (PS3.3 C.24.2).
    """
    header = series.common.header
    result = new_object(header, context, ResultKind.DOCUMENT, EncapsulatedPDFStorage)
    copy_elements(header, result, ("RequestAttributesSequence",))
    add_anatomy(header, result)
    secondary_capture.add_equipment(result, context)
    result.AcquisitionDateTime = None
    result.BurnedInAnnotation = "YES"
    result.VerificationFlag = "UNVERIFIED"
    result.DocumentTitle = _(TITLE)
    result.ConceptNameCodeSequence = [codes.code_item(codes.SUMMARY_SERIES)]
    result.SourceInstanceSequence = source_slices.instance_references(
        source_slices.real_slices(series)
    )
    result.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data = pdf(series, analysis, context)
    result.EncapsulatedDocumentLength = len(data)
    padded = data + b"\x00" * (len(data) % 2)
    result.add_new(keyword_dict["EncapsulatedDocument"], "OB", padded)
    return result


def pdf(series: CtSeries, analysis: Analysis, context: ResultContext) -> bytes:
    """Write a PDF of one page; the same arguments give the same bytes."""
    with writing_in(current_language()):
        canvas = PdfCanvas(
            WIDTH,
            HEIGHT,
            above=STRIP,
            about=About(
                title=_(TITLE),
                author=context.equipment.model_name,
                subject=_(sentences.RESEARCH_NOTICE),
                language=str(current_language()),
                created=local_time(series.common.header, context),
            ),
        )
        _identity(canvas, series.common.header)
        draw_page(canvas, series, analysis, context)
        return canvas.content()


def _identity(canvas: Canvas, header: Dataset) -> None:
    """Write who the patient is above the page; where the typeface cannot, say where to look."""
    name = peek_text(header, "PatientName").partition("=")[0]
    name = name if draws(name) else ""
    family, _caret, given = name.partition("^")
    called = ", ".join(filter(None, (family, " ".join(given.replace("^", " ").split()))))
    fields = (
        (_("Patient"), called or _("name in the DICOM header")),
        (_("ID"), _drawn(peek_text(header, "PatientID"))),
        (_("Born"), _date(header, "PatientBirthDate")),
        (_("Sex"), _drawn(peek_text(header, "PatientSex"))),
        (_("Study"), _date(header, "StudyDate")),
        (_("Accession number"), _drawn(peek_text(header, "AccessionNumber"))),
    )
    line = "   ".join(sentences.named(title, value) for title, value in fields if value)
    size = fitting_size(line, 17, WIDTH - 2 * EDGE)
    canvas.text((EDGE, -16), line, size=size, colour=STRONG)


def _drawn(value: str) -> str:
    return value.strip() if draws(value) else _("in the DICOM header")


def _date(header: Dataset, keyword: str) -> str:
    day = calendar_date(peek_text(header, keyword))
    return written_day(day) if day else ""
