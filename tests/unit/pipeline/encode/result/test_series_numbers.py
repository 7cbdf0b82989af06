"""Series Numbers of results: ten for each place in the study, none that is taken."""

from __future__ import annotations

import pytest

from pipeline.encode.result.series_numbers import SeriesOfStudy, numbering


def study(*numbers: int | None) -> list[SeriesOfStudy]:
    return [
        SeriesOfStudy(series_instance_uid=f"1.2.{place}", number=number)
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("numbers", "firsts"),
    [
        ((2,), [9000]),
        ((2, 3, 4), [9000, 9010, 9020]),
        ((None, None), [9000, 9010]),
        ((9001, 2), [9010, 9020]),
        ((2, 9015, 9009), [9020, 9030, 9040]),
        ((2, 8999), [9000, 9010]),
    ],
)
def test_each_series_of_a_study_has_ten_numbers_of_its_own(
    numbers: tuple[int | None, ...], firsts: list[int]
) -> None:
    known = study(*numbers)
    found = [numbering(series.series_instance_uid, known, 9000).first for series in known]
    assert found == firsts
    assert not {first + more for first in found for more in range(10)} & set(numbers)


def test_a_later_series_changes_no_number_of_an_earlier_one() -> None:
    assert numbering("1.2.0", study(2), 700) == numbering("1.2.0", study(2, 3, None), 700)


def test_a_series_that_is_not_known_comes_behind_the_others() -> None:
    assert numbering("9.9", study(2, 3), 9000).first == 9020


def test_a_number_that_several_have_names_none_of_them() -> None:
    known = study(4, 5, 4, None, None)
    found = [numbering(series.series_instance_uid, known, 9000).ambiguous for series in known]
    assert found == [True, False, True, False, False]
