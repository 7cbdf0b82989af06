"""Readers' labels of slices are read, and find their slices by position."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cases.slice_labels import UNKNOWN, infected_slices, read_slice_labels, slices_of
from pipeline.errors import PipelineError
from pipeline.types import CtVolume

LABELS = "instance_number,z_mm,infected\n1,-10.0,1\n2,-12.0,1\n3,-14.0,0\n4,-16.0,0\n"


def volume(lowest_mm: float) -> CtVolume:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    affine[2, 3] = lowest_mm
    return CtVolume(
        hu=np.zeros((6, 4, 4), np.int16),
        affine=affine,
        frame_of_reference_uid="",
        source=(None,) * 6,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


def test_labels_find_their_slices_by_position(file: Path) -> None:
    labels = read_slice_labels(file)

    assert slices_of(labels, volume(-18.4)).tolist() == [4, 3, 2, 1]
    with pytest.raises(PipelineError, match="slice labels from -30 to -20 mm expected"):
        slices_of(labels, volume(-30.0))


def test_slices_without_a_label_are_unknown(file: Path) -> None:
    found = infected_slices(read_slice_labels(file), volume(-18.4))

    assert found.tolist() == [UNKNOWN, 0, 0, 1, 1, UNKNOWN]


def test_two_labels_of_a_slice_must_agree(file: Path) -> None:
    file.write_text(LABELS + "5,-12.1,0\n")

    with pytest.raises(PipelineError, match="one label for each slice expected"):
        infected_slices(read_slice_labels(file), volume(-18.4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "finite z_mm expected"),
        ("z_mm,infected\n", "finite z_mm expected"),
        ("z_mm,infected\nnan,1\n", "finite z_mm expected"),
        ("z_mm,infected\n-10,2\n", "0 or 1 expected, got '2'"),
        ("z_mm,infected\n-10,\n", "0 or 1 expected, got ''"),
        ("z,infected\n-10,1\n", "z_mm"),
        ("z_mm,infected,LLL\n-10,1,1\n", "if any, all of LLL, LUL, RLL, RML, RUL"),
    ],
)
def test_other_tables_are_no_slice_labels(text: str, said: str, file: Path) -> None:
    file.write_text(text)

    with pytest.raises(PipelineError, match=said):
        read_slice_labels(file)
