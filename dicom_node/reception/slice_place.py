"""Read from the text of a header where its slice lies, and how many images were announced."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from storage.series.slices import SliceFacts

DECIMAL = re.compile(r"[+-]?(\d{1,16}\.?\d{0,16}|\.\d{1,16})([eE][+-]?\d{1,2})?")
"""Value representation DS (PS3.5 6.2), of at most 16 characters; some write more digits."""
INTEGER = re.compile(r"[+-]?[0-9]{1,10}")  #: value representation IS (PS3.5 6.2)
MAXIMUM_MM = 1e4  #: of a position: it lies in or near the patient
SERIES_AT_ONCE = 64  #: whose planes are remembered: senders repeat them with every slice
PLANE_DIGITS = 3  #: of direction cosines and pixel spacing that tell planes apart


def slice_facts(texts: Mapping[str, str]) -> SliceFacts:
    """Read the facts of a slice; what is absent, empty or senseless is not known.

    Parameters
    ----------
    texts
        Values by keyword, without padding, several separated by backslashes.
    """
    frames = _integer(texts, "NumberOfFrames")
    plane, height = _place(texts)
    return SliceFacts(
        acquisition_number=_integer(texts, "AcquisitionNumber"),
        images_in_acquisition=_positive(_integer(texts, "ImagesInAcquisition")),
        instance_number=_integer(texts, "InstanceNumber"),
        # the frames of a part say nothing of the whole (PS3.3 C.7.6.16.2.2.4)
        frames=None if texts.get("ConcatenationUID") else _positive(frames),
        plane=plane,
        height_mm=height,
    )


def _place(texts: Mapping[str, str]) -> tuple[str, float | None]:
    """Read the plane, and the position along its normal towards the head, mm."""
    position = _decimals(texts.get("ImagePositionPatient", ""), 3)
    plane = _plane(texts.get("ImageOrientationPatient", ""), texts.get("PixelSpacing", ""))
    if plane is None or not position or max(map(abs, position)) > MAXIMUM_MM:
        return "", None
    name, (x, y, z) = plane
    return name, position[0] * x + position[1] * y + position[2] * z


@lru_cache(maxsize=SERIES_AT_ONCE)
def _plane(orientation: str, spacing: str) -> tuple[str, tuple[float, float, float]] | None:
    """Name the plane of a slice, and give its normal towards the head: one for a whole series."""
    turn, pixels = _decimals(orientation, 6), _decimals(spacing, 2)
    if not (turn and pixels):
        return None
    normal = (
        turn[1] * turn[5] - turn[2] * turn[4],
        turn[2] * turn[3] - turn[0] * turn[5],
        turn[0] * turn[4] - turn[1] * turn[3],
    )
    length = math.hypot(*normal)
    if not 0.9 < length < 1.1:
        return None
    scale = math.copysign(1.0, normal[2]) / length
    name = " ".join(f"{round(value, PLANE_DIGITS) + 0.0:g}" for value in (*turn, *pixels))
    return name[:64], (normal[0] * scale, normal[1] * scale, normal[2] * scale)


def _decimals(text: str, count: int) -> tuple[float, ...]:
    parts = [part.strip() for part in text.split("\\")]
    if len(parts) != count or not all(map(DECIMAL.fullmatch, parts)):
        return ()
    return tuple(map(float, parts))


def _integer(texts: Mapping[str, str], keyword: str) -> int | None:
    number = texts.get(keyword, "")
    return int(number) if INTEGER.fullmatch(number) else None


def _positive(number: int | None) -> int | None:
    return number if number and number > 0 else None
