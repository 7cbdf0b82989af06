"""A Body Part Examined that contradicts a chest is a doubt; words of a site's own are not."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from pipeline.scan_quality.body_part import body_part_doubts


def said(*body_parts: str | None) -> list[str]:
    headers = []
    for body_part in body_parts:
        header = Dataset()
        if body_part is not None:
            header.BodyPartExamined = body_part
        headers.append(header)
    return [f"{doubt.code}: {doubt.text}" for doubt in body_part_doubts(headers)]


@pytest.mark.parametrize("body_part", [None, "", "CHEST", "THORAX", "CHESTABDPELVIS", "LUNGE"])
def test_a_chest_raises_no_doubt(body_part: str | None) -> None:
    assert said(body_part, body_part) == []


def test_a_part_without_lungs_is_named_once() -> None:
    assert said("HEAD", "HEAD", "CHEST") == [
        "body-part: Body Part Examined is HEAD, a chest expected"
    ]
