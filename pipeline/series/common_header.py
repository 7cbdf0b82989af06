"""Find what the instances of a series say together: no single header speaks for it.

Some attributes ought to be one in all instances: those of the patient, study and series (PS3.3
A.1.2: an instance is of one series, a series of one study, a study of one patient) and those of
the technique, which a volume has once. A value that is absent or empty is no other value.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydicom import Dataset
from pydicom.datadict import keyword_dict
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from pipeline.reasons import QualityFlag
from pipeline.series.attributes import code, text
from pipeline.types import CommonHeader, Doubt
from pipeline.wording import examples

FILED_BY = ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "IssuerOfPatientID")
"""Attributes by which an archive files an instance: without one of each it would be misfiled."""

ONE_PATIENT = (
    *FILED_BY,
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
)
"""The same in all instances of a series, or nobody can say to whom a result belongs."""

ONE_STUDY = (
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "ReferringPhysicianName",
    "AdmissionID",
    "PatientAge",
    "OtherPatientIDs",
    "PatientBirthName",
    "SeriesNumber",
    "SeriesDescription",
    "Laterality",
    "FrameOfReferenceUID",
    "TimezoneOffsetFromUTC",
)
"""The same in all instances of a series: the results name what most of them say."""

ONE_TECHNIQUE = (
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
    "PatientPosition",
    "Manufacturer",
    "DeviceSerialNumber",
    "StationName",
)
"""The same in all images of one reconstruction (PS3.3 C.8.2.1)."""

UIDS = ("StudyInstanceUID", "SeriesInstanceUID")  #: that results copy, or refer to
VALID = "0"  #: stands for a UID that is absent: others say that
VALID_UID = re.compile(r"(?=.{1,64}$)(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
"""Components of digits without leading zeros, 64 characters at most (PS3.5 9.1)."""

NUMBERS = (
    *("KVP", "SliceThickness", "SeriesNumber", "ReconstructionDiameter", "AcquisitionNumber"),
    *("TemporalPositionIndex", "TemporalPositionIdentifier", "NominalPercentageOfCardiacPhase"),
)
"""Compared as numbers: 120 is 120.0."""

ONE_IS_ENOUGH: Mapping[str, str] = {
    "LossyImageCompression": "01",
    "QualityControlSubject": "YES",
    "LongitudinalTemporalInformationModified": "MODIFIED",
    "BurnedInAnnotation": "YES",
}
"""Values that hold for the series if any instance has them."""

DATE_DIGITS = 8  #: of a date, PS3.5 6.2

LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
LOSSY_SYNTAXES = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless})
"""Transfer syntaxes that always lose something, whatever the header says (PS3.5 A.4)."""

BY_FRAME = 0x52000000  #: functional groups (PS3.3 C.7.6.16), and pixels, come behind this tag


def common_header(headers: Sequence[Dataset]) -> CommonHeader:
    """Find the header that speaks for a series, and where its instances differ.

    The header is that of the instance which says most often what most of them say. What it lacks,
    or has empty, is taken from the others, byte by byte; a loss in any image is one of the series
    (PS3.3 C.7.6.1.1.5).

    Parameters
    ----------
    headers
        One or more; left as they are.
    """
    judged = (*ONE_PATIENT, *ONE_STUDY, *ONE_TECHNIQUE)
    said = {keyword: [comparable(header, keyword) for header in headers] for keyword in judged}
    said["PatientName"] = _with_ideographs([text(header, "PatientName") for header in headers])
    usual = {keyword: _most_frequent(values) for keyword, values in said.items()}
    differing = {
        keyword: sum(value not in {"", usual[keyword]} for value in values)
        for keyword, values in said.items()
    }
    agreed = [
        sum(values[index] == usual[keyword] for keyword, values in said.items())
        for index in range(len(headers))
    ]
    typical = headers[agreed.index(max(agreed))]
    return CommonHeader(
        header=_completed(typical, headers),
        instances=len(headers),
        differing={keyword: count for keyword, count in differing.items() if count},
    )


def comparable(header: Dataset, keyword: str) -> str:
    """Value as it is compared: without padding, and without what does not change its meaning.

    Case, empty components, width and composition of the letters of a person's name mean nothing
    (PS3.5 6.2.1), nor do the separators of an old date or the fraction of a second. A date of birth
    that is none (zeros, a year alone) and a sex that is unknown are no values.
    """
    return _MEANING.get(keyword, _as_it_is)(text(header, keyword))


def common_doubts(common: CommonHeader) -> Iterator[Doubt]:
    """Doubt a series whose instances differ in what ought to be one; no value is named.

    Its UIDs are taken as they are, and doubted where they are none (PS3.5 9.1): archives make such
    of UUIDs, and of numbers with leading zeros.
    """
    invalid = [name for name in UIDS if not VALID_UID.fullmatch(text(common.header, name) or VALID)]
    if invalid:
        words = f"no valid UID (PS3.5 9.1): {examples(invalid)}"
        yield Doubt(code=QualityFlag.INVALID_UID, text=words)
    for flag, keywords in (
        (QualityFlag.IDENTITY_DIFFERS, ONE_STUDY),
        (QualityFlag.TECHNIQUE_DIFFERS, ONE_TECHNIQUE),
    ):
        found = [f"{name} in {n}" for name in keywords if (n := common.differing.get(name))]
        if found:
            words = f"of {common.instances} instances some differ from most: {examples(found)}"
            yield Doubt(code=flag, text=words)


def _name(value: str) -> str:
    """First group of a name, without case and empty components; the whole without such a group."""
    first = value.split("=", 1)[0].strip(" ^") or value
    plain = " ".join(unicodedata.normalize("NFKC", first).split())
    return re.sub(r" *\^ *", "^", plain).rstrip("^ ").casefold()


def _with_ideographs(names: Sequence[str]) -> list[str]:
    """Names as they are compared; their ideographic groups tell apart those that sound alike."""
    groups = [(_name(name), "".join(name.split("=")[1:2]).strip(" ^")) for name in names]
    written = {sound: {other for first, other in groups if first == sound} for sound, _ in groups}
    return [
        f"{sound}={other}" if other and len(written[sound] - {""}) > 1 else sound
        for sound, other in groups
    ]


def _date(value: str) -> str:
    digits = _digits(value)
    return digits if len(digits) == DATE_DIGITS and digits.strip("0") else ""


def _sex(value: str) -> str:
    first = value.upper()[:1]
    return "" if first == "U" else first


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value.split(".", maxsplit=1)[0] if ":" in value else value)


def _time(value: str) -> str:
    return _digits(value.split(".", maxsplit=1)[0])


def _number(value: str) -> str:
    try:
        return str(float(value))
    except ValueError:
        return value


def _as_it_is(value: str) -> str:
    return value


_MEANING: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys(("PatientName", "PatientBirthName", "ReferringPhysicianName"), _name),
    **dict.fromkeys(("PatientBirthDate", "StudyDate"), _date),
    "PatientSex": _sex,
    **dict.fromkeys(NUMBERS, _number),
    "StudyTime": _time,
}


def _most_frequent(values: Sequence[str]) -> str:
    counts = Counter(value for value in values if value)
    return counts.most_common(1)[0][0] if counts else ""


def _completed(typical: Dataset, headers: Sequence[Dataset]) -> Dataset:
    """Copy of a header without what comes by frame, completed from the others."""
    header = Dataset()
    header.set_original_encoding(
        is_implicit_vr=typical.original_encoding[0] or False,
        is_little_endian=True,
        character_encoding=typical.original_character_set,
    )
    for source in (typical, *headers):
        same_text = source.original_character_set == typical.original_character_set
        for tag in source.keys():  # noqa: SIM118  # iterating the data set itself decodes it
            if tag >= BY_FRAME or not _is_empty(header, tag):
                continue
            element = source.get_item(tag)
            if source is typical or same_text or _in_ascii(element):
                header[tag] = element
    _add_what_one_has(header, headers)
    return header


def _add_what_one_has(header: Dataset, headers: Sequence[Dataset]) -> None:
    for keyword, value in ONE_IS_ENOUGH.items():
        if any(code(other, keyword) == value for other in headers):
            setattr(header, keyword, value)
    for other in headers:
        syntax = getattr(getattr(other, "file_meta", None), "TransferSyntaxUID", None)
        if syntax in LOSSY_SYNTAXES:
            header.LossyImageCompression = "01"
    if header.get("LossyImageCompression") == "01":
        lossy = [o for o in headers if code(o, "LossyImageCompression") == "01"]
        for tag in map(keyword_dict.__getitem__, LOSSY):
            stated = next((o for o in lossy if not _is_empty(o, tag)), None)
            if stated is not None:
                header[tag] = stated.get_item(tag)


def _is_empty(header: Dataset, tag: int) -> bool:
    if tag not in header:
        return True
    value = header.get_item(tag).value
    if isinstance(value, bytes):
        return not value.strip(b" \0")
    return value is None or (isinstance(value, str) and not value.strip(" \0"))


def _in_ascii(element: RawDataElement | DataElement) -> bool:
    value = element.value
    return value.isascii() if isinstance(value, bytes) else str(value).isascii()
