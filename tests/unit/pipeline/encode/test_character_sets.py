"""Names in every character set come back byte by byte, in every kind of object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from pipeline.encode.bundle import encode, part10
from pipeline.encode.sr.notice import not_analysed
from pipeline.series.common_header import common_header
from pipeline.types import CtSeries
from tests.support.samples.encode_samples import SeriesSpec, analysis, context, ct_series
from tests.support.samples.everything import EVERYTHING

NAMES = [
    (["ISO_IR 100"], "Müller^Jörg"),
    (["ISO_IR 144"], "Люкceмбypг"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    (["ISO 2022 IR 6", "ISO 2022 IR 100"], "Buc^Jérôme"),
    (["GB18030"], "Wang^XiaoDong=王^小东"),
    (["ISO_IR 192"], "Wang^XiaoDong=王^小東"),
]
CASES = [
    *((charset, name, ImplicitVRLittleEndian) for charset, name in NAMES),
    *((*NAMES[2], syntax) for syntax in (ExplicitVRLittleEndian, ExplicitVRBigEndian)),
]


def read_as(header: Dataset, syntax: str) -> Dataset:
    """The header after a journey through a file in a transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = syntax
    copy = Dataset()
    copy.update({element.tag: element for element in header})  # decoded
    copy.file_meta = meta
    buffer = BytesIO()
    dcmwrite(buffer, copy, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))


def series_of(charset: Sequence[str], name: str, syntax: str) -> CtSeries:
    request = Dataset()
    request.RequestedProcedureDescription, request.RequestedProcedureID = name, "RP1"
    plain = ct_series(
        SeriesSpec(shape=(3, 16, 24)),
        SpecificCharacterSet=list(charset),
        PatientName=name,
        IssuerOfPatientID=name.split("=", maxsplit=1)[0],
        RequestAttributesSequence=[request],
    )
    headers = tuple(read_as(header, syntax) for header in plain.headers)
    return replace(plain, headers=headers, common=common_header(headers))


def value_of(dataset: Dataset, keyword: str) -> bytes:
    """Bytes of a value as read, before any decoding."""
    element = dataset.get_item(keyword)
    assert isinstance(element, RawDataElement)
    assert isinstance(element.value, bytes)
    return element.value


@pytest.mark.parametrize(("charset", "name", "syntax"), CASES)
def test_names_come_back_byte_by_byte(charset: list[str], name: str, syntax: str) -> None:
    series = series_of(charset, name, syntax)
    made = encode(series, analysis(series.volume.shape), context(products=EVERYTHING)).objects
    notice = not_analysed(series.headers, "too-few-slices", "20 expected, got 3", context())
    source = read_as(series.headers[0], syntax)
    names, issuer = value_of(source, "PatientName"), value_of(source, "IssuerOfPatientID")

    for dataset in (*(item.dataset for item in made), notice):
        back = dcmread(BytesIO(part10(dataset)))
        assert value_of(back, "PatientName") == names
        assert value_of(back, "IssuerOfPatientID") == issuer
        assert back.PatientName == name
        for request in back.get("ReferencedRequestSequence", []):
            assert request.RequestedProcedureDescription == name
    assert len({item.kind for item in made}) == 8
