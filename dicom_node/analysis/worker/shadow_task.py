"""Analyse a series by a second model, beside a result that has left: nothing is encoded.

The node may stop it at any time, and it makes way by itself where another task waits for its
worker, of any node: it ends with the step that is under way.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from pydicom.config import disable_value_validation

from dicom_node.analysis.configuration import software_version
from dicom_node.analysis.engine.waiting import is_waited_for
from dicom_node.analysis.fetch.access import file_at_hand, files_at_hand
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.findings import find_in
from dicom_node.analysis.worker.messages import Shadowed, ShadowRequest, Stopped, Unsuitable
from dicom_node.analysis.worker.models import folder_of
from dicom_node.errors import AlteredFile
from pipeline.encode.result.identity import inputs_digest
from pipeline.errors import PipelineError, UnsuitableSeries
from pipeline.model.manifest import read_manifest
from pipeline.options import METHOD

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.types import Analysis, CtSeries, LungMask

_stopped: deque[str] = deque(maxlen=100)  #: names of tasks of this process


class _MakesWay(Exception):  # no error: somebody waits for the worker
    """The task was stopped."""


def stop(task: str) -> None:
    """Have a task of this process end with its next step, by its name."""
    _stopped.append(task)


@as_analysis_fault
def find_in_shadow(request: ShadowRequest) -> Shadowed | Unsuitable | Stopped:
    """Find what a second model finds in a series.

    Raises
    ------
    pipeline.errors.ModelError
        If the model is not installed here, or its weights are altered.
    OutOfMemory
        If memory does not suffice, even for one slice at a time on the CPU.
    OSError
        If a source file cannot be read.
    NotFetched, AlteredFile
        If one cannot be fetched, or is not the one that the node keeps.
    """

    def go_on(_: str = "", __: float = 0.0) -> None:
        if request.task in _stopped or is_waited_for():
            raise _MakesWay

    kept = _kept(request)
    lungs = _same_lungs(request, kept)
    try:
        go_on()
        with disable_value_validation(), files_at_hand(request.images.files) as files:
            images = replace(request.images, files=files)
            found = find_in(images, go_on, lambda series: _fitting(lungs, series))
    except _MakesWay:
        return Stopped()
    except UnsuitableSeries as reason:
        return Unsuitable(code=reason.code, text=reason.text)
    return Shadowed(
        score=found.undecided.classification.score,
        opacities_ml=_opacities_ml(found.undecided),
        lungs_ml=found.undecided.involvement.total_ml,
        opacities_of_result_ml=_opacities_ml(kept) if kept is not None else None,
        lungs_of_result_ml=kept.involvement.total_ml if kept is not None else None,
        software=software_version(),
        seconds=round(sum(found.seconds.values()), 3),
        reused_lungs=_fitting(lungs, found.series) is not None,
    )


def _opacities_ml(found: Analysis) -> float:
    """Sum the volumes of all opacities, reported or not."""
    return sum(lesion.volume_ml for lesion in found.lesions)


def _kept(request: ShadowRequest) -> Analysis | None:
    """Read the analysis of the result; None if it is not of these images, model and method."""
    from pipeline.analysis_file import read, read_values

    instances = [(file.sop_instance_uid, file.digest) for file in request.images.files]
    source = inputs_digest(request.series_instance_uid, instances, "", {})
    try:
        with file_at_hand(request.kept) as path:
            values = read_values(path)
            found, _ = read(path)
    except (OSError, PipelineError, AlteredFile):
        return None
    is_of_these = values.source == source and values.method == METHOD
    made_by = values.provenance.weights_sha256
    return found if is_of_these and made_by == request.first.sha256 else None


def _same_lungs(request: ShadowRequest, kept: Analysis | None) -> LungMask | None:
    """Give the lungs of the result, if both models have the same network for them."""
    if kept is None:
        return None
    first, _ = read_manifest(folder_of(request.first))
    second, _ = read_manifest(folder_of(request.images.model))
    return kept.lungs if first.networks.lungs == second.networks.lungs else None


def _fitting(lungs: LungMask | None, series: CtSeries) -> LungMask | None:
    """Give lungs that lie on the grid of a series, else None."""
    fits = lungs is not None and lungs.labels.shape == series.volume.shape
    return lungs if fits else None
