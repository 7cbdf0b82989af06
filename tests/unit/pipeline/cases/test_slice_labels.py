"""Readers' labels of slices are read, and find their slices by position."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.cases.slice_labels import (
    UNKNOWN,
    SliceLabels,
    infected_slices,
    on_planes,
    read_slice_labels,
    slices_of,
)
from pipeline.errors import PipelineError
from pipeline.types import CtVolume

LABELS = "instance_number,z_mm,infected\n1,-10.0,1\n2,-12.0,1\n3,-14.0,0\n4,-16.0,0\n"


def volume(lowest_mm: float, *, slices: int = 6, tilt: float = 0.0) -> CtVolume:
    affine = np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    affine[2, 1] = tilt
    affine[2, 3] = lowest_mm
    return CtVolume(
        hu=np.zeros((slices, 4, 4), np.int16),
        affine=affine,
        frame_of_reference_uid="",
        source=(None,) * slices,
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


@pytest.mark.parametrize("slices", [5, 6])
def test_labels_half_a_slice_beyond_the_ends_belong_to_these(slices: int) -> None:
    beyond = np.array([-1.0, 2.0 * slices - 1])
    labels = SliceLabels(z_mm=beyond, infected=np.array([True, False]))

    assert slices_of(labels, volume(0.0, slices=slices)).tolist() == [0, slices - 1]


def test_tilted_slices_are_refused(file: Path) -> None:
    with pytest.raises(PipelineError, match="at right angles"):
        slices_of(read_slice_labels(file), volume(-18.4, tilt=0.3))


@pytest.mark.parametrize("slice_mm", [0.7, 1.0, 2.0, 5.0, 8.0])
@pytest.mark.parametrize("every", [1, 2, 5])
def test_labels_reach_the_planes_beside_their_slices(slice_mm: float, every: int) -> None:
    slices = round(280 / slice_mm)
    infected = np.full(slices, UNKNOWN, np.int8)
    infected[::every] = np.arange(slices)[::every] >= slices / 2
    at = np.linspace(3, slices - 4, 80)
    step_mm = (at[1] - at[0]) * slice_mm

    found = on_planes(infected, at)

    labelled = np.flatnonzero(infected != UNKNOWN)
    reach_mm = max(step_mm, slice_mm) / 2 + 1e-6
    for plane, label in zip(at, found, strict=True):
        near = labelled[np.abs(labelled - plane) * slice_mm <= reach_mm]
        if label == UNKNOWN:
            assert len(set(infected[near])) != 1 or slice_mm > step_mm
        else:
            assert label in infected[near]
    share = min(1.0, max(step_mm, slice_mm) / (every * slice_mm))
    assert np.mean(found != UNKNOWN) > 0.8 * share


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "none of z_mm, infected"),
        ("z_mm,infected\n", "finite z_mm expected"),
        ("z_mm,infected\nnan,1\n", "finite z_mm expected"),
        ("z_mm,infected\n-10,2\n", "0 or 1 expected, got '2'"),
        ("z_mm,infected\n-10,\n", "0 or 1 expected, got ''"),
        ("z,infected\n-10,1\n", "got: 'z_mm'"),
        ("z_mm,infected,LLL\n-10,1,1\n", "all lobes"),
    ],
)
def test_other_tables_are_no_slice_labels(text: str, said: str, file: Path) -> None:
    file.write_text(text)

    with pytest.raises(PipelineError, match=said):
        read_slice_labels(file)
