"""The patient lies in the same place, in whatever order or orientation the series arrives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from pipeline.series.orientation import Orientation, canonical
from pipeline.series.volume import assemble
from pipeline.synthetic.phantom.dicom import phantom_datasets
from pipeline.synthetic.phantom.make import Phantom, PhantomSpec, make_phantom
from pipeline.synthetic.phantom.syntaxes import TRANSFER_SYNTAXES, copied, transcoded
from pipeline.types import CtVolume
from tests.support.samples.phantom_odd import POSITIONS, numbered_backwards, oblique, turned

#: The same chest; pixels of 12 x 15, 15 x 15 and 18 x 15 mm.
PHANTOMS = tuple(
    make_phantom(PhantomSpec(size=24, slices=8, spacing_mm=20.0, lesions=1, depth_mm=depth))
    for depth in (288.0, 360.0, 432.0)
)
DATASETS = {id(phantom): phantom_datasets(phantom, seed=1) for phantom in PHANTOMS}
phantoms = st.sampled_from(PHANTOMS)
few = settings(max_examples=25, deadline=None)


def fresh(phantom: Phantom) -> list[Dataset]:
    """Copies: assembling takes the pixels out of the datasets."""
    return [copied(dataset) for dataset in DATASETS[id(phantom)]]


def hu_at(volume: CtVolume, places: np.ndarray) -> np.ndarray:
    """HU of the voxels at ``(n, 3)`` places, LPS mm; they must be voxel centres."""
    homogeneous = np.c_[places, np.ones(len(places))]
    index = (np.linalg.inv(volume.affine) @ homogeneous.T)[:3]
    assert np.abs(index - np.rint(index)).max() < 1e-3
    return volume.hu[tuple(np.rint(index).astype(int))]


def places_of(phantom: Phantom, index: np.ndarray) -> np.ndarray:
    return (phantom.affine @ np.c_[index, np.ones(len(index))].T).T[:, :3]


@few
@given(st.data())
def test_order_position_and_syntax_do_not_move_the_patient(data: st.DataObject) -> None:
    phantom = data.draw(phantoms)
    position = data.draw(st.sampled_from(sorted(POSITIONS)))
    syntax = data.draw(st.sampled_from(sorted(TRANSFER_SYNTAXES)))
    datasets = turned(fresh(phantom), position)
    if data.draw(st.booleans()):
        datasets = numbered_backwards(datasets)
    datasets = data.draw(st.permutations([transcoded(d, syntax) for d in datasets]))

    volume = assemble(datasets, threads=data.draw(st.integers(1, 3))).volume

    index = np.argwhere(np.ones(phantom.hu.shape, bool))
    assert np.array_equal(hu_at(volume, places_of(phantom, index)), phantom.hu[tuple(index.T)])
    assert np.array_equal(canonical(volume).hu, phantom.hu)
    assert canonical(volume).spacing_mm == pytest.approx(
        np.linalg.norm(phantom.affine[:3, :3], axis=0)
    )
    assert volume.affine[2, 0] > 0


@few
@given(phantom=phantoms, degrees=st.floats(-17.5, 17.5), order=st.permutations(range(8)))
def test_oblique_series_lies_where_its_headers_say(
    phantom: Phantom, degrees: float, order: list[int]
) -> None:
    datasets = oblique(fresh(phantom), degrees)
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )

    volume = assemble([datasets[at] for at in order]).volume

    index = np.argwhere(phantom.lungs > 0)
    places = places_of(phantom, index) @ turn.T
    assert np.array_equal(hu_at(volume, places), phantom.hu[tuple(index.T)])


@few
@given(
    phantom=phantoms,
    position=st.sampled_from(sorted(POSITIONS)),
    index=st.tuples(*[st.floats(-5, 30)] * 3),
)
def test_index_to_mm_to_index(
    phantom: Phantom, position: str, index: tuple[float, float, float]
) -> None:
    volume = assemble(turned(fresh(phantom), position)).volume

    mm = volume.affine @ [*index, 1]

    assert np.allclose(np.linalg.solve(volume.affine, mm)[:3], index, atol=1e-9)
    assert volume.voxel_volume_mm3 == np.prod(volume.spacing_mm).round(9) or np.isclose(
        volume.voxel_volume_mm3, np.prod(volume.spacing_mm)
    )


orientations = st.builds(
    Orientation, transpose=st.booleans(), reverse_rows=st.booleans(), reverse_columns=st.booleans()
)
shapes = st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))


@given(orientation=orientations, shape=shapes, channels=st.sampled_from([(), (3,), (2, 2)]))
def test_undo_is_the_inverse_of_apply(
    orientation: Orientation, shape: tuple[int, int, int], channels: tuple[int, ...]
) -> None:
    array = np.arange(np.prod(shape + channels)).reshape(shape + channels)

    assert np.array_equal(orientation.undo(orientation.apply(array)), array)
    assert np.array_equal(orientation.apply(orientation.undo(array)), array)


@given(orientation=orientations, shape=shapes, data=st.data())
def test_affine_moves_with_the_array(
    orientation: Orientation, shape: tuple[int, int, int], data: st.DataObject
) -> None:
    numbers = st.floats(-9, 9).map(lambda value: round(value, 3))
    affine = np.eye(4)
    affine[:3] = np.reshape(data.draw(st.lists(numbers, min_size=12, max_size=12)), (3, 4))
    places = np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]

    moved = orientation.move_affine(affine, shape)

    turned_places = orientation.apply(places)
    expected = (
        np.moveaxis(np.indices(turned_places.shape[:3]), 0, -1) @ moved[:3, :3].T + moved[:3, 3]
    )
    assert np.allclose(turned_places, expected, atol=1e-9)
