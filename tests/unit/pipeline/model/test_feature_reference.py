"""Features of a case: averaged over the lungs, and how far they lie from the training's."""

import numpy as np
import pytest
import torch

from pipeline.classifier.score import lung_features
from pipeline.errors import ModelError
from pipeline.model.feature_reference import Reference, from_bytes, to_bytes

TWO_CLASSES = Reference(
    means=np.array([[0.0, 0.0], [10.0, 0.0]]), precision=np.diag([1 / 4.0, 1.0])
)


@pytest.mark.parametrize(
    ("case", "distance"),
    [((0.0, 0.0), 0.0), ((10.0, 0.0), 0.0), ((4.0, 0.0), 2.0), ((8.0, 1.0), np.sqrt(2))],
)
def test_distance_is_to_the_nearest_class_in_standard_deviations(
    case: tuple[float, float], distance: float
) -> None:
    assert TWO_CLASSES.distance(np.array(case)) == pytest.approx(distance)


def test_what_was_written_is_read() -> None:
    read = from_bytes(to_bytes(TWO_CLASSES))

    assert np.array_equal(read.means, TWO_CLASSES.means)
    assert np.array_equal(read.precision, TWO_CLASSES.precision)


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle?", to_bytes(TWO_CLASSES)[:-3]])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match="expected a reference of features"):
        from_bytes(data)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \(2, 3\) and \(2, 2\)"):
        Reference(means=np.zeros((2, 3)), precision=np.eye(2))


def test_features_are_averaged_over_the_lungs_only() -> None:
    features = torch.zeros(1, 2, 2, 3, 4)
    features[0, 0, 0, 0, 0], features[0, 0, 1, 2, 3] = 4.0, 8.0
    features[0, 1] = 5.0
    features[0, 0, 0, 1, 1] = 1000.0  # not lung
    lungs = np.zeros((4, 24, 32), np.float32)
    lungs[:2, :8, :8] = 1  # all of the first cell
    lungs[2:, 16:, 28:] = 1  # half of the last one

    assert lung_features(features, lungs) == pytest.approx([(4 + 8 / 2) / 1.5, 5.0])


def test_without_lungs_there_are_no_features() -> None:
    assert not lung_features(torch.ones(1, 3, 2, 2, 2), np.zeros((4, 16, 16), np.float32)).any()
