"""Previews of the demo: the summary page first, then slices with their heatmap."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread

from dicom_node.demo.pictures import EDGE, write_previews
from pipeline.encode.bundle import encode, part10
from pipeline.encode.page.layout import HEIGHT, WIDTH
from pipeline.series.volume import assemble
from tests.support.samples.encode_samples import analysis, context, masks


def test_page_and_slices_are_shown(chest: Path, tmp_path: Path) -> None:
    files = sorted(chest.glob("*.dcm"))[:6]
    series = assemble([dcmread(path) for path in files])
    lungs, lesions = masks(series.volume.shape)
    found = analysis(series.volume.shape, lungs=lungs, lesion_labels=lesions)
    bundle = encode(series, found, context())
    results = [dcmread(BytesIO(part10(item.dataset))) for item in bundle.objects]
    pictures = write_previews(files, results, tmp_path)
    assert [path.name for path in pictures] == [
        "summary-01.png",
        "preview-01.png",
        "preview-02.png",
        "preview-03.png",
    ]
    with Image.open(pictures[0]) as page, Image.open(pictures[1]) as row:
        assert page.size == (WIDTH, HEIGHT)
        assert row.width == 3 * EDGE
        assert np.asarray(row)[:EDGE, 2 * EDGE :].any()
