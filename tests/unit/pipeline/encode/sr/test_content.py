"""Parts of reports: the area of an outline, and who is named as the observer of a text."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from pydicom import Dataset

from pipeline.encode.result import codes
from pipeline.encode.source.source_slices import real_slices
from pipeline.encode.sr.content import Outlined, enclosed_area
from pipeline.encode.sr.document import observation_context
from pipeline.encode.sr.text_report import text_content
from tests.support.samples.encode_samples import EQUIPMENT, ct_series


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 4), (10, 2)])
def test_the_area_of_an_outline_is_that_of_its_pixels(rows: int, columns: int) -> None:
    mask = np.zeros((16, 24), bool)
    mask[2 : 2 + rows, 5 : 5 + columns] = True
    outlined = Outlined(item=real_slices(ct_series())[0], mask=mask)
    assert enclosed_area(outlined) == rows * columns


def test_a_hole_counts_and_another_part_does_not() -> None:
    mask = np.zeros((16, 24), bool)
    mask[2:8, 5:10] = True
    mask[4, 6] = False
    mask[12, 20] = True
    assert enclosed_area(Outlined(item=real_slices(ct_series())[0], mask=mask)) == 30


def named(items: Iterable[Dataset]) -> set[str]:
    return {item.ConceptNameCodeSequence[0].CodeValue for item in items}


def test_a_text_names_its_observer_by_uid_and_name_alone() -> None:
    """TID 1004: observer UID and name; manufacturer, model and serial number in reports."""
    maker_model_and_number = {"121014", "121015", "121016"}
    text = named(text_content(codes.PRELIMINARY_TEXT, (), EQUIPMENT, None).ContentSequence)
    assert {"121005", "121012", "121013"} <= text
    assert not text & maker_model_and_number
    assert maker_model_and_number <= named(observation_context(EQUIPMENT))
