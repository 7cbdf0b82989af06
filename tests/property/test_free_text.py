"""Words that name the patient are found however they are written; innocent ones are left."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from pipeline.encode.source.free_text import identifies
from tests.support.samples.encode_samples import read_back

LETTERS = "abcdefghijklmnopqrstuvwxyzàéèñçšžäöüßåøł"
SEPARATORS = ["", " ", "_", "-", ".", ", ", "/"]

names = st.text(LETTERS, min_size=5, max_size=12)
given_names = st.text(LETTERS, min_size=2, max_size=12)
around = st.text(st.sampled_from("XYZ 0123456789_-."), max_size=6)
separators = st.sampled_from(SEPARATORS)
identifiers = st.integers(min_value=100, max_value=10**9)


def patient(**identity: str) -> Dataset:
    """As read from a file, in UTF-8."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.5"
    for keyword, value in identity.items():
        setattr(header, keyword, value)
    return read_back(header)


def without_marks(words: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", words) if not unicodedata.combining(c))


def ways_of_writing(words: str) -> list[str]:
    ways = (words, words.upper(), words.title(), without_marks(words), without_marks(words).upper())
    return [*ways, *(unicodedata.normalize("NFD", way) for way in ways)]


@given(names, given_names, around, around, st.data())
def test_a_name_is_found_in_any_surroundings(
    name: str, first: str, before: str, after: str, data: st.DataObject
) -> None:
    written = data.draw(st.sampled_from(ways_of_writing(name)))
    assert identifies(f"{before}{written}{after}", patient(PatientName=f"{name}^{first}"))


@given(given_names, given_names, separators, st.booleans(), st.data())
def test_both_names_are_found_joined_in_either_order(
    name: str, first: str, between: str, turned: bool, data: st.DataObject
) -> None:
    pair = (first, name) if turned else (name, first)
    written = data.draw(st.sampled_from(ways_of_writing(between.join(pair))))
    assert identifies(f"Lung {written} 1.0", patient(PatientName=f"{name}^{first}"))


@given(identifiers, st.sampled_from(["", "0", "000"]), st.sampled_from(["", "0", "00"]), separators)
def test_a_number_is_found_with_other_zeros_and_prefixes(
    number: int, own: str, written: str, between: str
) -> None:
    header = patient(PatientID=f"{own}{number}")
    assert identifies(f"MRN{between}{written}{number} lung", header)
    assert identifies(f"Lung {written}{number}", patient(PatientID=f"MRN{between}{own}{number}"))


@given(st.text(max_size=30), st.sampled_from("ABCD"), st.sampled_from("ABCD"), st.integers(0, 99))
def test_initials_and_short_numbers_are_not_looked_for(
    words: str, name: str, first: str, number: int
) -> None:
    assert not identifies(words, patient(PatientName=f"{name}^{first}", PatientID=f"0{number}"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Smith^John", "SMITHJOHN chest"),
        ("Smith^John", "Thorax_Smith_1.0"),
        ("O'Brien^Pat", "Chest OBRIEN"),
        ("McDonald^Li", "chest Mc Donald"),
        ("Müller^Eva", "MUELLER thin"),
        ("Mueller^Eva", "Müller thin"),
        ("Sørensen^Bo", "sorensen lung"),
        ("Li^Na", "LiNa 1.0"),
        ("Muster^Mia=山田^一太郎", "山田一太郎 lung"),
    ],
)
def test_names_as_people_write_them(name: str, words: str) -> None:
    assert identifies(words, patient(PatientName=name))


@pytest.mark.parametrize("written", ["1960-04-07", "07.04.1960", "04/07/60", "600407"])
def test_birth_dates_in_any_order(written: str) -> None:
    assert identifies(f"lung {written}", patient(PatientBirthDate="19600407"))


@pytest.mark.parametrize(
    "words", ["Lung 1.0 B60f", "Miami chest", "Thorax 1.25 mm", "CT CHEST W/O 5.0 Lung", "1"]
)
def test_innocent_words_are_left(words: str) -> None:
    header = patient(PatientName="C^Mia^L", PatientID="1", PatientBirthDate="19600407")
    assert not identifies(words, header)
