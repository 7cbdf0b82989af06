"""Pixel data stay in the file until they are asked for, and what is not there is no picture."""

from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from dicom_node.analysis.worker.source_files import read_instance
from pipeline.series.image_faults import _has_picture

PIXEL_DATA = Tag(0x7FE00010)


def test_pixel_data_are_read_when_they_are_asked_for(chest: Path) -> None:
    dataset = read_instance(next(chest.glob("*.dcm")))

    assert dataset.get_item(PIXEL_DATA, keep_deferred=True).value is None
    assert _has_picture(dataset)
    assert dataset.get_item(PIXEL_DATA, keep_deferred=True).value is None
    assert len(dataset.PixelData) == 2 * dataset.Rows * dataset.Columns


def test_a_file_that_ends_behind_the_header_of_its_pixel_data_has_no_picture(
    chest: Path, tmp_path: Path
) -> None:
    whole = next(chest.glob("*.dcm"))
    pixels = read_instance(whole).get_item(PIXEL_DATA, keep_deferred=True)
    assert isinstance(pixels, RawDataElement)
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole.read_bytes()[: pixels.value_tell])

    assert not _has_picture(read_instance(cut))
