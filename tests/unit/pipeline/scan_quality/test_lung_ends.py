"""The end slices of a whole chest hold no lung; those of a part of it do."""

import numpy as np
import pytest

from pipeline.scan_quality.lung_ends import ends_outside_lungs, gas_share
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom


def slice_with(gas: float, *, opened: bool = False) -> np.ndarray:
    """A trunk of 400 x 400 pixels in air, with gas in a share of it."""
    hu = np.full((512, 512), -1000, np.int16)
    hu[56:456, 56:456] = 40
    if gas:
        side = int(400 * gas**0.5)
        at = 256 - side // 2
        hu[at : at + side, at : at + side] = -850
    if opened:
        hu[56:256, 250:262] = -1000
    return hu


@pytest.mark.parametrize("gas", [0.0, 0.01, 0.1, 0.4])
def test_share_of_gas_is_that_of_the_trunk(gas: float) -> None:
    assert gas_share(slice_with(gas)) == pytest.approx(gas, abs=0.01)


def test_an_outline_that_is_open_hides_no_lung() -> None:
    assert gas_share(slice_with(0.4, opened=True)) > 0.35


@pytest.mark.parametrize("hu", [-1000, 40])
def test_a_slice_of_one_value_has_no_lung(hu: int) -> None:
    assert gas_share(np.full((64, 64), hu, np.int16)) == 0.0


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.01, 0.3, 0.4, 0.2, 0.0), True),
        ((0.05, 0.3, 0.4, 0.2, 0.0), False),  # the first slice is in the lungs
        ((0.01, 0.3, 0.4, 0.2, 0.3), False),
        ((0.01, 0.02, 0.05, 0.02, 0.0), False),  # the abdomen alone
        ((0.0, 0.0), False),
    ],
)
def test_lungs_lie_between_the_ends(shares: tuple[float, ...], expected: bool) -> None:
    assert ends_outside_lungs(shares) is expected


def test_the_lungs_of_a_phantom_are_seen() -> None:
    phantom = make_phantom(PhantomSpec(slices=40, size=128, lesions=2))
    shares = [gas_share(part) for part in phantom.hu]

    assert max(shares) > 0.15
