"""The summary page as a Secondary Capture: a series of its own, the first of the results.

It has no place in the patient: no plane, no frame of reference. Among the slices of the heatmap
it would take theirs from them: OHIF 3.13 orders a series by position only if all of it has one.
"""

from __future__ import annotations

from PIL import Image
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from pipeline.encode.common import secondary_capture
from pipeline.encode.common.modules import add_body_part, add_lossy_history, new_object
from pipeline.encode.common.secondary_capture import Rgb
from pipeline.encode.page.canvas import SCALE
from pipeline.encode.result import codes
from pipeline.encode.result.context import ResultContext, ResultSeries
from pipeline.encode.source import source_slices
from pipeline.types import CtSeries


def summary_page(series: CtSeries, context: ResultContext, drawn: Rgb) -> Dataset:
    """Encode the page for a screen.

    Parameters
    ----------
    drawn
        From `pipeline.encode.page.layout.page`.
    """
    result = new_object(
        series.headers[0], context, ResultSeries.SUMMARY, SecondaryCaptureImageStorage
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
