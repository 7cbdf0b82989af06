"""Attributes that an analysis can do without: senseless values end no encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict
from pydicom.tag import Tag

from pipeline.encode.bundle import encode
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.sr.notice import not_analysed
from pipeline.series.attributes import (
    LARGEST_IS,
    calendar_date,
    optional_integer,
    optional_number,
)
from pipeline.types import CtSeries
from tests.support.samples.encode_samples import SeriesSpec, analysis, context, ct_series
from tests.support.samples.raw_elements import as_read

SPACING_MM = 2.5


def odd_series(keyword: str, value: bytes) -> CtSeries:
    series = ct_series(SeriesSpec(spacing_mm=(SPACING_MM, 0.7, 0.9)))
    for header in series.headers:
        header[Tag(keyword_dict[keyword])] = as_read(keyword, value)
    return series


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("SliceThickness", b"1,25"),
        ("SliceThickness", b"1\\2 "),
        ("SliceThickness", b"1e400 "),
        ("InstanceNumber", b"CANARYXQ"),
        ("RequestAttributesSequence", b"CANARYXQ"),
        ("OtherPatientIDsSequence", b"1,25"),
        ("ProcedureCodeSequence", b"1,25"),
    ],
)
def test_a_senseless_value_ends_no_encoding(keyword: str, value: bytes) -> None:
    series = odd_series(keyword, value)

    with disable_value_validation():
        bundle = encode(series, analysis(), context())
        not_analysed(series.headers, "gap", "a slice is missing", context())

    by_kind = {item.kind: item.dataset for item in bundle.objects}
    segmentation = by_kind[ResultKind.SEGMENTATION]
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert 0 < measures.SliceThickness <= SPACING_MM


@given(st.binary(max_size=20), st.sampled_from(["SliceThickness", "InstanceNumber"]))
def test_an_optional_number_is_in_its_range_or_absent(value: bytes, keyword: str) -> None:
    ds = Dataset()
    with disable_value_validation():
        ds[Tag(keyword_dict[keyword])] = as_read(keyword, value)
        number = optional_number(ds, keyword, least=0.5, most=5)
        count = optional_integer(ds, keyword)

    assert number is None or 0.5 <= number <= 5
    assert count is None or abs(count) <= LARGEST_IS + 1


def test_a_plain_number_is_read_as_it_is() -> None:
    ds = Dataset()
    ds.SliceThickness, ds.InstanceNumber = "1.25", 12
    assert optional_number(ds, "SliceThickness", least=1, most=2) == 1.25
    assert optional_integer(ds, "InstanceNumber") == 12
    assert optional_integer(ds, "SliceThickness") is None
    assert optional_integer(ds, "SeriesNumber") is None


@pytest.mark.parametrize("value", ["", "20261399", "2026-W01", "2026", "00000000", "abcdefgh"])
def test_a_date_that_is_no_day_is_no_date(value: str) -> None:
    assert calendar_date(value) is None
