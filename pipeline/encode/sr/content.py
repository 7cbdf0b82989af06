"""Content items that groups of the report share: sites, outlines, comments, the algorithm."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import highdicom.sr as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from pipeline.encode.common import sentences
from pipeline.encode.result import codes
from pipeline.encode.result.identity import Equipment
from pipeline.encode.source.outline import joined, outline
from pipeline.encode.source.source_slices import SourceSlice
from pipeline.lobar_extent import Lobe
from pipeline.types import Analysis, Side

POLYLINE = hd.GraphicTypeValues.POLYLINE


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlined:
    """Mask ``(rows, columns)`` of a finding on one slice; the report has its outline."""

    item: SourceSlice
    mask: NDArray[np.bool_]


def lung_site(side: Side | None) -> hd.FindingSite:
    """Return the finding site: one lung, or both without a side.

    The side is in the code and in its laterality, as readers show one or the other.
    """
    if side is None:
        return hd.FindingSite(codes.LUNG)
    return hd.FindingSite(codes.LUNG_OF[side], laterality=codes.LATERALITY[side])


def lobe_site(lobe: Lobe) -> hd.FindingSite:
    """Return the finding site of a lobe, with its side as that of a lung."""
    code, side = {
        Lobe.RIGHT_UPPER: (codes.UPPER_LOBE, Side.RIGHT),
        Lobe.RIGHT_MIDDLE: (codes.MIDDLE_LOBE, Side.RIGHT),
        Lobe.RIGHT_LOWER: (codes.LOWER_LOBE, Side.RIGHT),
        Lobe.LEFT_UPPER: (codes.UPPER_LOBE, Side.LEFT),
        Lobe.LEFT_LOWER: (codes.LOWER_LOBE, Side.LEFT),
    }[lobe]
    return hd.FindingSite(code, laterality=codes.LATERALITY[side])


def image_region(outlined: Outlined) -> hd.ImageRegion:
    """Region of a group: the outline of a mask on its slice (TID 1411 row 5)."""
    return hd.ImageRegion(POLYLINE, outline(outlined.mask), _image(outlined.item))


def coordinates(*outlined: Outlined) -> hd.CoordinatesForMeasurement:
    """Coordinates that a measurement is inferred from: the outlines on one slice (TID 320).

    They are one line: OHIF 3.13 draws the first coordinates of a measurement only.
    """
    points = joined(*(outline(item.mask) for item in outlined))
    return hd.CoordinatesForMeasurement(POLYLINE, points, _image(outlined[0].item))


def illustration(item: SourceSlice) -> hd.ImageContentItem:
    """Image that shows a region best (TID 1411 row 13)."""
    return hd.ImageContentItem(
        codes.ILLUSTRATION_OF_ROI,
        item.frame.sop_class_uid,
        item.frame.sop_instance_uid,
        referenced_frame_numbers=item.frame.frame_number,
        relationship_type=hd.RelationshipTypeValues.CONTAINS,
    )


def enclosed_area(outlined: Outlined) -> float:
    """Area inside the outline of a mask, square pixels."""
    x, y = outline(outlined.mask).T
    return float(abs(x[:-1] @ y[1:] - x[1:] @ y[:-1])) / 2


def write_whole(number: Dataset) -> None:
    """Write a count as a whole number: highdicom writes ``512.0``."""
    value = number.MeasuredValueSequence[0]
    value.NumericValue = str(int(value.NumericValue))


def insert_comments(group: hd.ContentSequence, lines: Iterable[str]) -> None:
    """Put the numbers of a group in words before them.

    OHIF 3.13 writes the comments beside the outline, and only those numbers that have coordinates:
    with two decimals, and nothing for zero. The templates of the groups are extensible.
    """
    content = group[0].ContentSequence
    place = next(number for number, item in enumerate(content) if item.ValueType == "NUM")
    for line in reversed(tuple(lines)):
        comment = hd.TextContentItem(codes.COMMENT, line, hd.RelationshipTypeValues.CONTAINS)
        content.insert(place, comment)


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
