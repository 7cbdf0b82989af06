"""The summary page as a Secondary Capture: a series of its own, the first of the results.

It has no place in the patient: no plane, no frame of reference. Among the slices of the heatmap
it would take theirs from them: OHIF 3.13 orders a series by position only if all of it has one.
"""

from __future__ import annotations

from PIL import Image
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from pipeline.encode import capture, codes, source
from pipeline.encode.capture import Rgb
from pipeline.encode.context import ResultContext, ResultSeries
from pipeline.encode.header import add_body_part, add_lossy_history, new_object
from pipeline.encode.page_canvas import SCALE
from pipeline.types import CtSeries


def summary_page(series: CtSeries, context: ResultContext, drawn: Rgb) -> Dataset:
    """Encode the page for a screen.

    Parameters
    ----------
    drawn
        From `pipeline.encode.page.page`.
    """
    result = new_object(
        series.headers[0], context, ResultSeries.SUMMARY, SecondaryCaptureImageStorage
    )
    add_body_part(series, result)
    capture.add_equipment(result, context)
    capture.add_image(
        result, series, context, flavour="SUMMARY", derivation="Summary page of the AI result"
    )
    result.PatientOrientation = None
    _add_sources(result, series)
    add_lossy_history(series, result)
    shown = Image.fromarray(drawn).reduce(SCALE)
    capture.add_pixels(result, (shown.height, shown.width, 3), shown.tobytes())
    return result


def _add_sources(result: Dataset, series: CtSeries) -> None:
    images = source.instance_references(source.real_slices(series))
    for image in images:
        image.PurposeOfReferenceCodeSequence = [codes.code_item(codes.SOURCE_IMAGE)]
    result.SourceImageSequence = images
