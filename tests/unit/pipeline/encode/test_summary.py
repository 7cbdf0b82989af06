"""The summary says of the person what statistics ask, and nothing by which anybody is known."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.config import disable_value_validation

from pipeline.encode.summary import summary
from pipeline.types import CommonHeader, CtSeries
from tests.support.samples.encode_samples import analysis, ct_series


def series(**attributes: object) -> CtSeries:
    plain = ct_series()
    header = Dataset()
    header.update(plain.common.header)
    for name in ("PatientAge", "PatientBirthDate", "PatientSex", "StudyDate"):
        if name in header:
            delattr(header, name)
    with disable_value_validation():
        for name, value in attributes.items():
            setattr(header, name, value)
    common: CommonHeader = replace(plain.common, header=header)
    return replace(plain, common=common)


@pytest.mark.parametrize(
    ("attributes", "age"),
    [
        ({"PatientAge": "064Y"}, "60-69"),
        ({"PatientAge": "018M"}, "0-9"),
        ({"PatientAge": "090Y"}, "90 and more"),
        ({"PatientAge": "089Y", "PatientBirthDate": "19000101"}, "80-89"),
        ({"PatientBirthDate": "19540518", "StudyDate": "20240517"}, "60-69"),
        ({"PatientBirthDate": "19540517", "StudyDate": "20240517"}, "70-79"),
        ({"PatientBirthDate": "20250101", "StudyDate": "20240517"}, ""),
        ({"PatientBirthDate": "19540517"}, ""),
        ({"PatientAge": "old"}, ""),
        ({}, ""),
    ],
)
def test_the_age_is_a_decade(attributes: dict[str, str], age: str) -> None:
    assert summary(series(**attributes), analysis())["person"]["age"] == age


@pytest.mark.parametrize(("written", "sex"), [("F", "F"), ("m", "M"), ("O", "O"), ("x", "")])
def test_the_sex_is_one_of_the_standard_or_empty(written: str, sex: str) -> None:
    assert summary(series(PatientSex=written), analysis())["person"]["sex"] == sex


def test_the_protocol_is_what_the_images_say() -> None:
    said = summary(
        series(KVP="120", SliceThickness="2.5", ContrastBolusAgent="agent of Muster"), analysis()
    )

    assert said["protocol"] == {"slice_thickness_mm": 2.5, "kvp": 120.0, "contrast": True}
    assert "Muster" not in json.dumps(said)
    assert summary(series(KVP="0"), analysis())["protocol"]["kvp"] is None
