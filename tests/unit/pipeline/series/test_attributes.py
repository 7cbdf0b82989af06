"""Values of attributes: without padding, one finite number or none, and never changed by it."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import RawDataElement

from pipeline.series.attributes import code, codes, optional_integer, optional_number, text
from tests.support.samples.raw_elements import as_read


def holding(keyword: str, value: bytes, vr: str | None = "same") -> Dataset:
    dataset = Dataset()
    element = as_read(keyword, value)
    dataset[keyword_dict[keyword]] = element if vr == "same" else element._replace(VR=vr)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "value", "expected"),
    [
        ("ImageType", b" ORIGINAL \\ primary\\AXIAL \0", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("ImageType", b"ORIGINAL\\\\AXIAL", "ORIGINAL\\\\AXIAL"),
        ("ImageType", b" \\ \0", ""),
        ("ImageType", b"\tORIGINAL\r\n", "ORIGINAL"),
        ("Modality", b"ct", "CT"),
        ("StationName", b" CT 1 \0", "CT 1"),
        ("SOPInstanceUID", b"1.2.3\0\0", "1.2.3"),
        ("RescaleSlope", b" 1.5 ", "1.5"),
        ("ConvolutionKernel", b"B60f \\ 2 ", "B60F\\2"),
    ],
)
@pytest.mark.parametrize("vr", ["same", None, "UN", "OB"])
def test_padding_of_every_value_means_nothing(
    keyword: str, value: bytes, expected: str, vr: str | None
) -> None:
    dataset = holding(keyword, value, vr)

    assert code(dataset, keyword) == expected
    assert codes(dataset, keyword) == (tuple(expected.split("\\")) if expected else ())
    assert isinstance(dataset.get_item(keyword), RawDataElement)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "thin",
        "4.5\\4.5",
        "-4.5",
        "nan",
        "inf",
        "1e400",
        "1,25",
        "1A",
        "1_0",
        "0x10",
        "1 2",
        "\x00",
        "١",
    ],
)
def test_what_is_no_single_number_in_its_range_is_absent(value: str) -> None:
    dataset = holding("SliceThickness", value.encode())

    assert optional_number(dataset, "SliceThickness", least=0.0, most=100.0) is None
    assert optional_integer(dataset, "SliceThickness", least=0) is None


def test_numbers_are_read_from_any_representation() -> None:
    assert (
        optional_number(holding("SliceThickness", b" +4.5e0\0"), "SliceThickness", least=0, most=9)
        == 4.5
    )
    assert optional_integer(holding("InstanceNumber", b" 12.0 "), "InstanceNumber") == 12
    assert optional_integer(holding("Rows", b"\x00\x02"), "Rows") == 512
    assert optional_integer(holding("Rows", b"512 ", "IS"), "Rows") == 512
    assert optional_integer(holding("Rows", b"\x00\x02", "UN"), "Rows") == 512
    assert optional_integer(holding("Rows", b"\x00"), "Rows") is None


def test_text_is_empty_where_there_is_none() -> None:
    assert text(Dataset(), "PatientID") == text(holding("PatientID", b""), "PatientID") == ""


def test_a_name_that_was_decoded_is_one_value() -> None:
    dataset = Dataset()
    dataset.PatientName = "Muster^Mia"

    assert text(dataset, "PatientName") == "Muster^Mia"
