"""Read a CT from disk for training or evaluation: a folder of DICOM files, or a NIfTI file.

Messages name no file, since its name may be a patient's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own manual names it so)
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from pipeline.errors import PipelineError
from pipeline.series.orientation import canonical
from pipeline.series.volume import assemble
from pipeline.types import CtVolume

NIFTI = (".nii", ".nii.gz")
SAME_PLACE = 0.5  #: of a voxel: grids whose corners are closer than that are the same


def read_volume(path: Path) -> CtVolume:
    """Read a CT in canonical orientation.

    Returns
    -------
    CtVolume
        Slices feet to head, rows to the back, columns to the patient's left. One read from NIfTI
        has no sources.

    Raises
    ------
    PipelineError
        If there is no CT there, or none of regular geometry.
    """
    return canonical(_from_nifti(path) if path.name.endswith(NIFTI) else _from_dicom(path))


def read_mask(path: Path, like: CtVolume) -> NDArray[np.uint8]:
    """Read a NIfTI mask on the grid of a canonical volume.

    Raises
    ------
    PipelineError
        If its shape is not that of the volume, or it lies elsewhere.
    """
    array, affine = _canonical_nifti(path)
    if array.shape != like.shape:
        raise PipelineError(f"a mask of {like.shape} voxels expected, got {array.shape}")
    apart = float(np.abs(_corners(affine, like.shape) - _corners(like.affine, like.shape)).max())
    if apart > SAME_PLACE * min(like.spacing_mm):
        raise PipelineError(
            f"a mask in the place of its CT expected, got one whose corners lie {apart:.1f} mm off"
        )
    return np.clip(np.rint(array), 0, 255).astype(np.uint8)


def _corners(affine: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Where the eight outermost voxels of a grid lie, ``(8, 3)`` mm."""
    ends = [(0, count - 1) for count in shape]
    index = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    corners: NDArray[np.float64] = index @ affine[:3, :3].T + affine[:3, 3]
    return corners


def _from_dicom(folder: Path) -> CtVolume:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    datasets = []
    for file in files:
        try:
            datasets.append(dcmread(file))
        except InvalidDicomError:  # a note, a DICOMDIR of another kind
            continue
    if not datasets:
        raise PipelineError("a folder with DICOM files expected, got none in it")
    return assemble(datasets).volume


def _from_nifti(path: Path) -> CtVolume:
    array, affine = _canonical_nifti(path)
    hu = np.clip(np.rint(array), -32768, 32767).astype(np.int16)
    return CtVolume(hu=hu, affine=affine, frame_of_reference_uid="", source=(None,) * len(hu))


def _canonical_nifti(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Array ``(slices, rows, columns)`` with axes along LPS, and its affine to LPS mm."""
    try:
        image = sitk.DICOMOrient(sitk.ReadImage(str(path), sitk.sitkFloat32), "LPS")
    except RuntimeError as exc:
        raise PipelineError("a NIfTI image of 3 dimensions expected, got none") from exc
    direction = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3] = direction[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image), affine
