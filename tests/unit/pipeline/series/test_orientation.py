"""Canonical view and back: exact, and every voxel stays where it is in the patient."""

import numpy as np
import pytest

from pipeline.series.orientation import Orientation, canonical
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from pipeline.types import CtVolume, SourceFrame
from tests.support.samples.phantom_odd import POSITIONS, turned

PHANTOM = make_phantom(PhantomSpec(size=48, slices=6, spacing_mm=30.0, lesions=0))


def volume_in(position: str) -> CtVolume:
    return assemble(turned(phantom_datasets(PHANTOM, seed=1), position)).volume


@pytest.mark.parametrize("position", POSITIONS)
def test_every_patient_position_comes_to_the_same_view(position: str) -> None:
    volume = canonical(volume_in(position))

    assert np.array_equal(volume.hu, PHANTOM.hu)
    assert np.allclose(volume.affine, PHANTOM.affine, atol=1e-4)


@pytest.mark.parametrize("position", POSITIONS)
def test_masks_find_their_way_back(position: str) -> None:
    volume = volume_in(position)
    orientation = Orientation.of(volume.affine)
    colours = np.stack([volume.hu, volume.hu + 1, volume.hu + 2], axis=-1)

    assert np.array_equal(orientation.undo(orientation.apply(volume.hu)), volume.hu)
    assert np.array_equal(orientation.undo(PHANTOM.hu), volume.hu)
    assert np.array_equal(orientation.undo(orientation.apply(colours)), colours)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("HFS", (False, False, False)),
        ("FFS", (False, False, True)),
        ("HFP", (False, True, True)),
        ("FFP", (False, True, False)),
        ("HFDR", (True, False, True)),
    ],
)
def test_steps_are_those_of_the_position(position: str, expected: tuple[bool, bool, bool]) -> None:
    orientation = Orientation.of(volume_in(position).affine)

    assert expected == (
        orientation.transpose, orientation.reverse_rows, orientation.reverse_columns
    )  # fmt: skip


@pytest.mark.parametrize(
    ("position", "down"),
    [("HFS", (1, 1)), ("FFP", (1, -1)), ("HFDR", (0, -1)), ("FFDR", (0, -1)), ("HFDL", (0, 1))],
)
def test_rows_of_the_phantom_run_down_to_the_side_lain_on(
    position: str, down: tuple[int, int]
) -> None:
    axis, sign = down
    step = volume_in(position).affine[:3, 1]

    assert np.argmax(np.abs(step)) == axis
    assert np.sign(step[axis]) == sign


def test_not_square_images_keep_their_places() -> None:
    affine = np.array([[0, -2.0, 0, 90], [0, 0, 3.0, -60], [5, 0, 0, 7], [0, 0, 0, 1]])
    volume = CtVolume(
        hu=np.arange(2 * 4 * 5, dtype=np.int16).reshape(2, 4, 5),
        affine=affine,
        frame_of_reference_uid="",
        source=(SourceFrame(sop_class_uid="1", sop_instance_uid="2"),) * 2,
    )

    turned_one = canonical(volume)

    assert turned_one.shape == (2, 5, 4)
    for index in np.ndindex(turned_one.shape):
        place = turned_one.affine @ [*index, 1]
        source = np.rint(np.linalg.solve(affine, place)[:3]).astype(int)
        assert turned_one.hu[index] == volume.hu[tuple(source)]


def test_canonical_volume_is_returned_as_it_is() -> None:
    volume = volume_in("HFS")

    assert canonical(volume) is volume


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("reverse_rows", [False, True])
@pytest.mark.parametrize("reverse_columns", [False, True])
def test_a_voxel_goes_back_where_the_array_does(
    transpose: bool, reverse_rows: bool, reverse_columns: bool
) -> None:
    turn = Orientation(
        transpose=transpose, reverse_rows=reverse_rows, reverse_columns=reverse_columns
    )
    seen = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    source = turn.undo(seen)
    assert source[turn.undo_voxel((1, 2, 1), (2, 3, 4))] == seen[1, 2, 1]
