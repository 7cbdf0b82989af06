"""Copy elements of the source into results: byte by byte where they are legal.

Identity is copied byte by byte in any case, so that a result cannot fall to another patient: no
name is decoded on the way, whatever its character set. Another value is copied as it is where it is
legal in its value representation (PS3.5 6.2), else in a legal form of the same meaning, else left
out; so are empty ones, which type 1C and most of 3 must not be, private elements, and what is no
value at all (a sequence, bytes).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableSequence
from typing import TypeGuard

from pydicom import DataElement, Dataset, Sequence
from pydicom.charset import convert_encodings, default_encoding, python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_dict, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.valuerep import MAX_VALUE_LEN, STR_VR

from pipeline.encode.source.copied_attributes import IDENTITY, PATIENT, SERIES, STUDY
from pipeline.encode.source.value_representations import ENCODED, SINGLE, is_legal, legal_form
from pipeline.series.attributes import PADDING, UNREADABLE, decode_text, texts

CHARACTER_SET = "SpecificCharacterSet"
LATIN_1 = "ISO_IR 100"
COPIED = (*PATIENT, *STUDY, *SERIES)  #: whose texts may be in any character set
ALONE = frozenset({"ISO_IR 192", "GB18030", "GBK"})
"""Character sets without code extensions: no other may stand beside them (PS3.3 C.12.1.1.2)."""
ISO_TERM = re.compile(r"ISO[ _-]?(2022[ _-]?)?IR[ _-]?(\d{1,3})", re.IGNORECASE | re.ASCII)
UTF_8 = re.compile(r"UTF[ _-]?8", re.IGNORECASE)
MAX_DEPTH = 4  #: of sequences within sequences; those that results copy have two
REFERENCE = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
RAW_TEXT = frozenset({None, "UN", "OB"})
"""Representations under which text may lie: implicit VR, or a writer that did not know it."""

FIXED_FORM = frozenset({"AS", "DA", "DT", "TM", "UI"})  #: no spaces in front

Element = RawDataElement | DataElement
Encodings = str | MutableSequence[str]


def empty_copy(source: Dataset, letters: str = "") -> Dataset:
    """Dataset without elements, but with the character set in which the source is written.

    Parameters
    ----------
    letters
        Beyond ASCII, that texts of the result have (see `result_character_set`).
    """
    result = Dataset()
    terms = result_character_set(source, letters)
    if terms:
        result.SpecificCharacterSet = terms[0] if len(terms) == 1 else list(terms)
    result.set_original_encoding(
        is_implicit_vr=False,
        is_little_endian=True,
        character_encoding=(
            convert_encodings(result.SpecificCharacterSet) if terms else default_encoding
        ),
    )
    return result


def character_set(source: Dataset) -> tuple[str, ...]:
    """Terms of Specific Character Set (PS3.3 C.12.1.1.2), misspelt ones as they are meant.

    Returns
    -------
    tuple
        Empty without any, or with one that nobody knows: both mean the default repertoire.
    """
    terms = tuple(_term(value) for value in texts(source, CHARACTER_SET))
    if not all(term in python_encoding for term in terms):
        return ()
    return terms[:1] if terms and terms[0] in ALONE else terms


def result_character_set(source: Dataset, letters: str) -> tuple[str, ...]:
    """Character set of a result: that of its source, so that identity keeps its bytes.

    A source in the default repertoire is ASCII, in Latin alphabet No. 1 the same bytes mean the
    same: results whose texts have other letters declare that (PS3.3 C.12.1.1.2).
    """
    terms = character_set(source)
    is_default = set(terms) <= {"", "ISO_IR 6"}
    if letters and is_default and _is_ascii(source, map(keyword_dict.__getitem__, COPIED)):
        return (LATIN_1,)
    return terms


def holds(terms: Iterable[str], letters: str) -> bool:
    """Tell whether one of the terms of a character set has all of these letters."""
    if set(terms) <= {"", "ISO_IR 6"}:
        return letters.isascii()
    return any(_has(python_encoding[term], letters) for term in terms if term)


def _has(encoding: str, letters: str) -> bool:
    try:
        letters.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _is_ascii(source: Dataset, tags: Iterable[int]) -> bool:
    """Tell whether what is copied of a source is ASCII, as it says."""
    return all(_is_ascii_element(source, tag) for tag in tags if tag in source)


def _is_ascii_element(source: Dataset, tag: int) -> bool:
    if dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ":
        items = source[tag].value
        if not isinstance(items, Sequence):
            return True
        return all(_is_ascii(item, item.keys()) for item in items)
    value = source.get_item(tag).value
    return value.isascii() if isinstance(value, bytes) else str(value or "").isascii()


def _term(written: str) -> str:
    if written in python_encoding:
        return written
    if UTF_8.fullmatch(written):
        return "ISO_IR 192"
    found = ISO_TERM.fullmatch(written)
    if found:
        return f"ISO 2022 IR {found[2]}" if found[1] else f"ISO_IR {found[2]}"
    return written.upper()


def copy_elements(source: Dataset, result: Dataset, keywords: Iterable[str]) -> None:
    """Copy elements, as far as they are there and legal, into a result.

    Parameters
    ----------
    result
        From `empty_copy` of the same source.
    """
    for keyword in keywords:
        tag = keyword_dict[keyword]
        if keyword == CHARACTER_SET or tag not in source:
            continue
        try:
            copied = _copied(source, tag, depth=0)
        except UNREADABLE:
            continue
        if copied is not None:
            result[tag] = copied


def _copied(source: Dataset, tag: int, *, depth: int) -> Element | None:
    element, vr = source.get_item(tag), dictionary_VR(tag)
    if vr == "SQ":
        return _sequence(source, tag, depth=depth)
    if _is_text(element, vr):
        return _text(element, vr, source.original_character_set)
    element = source[tag]
    if isinstance(element.value, Sequence) or element.is_empty:
        return None
    if vr not in STR_VR:
        return DataElement(tag, vr, element.value) if vr == element.VR else None
    return _decoded(element, vr)


def _is_text(element: Element, vr: str) -> TypeGuard[RawDataElement]:
    is_raw = isinstance(element, RawDataElement) and isinstance(element.value, bytes)
    return is_raw and vr in STR_VR and (element.VR in STR_VR or element.VR in RAW_TEXT)


def _text(
    element: RawDataElement, vr: str, encodings: str | MutableSequence[str]
) -> Element | None:
    """Text with the bytes that were read, which are the same in every transfer syntax."""
    value = element.value or b""
    verbatim = element._replace(VR=vr, is_implicit_VR=False, length=len(value))
    if not value.strip(PADDING.encode()):
        return None
    if keyword_for_tag(element.tag) in IDENTITY:
        return verbatim
    written = decode_text(value, encodings if vr in ENCODED else "ascii")
    values = [written] if vr in SINGLE else written.split("\\")
    if vr == "UI":  # one NUL makes the length even
        written = written.removesuffix("\0")
    if all(_is_legal_as_padded(vr, item) for item in written.split("\\")):
        return verbatim
    return _mended(element.tag, vr, values)


def _is_legal_as_padded(vr: str, value: str) -> bool:
    """Say whether a value is legal with the spaces that are padding in its representation."""
    bare = value.rstrip(" ") if vr in FIXED_FORM else value.strip(" ")
    return len(value) <= MAX_VALUE_LEN.get(vr, len(value)) and is_legal(vr, bare)


def _decoded(element: DataElement, vr: str) -> Element | None:
    """Element that was decoded before; its value is judged as it would be written."""
    keyword, value = keyword_for_tag(element.tag), element.value
    values = list(value) if element.VM > 1 else [value]
    written = [str(item) for item in values]
    if keyword in IDENTITY or all(is_legal(vr, item) for item in written):
        return DataElement(element.tag, vr, value)
    return _mended(element.tag, vr, written)


def _mended(tag: int, vr: str, values: list[str]) -> DataElement | None:
    mended = [legal_form(vr, value) for value in values]
    if None in mended or not any(mended):
        return None
    return DataElement(tag, vr, mended[0] if len(mended) == 1 else mended)


def _sequence(source: Dataset, tag: int, *, depth: int) -> DataElement | None:
    """Sequence of copied items; none without any that says something."""
    value = source[tag].value
    if depth >= MAX_DEPTH or not isinstance(value, Sequence):
        return None
    keyword = keyword_for_tag(tag)
    copies = [_item(item, depth=depth + 1) for item in value]
    kept = [item for item in copies if len(item) and _is_whole(keyword, item)]
    return DataElement(tag, "SQ", Sequence(kept)) if kept else None


def _item(source: Dataset, *, depth: int) -> Dataset:
    item = Dataset()
    encoding: str | list[str] = default_encoding
    if texts(source, CHARACTER_SET) and (terms := character_set(source)):
        item = empty_copy(source)
        encoding = convert_encodings(list(terms))
    item.set_original_encoding(
        is_implicit_vr=False, is_little_endian=True, character_encoding=encoding
    )
    for tag in source.keys():  # noqa: SIM118  # iterating the data set itself decodes it
        if not dictionary_has_tag(tag) or keyword_for_tag(tag) == CHARACTER_SET:
            continue
        try:
            copied = _copied(source, tag, depth=depth)
        except UNREADABLE:
            continue
        if copied is not None:
            item[tag] = copied
    return item


def _is_whole(keyword: str, item: Dataset) -> bool:
    """Say whether an item has what its kind needs (PS3.3 tables 8.8-1 and 10-11)."""
    if keyword.endswith("CodeSequence"):
        valued = "CodeValue" in item or "LongCodeValue" in item
        coded = (valued and "CodingSchemeDesignator" in item) or "URNCodeValue" in item
        return coded and "CodeMeaning" in item
    if keyword in {"ReferencedStudySequence", "ReferencedPatientSequence"}:
        return all(name in item for name in REFERENCE)
    return True
