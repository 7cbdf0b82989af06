"""Copies of the source's elements: identity byte by byte, the rest legal or not at all."""

from __future__ import annotations

from io import BytesIO

import pytest
from pydicom import DataElement, Dataset, Sequence, dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict, keyword_for_tag

from pipeline.encode.bundle import encode, part10
from pipeline.encode.source.copied_attributes import IDENTITY
from pipeline.encode.source.copying import copy_elements, empty_copy
from pipeline.encode.source.value_representations import is_legal, legal_form
from pipeline.encode.sr.notice import not_analysed
from pipeline.series.attributes import text, texts
from tests.support.samples.encode_samples import SeriesSpec, analysis, context, ct_series
from tests.support.samples.everything import EVERYTHING
from tests.support.samples.raw_elements import as_read


def source(charset: bytes = b"ISO_IR 192", **values: bytes) -> Dataset:
    """A header as it is read from a file."""
    header = Dataset()
    for keyword, value in {"SpecificCharacterSet": charset, **values}.items():
        header[keyword_dict[keyword]] = as_read(keyword, value)
    header.set_original_encoding(False, True, "utf8")
    return header


def copied(header: Dataset, *keywords: str) -> Dataset:
    with disable_value_validation():
        result = empty_copy(header)
        copy_elements(header, result, keywords)
    return result


@pytest.mark.parametrize(
    ("keyword", "written", "expected"),
    [
        ("StudyDate", "2020.01.31", "20200131"),
        ("StudyDate", "2020-01-31", "20200131"),
        ("StudyDate", "20200231", None),
        ("StudyDate", "20200101-20200201", None),
        ("StudyTime", "10:20:30.1234567", "102030.123456"),
        ("StudyTime", "1020-1130", None),
        ("StudyTime", "995959", None),
        ("PatientAge", "45Y", "045Y"),
        ("PatientAge", "045y", "045Y"),
        ("PatientAge", "forty", None),
        ("PatientSex", "m", "M"),
        ("PatientSex", "male, I suppose so", None),
        ("PatientWeight", "70.12345678901234567", "70.1234567890124"),
        ("PatientWeight", "70,5", None),
        ("PatientWeight", "NaN", None),
        ("PatientSize", " 1.80 ", " 1.80 "),
        ("BodyPartExamined", "chest", "CHEST"),
        ("BodyPartExamined", "a chest without contrast", None),
        ("StudyDescription", "x" * 65, None),
        ("StudyDescription", "Chest\0", "Chest"),
        ("StudyDescription", "Chest\nCT", None),
        ("PatientComments", "two\r\nlines", "two\r\nlines"),
        ("LossyImageCompressionRatio", "10.123456789012345678\\2", "10.1234567890123\\2"),
        ("MedicalAlerts", "one\\" + "x" * 70, None),
        ("StudyDescription", " ", None),
    ],
)
def test_a_value_is_legal_or_means_the_same_or_is_left_out(
    keyword: str, written: str, expected: str | None
) -> None:
    value = written.encode() + b" " * (len(written) % 2)
    result = copied(source(**{keyword: value}), keyword)

    got = result.get_item(keyword_dict[keyword]) if keyword in result else None
    if expected is None:
        assert got is None
    elif expected == written:
        assert got is not None
        assert got.value == value
    else:
        assert text(result, keyword) == expected


@pytest.mark.parametrize("keyword", sorted(IDENTITY - {"StudyInstanceUID"}))
@pytest.mark.parametrize(
    "value", [b"M\xfcller^J\xf6rg ", b"Doe^John\0\0", b"x" * 100, b"\x1b$B;3ED", b"a\nb\\c"]
)
def test_identity_is_copied_byte_by_byte(keyword: str, value: bytes) -> None:
    assert copied(source(**{keyword: value}), keyword).get_item(keyword).value == value


def test_an_other_patient_id_in_a_sequence_keeps_its_bytes_too() -> None:
    item = source(PatientID=b"M\xfc1 ", TypeOfPatientID=b"text")
    del item.SpecificCharacterSet
    header = source()
    header.OtherPatientIDsSequence = [item]

    (other,) = copied(header, "OtherPatientIDsSequence").OtherPatientIDsSequence

    assert other.get_item("PatientID").value == b"M\xfc1 "
    assert other.TypeOfPatientID == "TEXT"


@pytest.mark.parametrize(
    ("written", "terms"),
    [
        (b"", None),
        (b"\\", None),
        (b"ISO_IR 192", "ISO_IR 192"),
        (b"utf-8 ", "ISO_IR 192"),
        (b"ISO IR 100", "ISO_IR 100"),
        (b"iso_ir 144", "ISO_IR 144"),
        (b"\\ISO-2022-IR-87 ", ["", "ISO 2022 IR 87"]),
        (b"ISO_IR 192\\ISO 2022 IR 87", "ISO_IR 192"),
        (b"ISO_IR 999", None),
        (b"rot13 ", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_character_set_is_a_term_of_the_standard_or_left_out(
    written: bytes, terms: str | list[str] | None
) -> None:
    result = copied(source(written))
    assert result.get("SpecificCharacterSet") == terms


def test_what_is_no_value_is_left_out() -> None:
    deep = inner = Dataset()
    for _ in range(200):
        inner.RequestAttributesSequence = [Dataset()]
        inner = inner.RequestAttributesSequence[0]
    inner.PatientID = "deep"
    code, private, study = Dataset(), Dataset(), Dataset()
    code.CodeMeaning, study.ReferencedSOPInstanceUID = "a code without a value", "1.2"
    private.add_new(0x00110010, "LO", "SOMEONE")
    private.add_new(0x00111001, "LO", "secret")
    header = source()
    header.ProcedureCodeSequence, header.ReferencedStudySequence = [code], [study]
    header.RequestAttributesSequence = [deep, private]
    header[keyword_dict["StudyDescription"]] = DataElement("StudyDescription", "SQ", Sequence())
    header[keyword_dict["OtherPatientIDsSequence"]] = as_read("OtherPatientIDsSequence", b"1,25")
    header[keyword_dict["PregnancyStatus"]] = as_read("PregnancyStatus", b"123")

    result = copied(
        header,
        *("ProcedureCodeSequence", "ReferencedStudySequence", "StudyDescription"),
        *("OtherPatientIDsSequence", "PregnancyStatus", "RequestAttributesSequence"),
    )

    assert [element.keyword for element in result] == ["SpecificCharacterSet"]


@pytest.mark.parametrize("vr", ["DA", "TM", "CS", "DS", "IS", "AS", "LO", "UI", "PN", "LT"])
@pytest.mark.parametrize("value", ["", " ", "1", "\0", "é" * 70, "2020.13.45", "1e999", "-"])
def test_a_mended_value_is_legal(vr: str, value: str) -> None:
    form = legal_form(vr, value)
    assert form is None or is_legal(vr, form)


ODD = {
    "SpecificCharacterSet": b"ISO_IR 192",
    "PatientName": "Müller^Jörg ".encode("latin-1"),
    "PatientID": b"4711\0\0",
    "IssuerOfPatientID": b"\xe4" * 70,
    "PatientBirthDate": b"1960-01-02",
    "PatientSex": b"f ",
    "PatientAge": b"64Y ",
    "StudyDate": b"2026.01.02",
    "StudyDescription": b"CT \xfcber alles\0",
    "ReferringPhysicianName": b"M\xe4",
    "PixelSpacing": b"0.70312500000000000001\\0.9 ",
    "SliceThickness": b"thin",
    "BodyPartExamined": b"Lunge mit Kontrastmittel",
    "Laterality": b"",
    "LossyImageCompressionRatio": b"1e9999",
}


@pytest.mark.parametrize("charset", [b"ISO_IR 192", b"", b"UTF-8 ", b"nonsense"])
def test_every_result_of_an_odd_source_is_legal_and_names_its_patient(charset: bytes) -> None:
    series = ct_series(SeriesSpec(shape=(3, 16, 24)))
    for header in series.common.header, *series.headers:
        for keyword, value in (ODD | {"SpecificCharacterSet": charset}).items():
            header[keyword_dict[keyword]] = as_read(keyword, value)
        header.set_original_encoding(False, True, "utf8" if charset else "iso8859")

    with disable_value_validation():
        bundle = encode(series, analysis(series.volume.shape), context(products=EVERYTHING))
        notice = not_analysed(series.headers, "gap", "a slice is missing", context())
        files = [part10(item) for item in (*(it.dataset for it in bundle.objects), notice)]

    assert len({item.kind for item in bundle.objects}) == 8
    for file in files:
        back = dcmread(BytesIO(file))
        for keyword in ("PatientName", "PatientID", "IssuerOfPatientID", "ReferringPhysicianName"):
            assert back.get_item(keyword).value == ODD[keyword], keyword
        assert (back.PatientBirthDate, back.StudyDate) == ("19600102", "20260102")
        assert (back.PatientSex, back.PatientAge) == ("F", "064Y")
        assert back.get("SpecificCharacterSet") == (
            "ISO_IR 192" if charset in (b"ISO_IR 192", b"UTF-8 ") else None
        )
        assert back.get("BodyPartExamined", "CHEST") == "CHEST"
        assert not illegal(back)


JUDGED = frozenset({"AS", "CS", "DA", "DS", "IS", "TM"})


def illegal(dataset: Dataset) -> list[str]:
    """Keywords of what has no legal value, in items as well."""
    found: list[str] = []
    for tag in dataset.keys():  # noqa: SIM118  # iterating the data set itself decodes it
        vr, keyword = dataset.get_item(tag).VR, keyword_for_tag(tag)
        if vr == "SQ":
            found += [name for item in dataset[tag].value for name in illegal(item)]
        elif vr in JUDGED and not all(is_legal(vr, it) for it in texts(dataset, keyword)):
            found.append(keyword)
    return found
