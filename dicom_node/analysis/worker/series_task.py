"""Analyse one series, from its files to encoded results: the task that a worker runs.

Everything here is pure but for reading the source files. The worker knows no database and no
network; what it returns is kept by the node.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.config import disable_value_validation

from dicom_node.analysis.configuration import software_versions
from dicom_node.analysis.worker.encoding import context_of, pack
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.inputs import inputs_of, source_digest
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisConfig,
    AnalysisRequest,
    AnalysisResult,
    Unchanged,
    Unsuitable,
)
from dicom_node.analysis.worker.models import Device, folder_of, load_models
from dicom_node.analysis.worker.source_files import read_instance, require_room
from dicom_node.clock_watch import utc_now
from dicom_node.errors import CannotRepeat
from pipeline.encode.result.identity import result_key, stands
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultObject
from pipeline.errors import UnsuitableSeries
from pipeline.model.manifest import read_manifest
from pipeline.series.eligibility import why_not

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.types import Analysis, CtSeries

Progress = Callable[[str, float], None]

PACKING = 2  #: objects that are packed at a time: compressing leaves the interpreter free


@as_analysis_fault
def run(request: AnalysisRequest) -> AnalysisResult:
    """Make the results of one series, unless nothing has changed since the latest.

    They name the software that made them, which is the worker's. Raises as `results_of`; what
    nobody foresaw as `dicom_node.errors.AnalysisFault`.
    """
    request = replace(request, config=with_own_software(request.config))
    unchanged = stands(inputs_of(request), request.earlier)
    return Unchanged() if unchanged else results_of(request)


def with_own_software(config: AnalysisConfig) -> AnalysisConfig:
    """State the version of the software that is installed here."""
    own = software_versions(config.model.version)
    return replace(config, equipment=replace(config.equipment, software_versions=own))


def results_of(
    request: AnalysisRequest, progress: Progress = lambda stage, share: None
) -> Analysed | Unsuitable:
    """Read, select, analyse and encode one series; or encode the kept analysis once more.

    Raises
    ------
    pipeline.errors.ModelError
        If the model is not installed here, or its weights are altered.
    OutOfMemory
        If memory does not suffice, even for one slice at a time on the CPU.
    CannotRepeat
        If the kept analysis is of another model, or of other instances.
    OSError
        If a source file cannot be read.
    """
    try:
        with disable_value_validation():  # sources are taken as they are; complaints quote them
            return _analysed(request, progress)
    except UnsuitableSeries as reason:
        return Unsuitable(code=reason.code, text=reason.text)


def _analysed(request: AnalysisRequest, progress: Progress) -> Analysed:
    from pipeline.completeness import with_proof
    from pipeline.decision import decide
    from pipeline.series.volume import assemble

    config, watch = request.config, Stopwatch(progress)
    progress("read", 0.0)
    require_room(request)
    datasets = [read_instance(file.path) for file in request.files]
    progress("select", 0.0)
    if request.kept is None and (reason := why_not(datasets, config.rules)):
        raise UnsuitableSeries(reason.code, reason.text)
    watch.lap("read")
    progress("assemble", 0.0)
    series = with_proof(assemble(datasets, config.rules), request.closed_by)
    del datasets
    watch.lap("assemble")
    manifest, _ = read_manifest(folder_of(config.model))
    undecided, kept = (
        _analyse(request, series, progress)
        if request.kept is None
        else _read_kept(request, request.kept)
    )
    watch.lap("analyse")
    progress("encode", 0.0)
    analysis = decide(undecided, config.options, manifest)
    return encode_decided(request, inputs_of(request), series, analysis, kept, watch)


def _analyse(
    request: AnalysisRequest, series: CtSeries, progress: Progress
) -> tuple[Analysis, bytes]:
    """Analyse; return the undecided analysis, also as bytes."""
    from pipeline.analyse import find
    from pipeline.analysis_file import to_bytes
    from pipeline.model.memory import first_that_fits

    def analyse_on(device: Device, slices_at_once: int) -> Analysis:
        config = replace(request.config, device=device)
        models = replace(load_models(config), slices_at_once=slices_at_once)
        return find(series, models, config.options, progress, utc_now)

    attempts = frugality(request.config.device, request.attempt)
    undecided = first_that_fits(
        partial(analyse_on, device, slices_at_once) for device, slices_at_once in attempts
    )
    progress("keep", 1.0)
    return undecided, to_bytes(undecided, source_digest(request))


def frugality(device: Device, attempt: int) -> Sequence[tuple[Device, int]]:
    """Devices, and slices at a time (0 for what suits it), from the most memory to the least.

    A worker that the system killed for its memory cannot say so; so each further attempt begins
    further down.
    """
    ways: tuple[tuple[Device, int], ...] = ((device, 0), (device, 1), ("cpu", 1))
    return ways[min(attempt, len(ways)) - 1 :]


def _read_kept(request: AnalysisRequest, path: Path) -> tuple[Analysis, bytes]:
    """Read the kept analysis, if it is of this model and of these instances."""
    from pipeline.analysis_file import read

    kept = path.read_bytes()
    undecided, source = read(BytesIO(kept))
    if undecided.provenance.weights_sha256 != request.config.model.sha256:
        raise CannotRepeat("the kept analysis is of another model: reprocess it")
    if source != source_digest(request):
        raise CannotRepeat("the kept analysis is of other instances: reprocess it")
    return undecided, kept


def encode_decided(
    request: AnalysisRequest,
    inputs: str,
    series: CtSeries,
    analysis: Analysis,
    kept: bytes,
    watch: Stopwatch,
) -> Analysed:
    """Encode a decided analysis, and pack it into files."""
    from pipeline.encode.bundle import encode, summary
    from pipeline.encode.sr.rejection_note import rejection_note

    key = result_key(inputs, request.occasion)
    context = context_of(request, key)
    bundle = encode(series, analysis, context)
    notes = [
        (rejection_note(series.common.header, rejection, context, number), rejection.destination)
        for number, rejection in enumerate(request.rejections, start=1)
    ]
    watch.lap("encode")
    watch.progress("pack", 0.9)
    with ThreadPoolExecutor(PACKING, thread_name_prefix="pack") as pool:
        packed = tuple(pool.map(pack, bundle.objects))
    objects = (
        *packed,
        *(
            pack(ResultObject(kind=ResultKind.REJECTION_NOTE, dataset=note), destination)
            for note, destination in notes
        ),
    )
    watch.lap("pack")
    return Analysed(
        key=key,
        inputs=inputs,
        score=analysis.classification.score,
        positive=analysis.classification.positive,
        model=f"{analysis.provenance.model_name} {analysis.provenance.model_version}",
        summary=json.loads(json.dumps(summary(series, analysis, request.priors))),
        objects=objects,
        seconds=watch.laps,
        kept=kept,
        priors=len(request.priors),
    )


class Stopwatch:
    """Seconds between one lap and the next, and whom to tell of the stages."""

    def __init__(self, progress: Progress = lambda stage, share: None) -> None:
        self.progress = progress
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap under a name."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
