"""A stack is judged by positions, numbers and announced counts alone."""

from dataclasses import replace

import pytest

from dicom_node.closing.header_stack import HeaderStack, header_stack
from dicom_node.reception.slice_place import slice_facts
from storage.series.slices import HeldSlice, SliceFacts

STEP_MM = 2.5


def held(number: int, **facts: object) -> HeldSlice:
    usual = SliceFacts(
        acquisition_number=2,
        instance_number=number,
        plane="p",
        height_mm=100 - STEP_MM * number,
    )
    return HeldSlice(
        sop_instance_uid=str(number),
        path=f"{number}.dcm",
        facts=replace(usual, **facts),  # type: ignore[arg-type]  # values of its own fields
    )


def judged(slices: list[HeldSlice]) -> HeaderStack:
    return header_stack(slices, min_slices=4, min_coverage_mm=10)


WHOLE = [held(number) for number in range(1, 9)]


def test_a_whole_stack_is_regular_and_looked_at_from_end_to_end() -> None:
    stack = judged(WHOLE[::-1])

    assert stack.is_regular
    assert stack.is_whole_chest
    assert (stack.images, stack.announced) == (8, None)
    assert stack.looked_at == ("8.dcm", "7.dcm", "5.dcm", "3.dcm", "1.dcm")


@pytest.mark.parametrize(
    "slices",
    [
        WHOLE[1:],  # the first is still to come: sent in reverse
        WHOLE[::2],  # every second one: interleaved
        WHOLE[:3] + WHOLE[4:],
        [*WHOLE, held(9, plane="q")],
        [*WHOLE, held(9, plane="", height_mm=None)],
        [*WHOLE, held(9, height_mm=100 - STEP_MM * 9 - 0.3)],
        [*WHOLE, held(9, height_mm=100 - STEP_MM * 8)],  # twice at one place
        [*WHOLE, replace(held(9), facts=replace(held(9).facts, instance_number=None))],
        [*WHOLE, replace(held(9), facts=replace(held(9).facts, instance_number=8))],
        [held(1)],
        [],
    ],
)
def test_others_are_not_regular(slices: list[HeldSlice]) -> None:
    stack = judged(slices)

    assert not stack.is_regular
    assert stack.looked_at == ()


@pytest.mark.parametrize(
    ("slices", "images", "announced"),
    [
        ([held(n, images_in_acquisition=8) for n in range(1, 4)], 3, 8),
        ([held(1, images_in_acquisition=8), held(2)], 2, None),
        ([held(1, images_in_acquisition=8), held(2, images_in_acquisition=9)], 2, None),
        (
            [held(n, images_in_acquisition=1, acquisition_number=n) for n in (1, 2)],
            2,
            None,
        ),
        ([held(1, images_in_acquisition=1, acquisition_number=None)], 1, None),
        ([held(1, frames=200)], 200, 200),
        ([held(1, frames=200), held(2, frames=200)], 400, None),
    ],
)
def test_announced_counts_are_of_one_acquisition(
    slices: list[HeldSlice], images: int, announced: int | None
) -> None:
    stack = judged(slices)

    assert (stack.images, stack.announced) == (images, announced)


def test_short_series_need_not_be_closed_early() -> None:
    assert not judged(WHOLE[:3]).is_whole_chest
    assert not header_stack(WHOLE, min_slices=4, min_coverage_mm=20).is_whole_chest
    assert judged([held(1, frames=4)]).is_whole_chest


AXIAL = {
    "ImagePositionPatient": r"-170\-170\-120.5",
    "ImageOrientationPatient": r"1\0\0\0\1\0",
    "PixelSpacing": r"0.7\0.7",
    "InstanceNumber": "7",
    "AcquisitionNumber": "2",
    "ImagesInAcquisition": "133",
}


def test_text_of_a_header_tells_the_place() -> None:
    facts = slice_facts(AXIAL)

    assert (facts.height_mm, facts.plane) == (-120.5, "1 0 0 0 1 0 0.7 0.7")
    assert (facts.instance_number, facts.acquisition_number) == (7, 2)
    assert facts.images_in_acquisition == 133


def test_heights_grow_towards_the_head_whichever_way_the_rows_run() -> None:
    prone = slice_facts(AXIAL | {"ImageOrientationPatient": r"1\0\0\0\-1\0"})

    assert prone.height_mm == -120.5
    assert prone.plane != slice_facts(AXIAL).plane


@pytest.mark.parametrize(
    "texts",
    [
        {"ImagePositionPatient": r"a\b\c"},
        {"ImagePositionPatient": r"1\2"},
        {"ImagePositionPatient": r"1\2\1e99"},
        {"ImagePositionPatient": r"1\2\nan"},
        {"ImageOrientationPatient": r"0\0\0\0\0\0"},
        {"PixelSpacing": ""},
    ],
)
def test_senseless_places_are_not_known(texts: dict[str, str]) -> None:
    facts = slice_facts(AXIAL | texts)

    assert (facts.plane, facts.height_mm) == ("", None)


def test_a_part_of_a_concatenation_announces_nothing() -> None:
    assert slice_facts({"NumberOfFrames": "80"}).frames == 80
    assert slice_facts({"NumberOfFrames": "80", "ConcatenationUID": "1.2"}).frames is None
    assert slice_facts({"NumberOfFrames": "-3"}).frames is None
    assert slice_facts({"ImagesInAcquisition": "0"}).images_in_acquisition is None
