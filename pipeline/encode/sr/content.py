"""Content items that groups of the report share: finding sites, outlines, and the algorithm."""

from __future__ import annotations

from collections.abc import Iterable

import highdicom.sr as hd
import numpy as np
from numpy.typing import NDArray

from pipeline.encode.common import sentences
from pipeline.encode.result import codes
from pipeline.encode.result.identity import Equipment
from pipeline.encode.source.outline import outline
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.types import Analysis, Side

POLYLINE = hd.GraphicTypeValues.POLYLINE


def lung_site(side: Side | None) -> hd.FindingSite:
    """Return the finding site: one lung, or both without a side."""
    laterality = None if side is None else codes.LATERALITY[side]
    return hd.FindingSite(codes.LUNG, laterality=laterality)


def image_region(item: SourceSlice, mask: NDArray[np.bool_]) -> hd.ImageRegion:
    """Region of a group: the outline of a mask ``(rows, columns)`` on its slice (TID 1410)."""
    return hd.ImageRegion(POLYLINE, outline(mask), _image(item))


def coordinates(item: SourceSlice, mask: NDArray[np.bool_]) -> hd.CoordinatesForMeasurement:
    """Coordinates that a measurement is inferred from: the same outline (TID 320)."""
    return hd.CoordinatesForMeasurement(POLYLINE, outline(mask), _image(item))


def area(region: hd.ImageRegion) -> float:
    """Area inside the closed outline of a region, square pixels."""
    x, y = np.asarray(region.value, dtype=np.float64).T
    return float(abs(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2


def _image(item: SourceSlice) -> hd.SourceImageForRegion:
    number = item.frame.frame_number
    return hd.SourceImageForRegion(
        item.frame.sop_class_uid,
        item.frame.sop_instance_uid,
        referenced_frame_numbers=None if number is None else [number],
    )


def algorithm_identification(
    equipment: Equipment, parameters: Iterable[str] = ()
) -> hd.AlgorithmIdentification:
    """TID 4019; name, version and manufacturer equal to Contributing Equipment (IHE AIR)."""
    return hd.AlgorithmIdentification(
        name=equipment.model_name,
        version=equipment.software_versions,
        manufacturer=equipment.manufacturer,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=list(parameters) or None,
    )


def algorithm_parameters(analysis: Analysis) -> tuple[str, ...]:
    """Parameters as ``name=value``: model, checksum, threshold in use, and settings."""
    provenance, classification = analysis.provenance, analysis.classification
    settings = {**provenance.parameters, "threshold": repr(classification.threshold)}
    stated = {
        "model": sentences.model_line(provenance),
        "manifest-sha256": provenance.weights_sha256,
        "software": provenance.software_version,
        "operating-point": classification.operating_point,
        **dict(sorted(settings.items())),
    }
    return tuple(sentences.ascii_text(f"{name}={value}") for name, value in stated.items())
