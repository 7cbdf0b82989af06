"""Result objects that a site wants, and their forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from pipeline.encode.language.languages import Language

DEFAULT_HEATMAP_COLUMNS = 256
"""148 slices: 29 MB instead of 116 MB; the activation itself is coarser than that."""

DEFAULT_HEATMAP_STEP_MM = 4.0
"""The classifier sees planes 4 mm apart: slices between them add nothing to the activation."""

DEFAULT_PARAMETRIC_MAP_COLUMNS = 4096
"""No CT is wider: OHIF 3.13 shows a map on the pixels of its source only."""

COARSE_HEATMAP_COLUMNS = 128
COARSE_HEATMAP_STEP_MM = 8.0
COARSE_MAP_COLUMNS = 64
"""Of results that go to a destination uncompressed: 2 MB instead of 14 MB, and 0.6 instead of
155 MB. The classifier's features lie about 14 mm apart, and 8 mm along the body."""


class SegmentationForm(StrEnum):
    """Form of the segmentation of lungs and opacities."""

    BINARY = "binary"  #: one bit a voxel, segments may overlap; every viewer shows it
    LABELMAP = "labelmap"  #: one label a voxel (PS3.3 A.51, 2024); newer, less known
    NONE = "no"


class HeatmapForm(StrEnum):
    """Form of the heatmap."""

    SINGLE_FRAME = "single-frame"  #: one Secondary Capture a slice
    MULTI_FRAME = "multi-frame"  #: one multi-frame true colour Secondary Capture
    NONE = "no"


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Objects that are made beside the measurement report, which is always made.

    Attributes
    ----------
    empty_frames
        Whether the binary segmentation has frames without a voxel of their segment.
    heatmap_columns
        Wider heatmaps are reduced by a whole factor; their Pixel Spacing says so.
    heatmap_step_mm
        Distance of neighbouring slices of the heatmap at least, mm; 0 shows all that have lung.
    summary
        The summary page, as first series of the results.
    summary_pdf
        The same page as an encapsulated PDF.
    text_report
        A short report in sentences, for viewers that show no measurements, and for archives
        that refuse them.
    parametric_map
        The activation as numbers.
    parametric_map_columns
        Wider maps are reduced by a whole factor, and lie on the slices of the heatmap.
    coarse_if_uncompressed
        Whether heatmap and parametric map are coarse for destinations that take no compression.
    key_images
        A key object selection of the slices most taken by opacities.
    language
        Of the sentences in them.
    """

    segmentation: SegmentationForm = SegmentationForm.BINARY
    empty_frames: bool = False
    heatmap: HeatmapForm = HeatmapForm.SINGLE_FRAME
    heatmap_columns: int = DEFAULT_HEATMAP_COLUMNS
    heatmap_step_mm: float = DEFAULT_HEATMAP_STEP_MM
    summary: bool = True
    summary_pdf: bool = False
    text_report: bool = True
    parametric_map: bool = False
    parametric_map_columns: int = DEFAULT_PARAMETRIC_MAP_COLUMNS
    coarse_if_uncompressed: bool = True
    key_images: bool = False
    language: Language = Language.ENGLISH

    def __post_init__(self) -> None:
        if self.heatmap_columns < 1:
            raise ValueError(f"heatmap_columns must be >= 1, got {self.heatmap_columns}")

    def as_parameters(self) -> Mapping[str, str]:
        """Options by name, for the result key: other objects make another result."""
        return {name.replace("_", " "): str(value) for name, value in asdict(self).items()}

    def coarse(self) -> Products:
        """Return the same objects with pictures and maps of few bytes."""
        return replace(
            self,
            heatmap_columns=min(self.heatmap_columns, COARSE_HEATMAP_COLUMNS),
            heatmap_step_mm=max(self.heatmap_step_mm, COARSE_HEATMAP_STEP_MM),
            parametric_map_columns=min(self.parametric_map_columns, COARSE_MAP_COLUMNS),
        )
