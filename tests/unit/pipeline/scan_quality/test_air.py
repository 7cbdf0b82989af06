"""Air outside the lungs, by which a shift of the attenuation is seen."""

import math

import numpy as np
import pytest

from pipeline.scan_quality.measure import AIR_MAX_HU, air_hu


def chest(air: int, padding: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Soft tissue with a lung, air on one side, and perhaps padding on the other."""
    hu = np.full((4, 40, 40), 40, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    hu[:, :, :10] = air + np.arange(10, dtype=np.int16) - 5
    hu[:, 10:20, 15:25], labels[:, 10:20, 15:25] = -850, 1
    if padding is not None:
        hu[:, :, 30:] = padding
    return hu, labels


@pytest.mark.parametrize("padding", [None, -2000])
def test_its_median_is_measured_whatever_pads_the_picture(padding: int | None) -> None:
    assert air_hu(*chest(-1000, padding)) == pytest.approx(-1000, abs=1)
    assert air_hu(*chest(-980, padding)) == pytest.approx(-980, abs=1)


def test_neither_lung_nor_too_little_air_counts() -> None:
    hu, labels = chest(-1000)
    hu[:, :, :10] = 40
    hu[labels == 1] = -950

    assert math.isnan(air_hu(hu, labels))
    assert AIR_MAX_HU > -950
