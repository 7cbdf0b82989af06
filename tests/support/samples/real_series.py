"""Shared real series, read by SimpleITK alone; they are not part of this repository."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray

from tests.support.paths import DATA


def real_series(name: str) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """Hounsfield units (slices from the feet, rows, columns) and spacing (the same axes, mm)."""
    folder = DATA / "ct" / name
    if not folder.is_dir():
        pytest.skip(f"no shared real series {name}: set DICOM_NODE_TEST_DATA")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = sitk.DICOMOrient(reader.Execute(), "LPS")
    hu = np.clip(sitk.GetArrayFromImage(image), -1024, 3071).astype(np.int16)
    x, y, z = image.GetSpacing()
    return hu, (z, y, x)
