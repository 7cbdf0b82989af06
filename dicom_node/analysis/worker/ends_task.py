"""Look at a few slices of a series that is being received: the task that a worker runs for it.

Whoever may send may write anything into pixel data: only a worker, which may die of it, decodes it.
The node itself imports this module, and none of what decodes.
"""

from __future__ import annotations

from dataclasses import replace

from pydicom.config import disable_value_validation

from dicom_node.analysis.fetch.access import files_at_hand
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.messages import EndsRequest, EndsSeen, SourceFile
from dicom_node.analysis.worker.source_files import parsing, read_instance, require_room
from pipeline.errors import UnsuitableSeries


@as_analysis_fault
def look_at_ends(request: EndsRequest) -> EndsSeen:
    """Tell whether a stack begins and ends outside the lungs; not where it cannot be read.

    Raises
    ------
    OSError
        If a file cannot be read.
    """
    from pipeline.scan_quality.lung_ends import ends_outside_lungs

    try:
        with files_at_hand(request.files) as files:
            with parsing():
                require_room(replace(request, files=files))
            with disable_value_validation():
                shares = [_share(file) for file in files]
    except UnsuitableSeries:
        return EndsSeen(outside=False)
    return EndsSeen(outside=ends_outside_lungs(shares))


def _share(file: SourceFile) -> float:
    import numpy as np

    from pipeline.scan_quality.lung_ends import gas_share
    from pipeline.series.frames import frames_of
    from pipeline.series.hounsfield import to_hounsfield
    from pipeline.series.pixel_data.decode import decode_frame, encoded_frames
    from pipeline.series.pixel_data.layout import PixelLayout

    dataset = read_instance(file.path)
    with parsing():
        frame = next(frames_of(dataset))
        layout = PixelLayout.of(dataset)
        hu = np.empty((layout.rows, layout.columns), np.int16)
        decode_frame(encoded_frames(dataset, layout)[0], layout, hu)
        to_hounsfield(hu, frame.rescale, signed=layout.signed)
    return gas_share(hu)
