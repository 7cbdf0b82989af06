"""Objects in the transfer syntax in which they are kept: smaller, and the same values."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian

from pipeline.encode.bundle import encode, part10
from pipeline.encode.compression import compressed
from pipeline.encode.result.kinds import RESULT_KINDS, TRANSFER_SYNTAXES
from pipeline.encode.result.products import HeatmapForm, Products, SegmentationForm
from tests.support.samples.encode_samples import SeriesSpec, analysis, context, ct_series

EVERYTHING = Products(parametric_map=True, summary_pdf=True, key_images=True)
OTHER_FORMS = Products(segmentation=SegmentationForm.LABELMAP, heatmap=HeatmapForm.MULTI_FRAME)
COLOURS = "PhotometricInterpretation"


def objects(products: Products) -> list[Dataset]:
    series = ct_series(SeriesSpec(shape=(5, 33, 47)))  # rows of odd length
    made = encode(series, analysis(series.volume.shape), context(products=products))
    return [item.dataset for item in made.objects]


@pytest.mark.parametrize("products", [EVERYTHING, OTHER_FORMS], ids=["usual", "other forms"])
def test_values_are_the_same_in_every_syntax(products: Products) -> None:
    for made in objects(products):
        syntax = TRANSFER_SYNTAXES[made.SOPClassUID]
        kept = dcmread(BytesIO(part10(made, syntax)))
        plain = dcmread(BytesIO(part10(made)))  # what was made is not touched by the first
        assert kept.file_meta.TransferSyntaxUID == syntax
        if syntax.is_encapsulated:
            shown = kept.pixel_array
            np.testing.assert_array_equal(shown, plain.pixel_array)
            is_colour = kept.SamplesPerPixel > 1
            assert kept.get(COLOURS) == ("YBR_RCT" if is_colour else plain.get(COLOURS))
            del kept.PixelData, plain.PixelData, kept[COLOURS], plain[COLOURS]
        assert kept == plain


def test_every_kind_of_picture_is_kept_compressed_and_documents_are_not() -> None:
    for row in RESULT_KINDS.values():
        for form in row.forms:
            is_plain = form.transfer_syntax == ExplicitVRLittleEndian
            assert is_plain is (row.modality in {"SR", "KO", "DOC"})


def test_what_is_compressed_ahead_is_the_same_file() -> None:
    for made in objects(EVERYTHING):
        syntax = TRANSFER_SYNTAXES[made.SOPClassUID]
        if syntax.is_encapsulated:
            ahead = compressed(made, syntax)
            assert part10(ahead, syntax) == part10(made, syntax)
