"""A comment that names the patient is found out, however the name is spelt."""

import pytest

from pipeline.feedback.naming import names_person

NAMES = ["Müller^Änne", "Wu^Li"]
NUMBERS = ["PID12345", "19610507", "ACC/7781"]


@pytest.mark.parametrize(
    "words",
    [
        "Müller",
        "Mu\u0308ller",
        "MULLER again",
        "mueller has it",
        "ask Aenne",
        "Müllers Lunge",
        "Mül-ler",
        "Mü\u200bller",
        "M ü l l e r",
        "Frau Wu",
        "PID12345",
        "PID-12345",
        "pid 12345",
        "12345",
        "1 23 45",
        "7 May 1961",
        "07.05.1961",
        "1961",
        "acc 7781",
    ],
)
def test_a_name_or_number_is_found_in_any_spelling(words: str) -> None:
    assert names_person(words, NAMES, NUMBERS)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "vessel at the hilum",
        "would follow up, lipoma",
        "slice 41 of 133",
        "since 2020",
        "12 mm",
    ],
)
def test_other_words_are_no_name(words: str) -> None:
    assert not names_person(words, NAMES, NUMBERS)


def test_nobody_is_named_where_nobody_is_known() -> None:
    assert not names_person("anything 12345", ["", "^^"], ["", "-"])
