"""Functions that spoil a good series: each takes data sets and returns new ones.

They compose: ``tilted(without(phantom_datasets(...), {7}), 12.0)``. The datasets given are not
changed. All expect uncompressed datasets of :mod:`pipeline.synthetic.phantom.dicom`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from pipeline.synthetic.phantom.dicom import decimals, set_pixels
from pipeline.synthetic.phantom.syntaxes import copied

#: Patient Position -> transpose, reverse rows, reverse columns of the head-first-supine image.
POSITIONS: dict[str, tuple[bool, bool, bool]] = {
    "HFS": (False, False, False),
    "HFP": (False, True, True),
    "FFS": (False, False, True),
    "FFP": (False, True, False),
    "HFDR": (True, True, False),
    "HFDL": (True, False, True),
    "FFDR": (True, True, True),
    "FFDL": (True, False, False),
}


def stored_pixels(dataset: Dataset) -> NDArray[np.int32]:
    """Read the stored values of an uncompressed single frame, ``(rows, columns)``."""
    kind = "<i2" if dataset.PixelRepresentation else "<u2"
    flat = np.frombuffer(dataset.PixelData, kind).astype(np.int32)
    return flat.reshape(-1, dataset.Rows, dataset.Columns).squeeze(0)


def with_values(datasets: Iterable[Dataset], **values: object) -> list[Dataset]:
    """Set attributes by keyword; None deletes the attribute."""
    changed = []
    for dataset in datasets:
        copy = copied(dataset)
        for keyword, value in values.items():
            if value is None:
                copy.pop(keyword, None)
            else:
                setattr(copy, keyword, value)
        changed.append(copy)
    return changed


def without(datasets: Sequence[Dataset], indices: Collection[int]) -> list[Dataset]:
    """Leave out the instances at these places."""
    return [dataset for index, dataset in enumerate(datasets) if index not in indices]


def doubled(datasets: Sequence[Dataset], index: int, *, acquisition: int = 2) -> list[Dataset]:
    """Add a second instance at the position of one of them, of a later acquisition."""
    twin = copied(datasets[index])
    twin.SOPInstanceUID = UID(f"2.25.{int(str(twin.SOPInstanceUID)[5:]) ^ acquisition}")
    twin.file_meta.MediaStorageSOPInstanceUID = twin.SOPInstanceUID
    twin.AcquisitionNumber = acquisition
    twin.InstanceNumber = len(datasets) + 1
    return [*datasets, twin]


def numbered_backwards(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Count the instances from the other end, as scanners that run head to feet do."""
    total = len(datasets)
    return [
        with_values([dataset], InstanceNumber=total - index)[0]
        for index, dataset in enumerate(datasets)
    ]


def turned(datasets: Sequence[Dataset], position: str) -> list[Dataset]:
    """Image the same patient in space in another Patient Position (PS3.3 C.7.3.1.1.2).

    Rows and columns are turned together with the orientation and the position, so that the
    same voxel stays at the same place in LPS.
    """
    transpose, rows_back, columns_back = POSITIONS[position]
    turned_ones = []
    for dataset in with_values(datasets, PatientPosition=position):
        image = stored_pixels(dataset)
        steps = _steps(dataset)
        corner = np.array(dataset.ImagePositionPatient, np.float64)
        if transpose:
            image, steps = image.T, steps[::-1]
        for axis, back in enumerate((rows_back, columns_back)):
            if back:
                corner = corner + steps[axis] * (image.shape[axis] - 1)
                image, steps = np.flip(image, axis), _negated(steps, axis)
        _place(dataset, corner, steps)
        set_pixels(dataset, image)
        turned_ones.append(dataset)
    return turned_ones


def _steps(dataset: Dataset) -> NDArray[np.float64]:
    """LPS mm from one row to the next, and from one column to the next, ``(2, 3)``."""
    orientation = np.array(dataset.ImageOrientationPatient, np.float64).reshape(2, 3)
    spacing = np.array(dataset.PixelSpacing, np.float64)
    steps: NDArray[np.float64] = orientation[::-1] * spacing[:, None]
    return steps


def _negated(steps: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    result = steps.copy()
    result[axis] *= -1
    return result


def _place(dataset: Dataset, corner: NDArray[np.float64], steps: NDArray[np.float64]) -> None:
    spacing = np.linalg.norm(steps, axis=1)
    directions = steps / spacing[:, None]
    dataset.PixelSpacing = decimals(spacing)
    dataset.ImageOrientationPatient = decimals([*directions[1], *directions[0]])
    dataset.ImagePositionPatient = decimals(corner)


def tilted(datasets: Sequence[Dataset], degrees: float) -> list[Dataset]:
    """Lean the gantry: images turn about their rows, the table still moves along z (sheared)."""
    angle = np.deg2rad(degrees)
    orientation = decimals([1, 0, 0, 0, np.cos(angle), np.sin(angle)])
    return with_values(
        datasets, ImageOrientationPatient=orientation, GantryDetectorTilt=f"{degrees:g}"
    )


def oblique(datasets: Sequence[Dataset], degrees: float) -> list[Dataset]:
    """Turn the whole stack about the x axis: no longer along z, but not sheared."""
    angle = np.deg2rad(degrees)
    turn = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    turned_ones = []
    for dataset in datasets:
        copy = copied(dataset)
        _place(copy, turn @ np.array(dataset.ImagePositionPatient, float), _steps(copy) @ turn.T)
        turned_ones.append(copy)
    return turned_ones


def rescaled(datasets: Sequence[Dataset], slope: float, intercept: float) -> list[Dataset]:
    """Store the same Hounsfield units with another slope and intercept, rounded to fit."""
    rescaled_ones = []
    for dataset in datasets:
        copy = copied(dataset)
        hu = stored_pixels(dataset) * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
        copy.RescaleSlope, copy.RescaleIntercept = f"{slope:g}", f"{intercept:g}"
        set_pixels(copy, np.rint((hu - intercept) / slope).astype(np.int32), bits=16)
        rescaled_ones.append(copy)
    return rescaled_ones


def padded(datasets: Sequence[Dataset], value: int = -2000) -> list[Dataset]:
    """Give everything outside the round field of view the Pixel Padding Value (signed)."""
    padded_ones = []
    for dataset in datasets:
        copy = copied(dataset)
        hu = stored_pixels(dataset) + int(dataset.RescaleIntercept)
        row, column = np.ogrid[: hu.shape[0], : hu.shape[1]]
        middle = (hu.shape[0] - 1) / 2, (hu.shape[1] - 1) / 2
        away = np.hypot(row - middle[0], column - middle[1])
        hu[away > min(hu.shape) / 2] = value
        copy.RescaleIntercept = "0"
        set_pixels(copy, hu)
        copy.add_new("PixelPaddingValue", "SS", value)
        padded_ones.append(copy)
    return padded_ones
