"""Colours of the segments: told apart also by those who see fewer colours."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.encode.common.segments import (
    LESION_COLOURS,
    LUNG_COLOURS,
    MAX_LESION_SEGMENTS,
    REMAINING_COLOUR,
    segments,
)
from pipeline.encode.page.blocks import MOST_ROWS
from tests.support.samples.encode_samples import KEY, analysis, lesion

SEEN = {
    "all": np.eye(3),
    "no red": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "no green": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "no blue": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
"""Linear RGB as seen: Machado, Oliveira and Fernandes (2009), severity 1."""

XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
LEAST = 15.0
"""CIE 1976 colour difference; the closest two of Okabe and Ito's colours here have 16."""


def lab(colour: tuple[int, int, int], seen: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIE L*a*b* of an sRGB colour, with a colour vision."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(XYZ @ np.clip(seen @ linear, 0.001, 1) / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", SEEN)
def test_colours_are_told_apart_with_every_colour_vision(vision: str) -> None:
    colours = (*LUNG_COLOURS.values(), *LESION_COLOURS, REMAINING_COLOUR)
    seen = [lab(colour, SEEN[vision]) for colour in colours]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > LEAST


def test_neighbours_in_the_table_have_colours_of_their_own() -> None:
    labels = np.zeros((6, 16, 24), np.uint8)
    labels[2].flat[:23] = range(1, 24)
    lesions = tuple(lesion(number) for number in range(1, 24))
    found = segments(analysis(lesion_labels=labels, lesions=lesions), tuple(range(6)), KEY)
    *alone, rest = (segment.colour for segment in found if segment.lesions)
    assert len(set(alone)) == MAX_LESION_SEGMENTS
    assert len(LESION_COLOURS) >= MOST_ROWS, "a row of the page's table is known by its colour"
    assert rest not in alone
