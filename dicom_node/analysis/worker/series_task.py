"""Analyse one series, from its files to encoded results: the task that a worker runs.

Everything here is pure but for reading the source files. The worker knows no database and no
network; what it returns is kept by the node.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.config import disable_value_validation

from dicom_node.analysis.configuration import software_versions
from dicom_node.analysis.fetch.access import file_at_hand, files_are_fetched, files_at_hand
from dicom_node.analysis.worker.encoding import context_of, pack, with_compressed_pixels
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.findings import findings_of, read_series
from dicom_node.analysis.worker.inputs import OTHER_METHOD, inputs_of, source_digest
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisConfig,
    AnalysisRequest,
    AnalysisResult,
    EncodedObject,
    Unchanged,
    Unsuitable,
    occasion,
)
from dicom_node.analysis.worker.models import folder_of
from dicom_node.analysis.worker.stopwatch import Progress, Stopwatch
from dicom_node.errors import AlteredFile, CannotRepeat
from pipeline.encode.result.identity import result_key, stands
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultBundle, ResultObject
from pipeline.errors import PipelineError, UnsuitableSeries
from pipeline.model.manifest import read_manifest
from pipeline.options import METHOD
from pipeline.series.attributes import scanner_of
from pipeline.series.selection import select
from pipeline.side_by_side import both

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.types import Analysis, CtSeries

HandOver = Callable[[Analysed], None]
Keep = Callable[[], bytes]

PACKING = 2  #: objects that are packed at a time: compressing leaves the interpreter free


def keep_back(_: Analysed) -> None:
    """Hand over nothing before the end."""


@as_analysis_fault
def run(request: AnalysisRequest, hand_over: HandOver = keep_back) -> AnalysisResult:
    """Make the results of one series, unless nothing has changed since the latest.

    They name the software that made them, which is the worker's. Raises as `results_of`; what
    nobody foresaw as `dicom_node.errors.AnalysisFault`.

    Parameters
    ----------
    hand_over
        Takes the objects that come first, while the others are encoded; the result has them again.
    """
    request = replace(request, config=with_own_software(request.config))
    inputs = inputs_of(request)
    if stands(inputs, request.earlier):
        return Unchanged()
    if request.begun is not None and not is_readable(request.begun.kept):
        request = replace(request, begun=None)
    return results_of(as_begun(request, inputs), hand_over=hand_over)


def as_begun(request: AnalysisRequest, inputs: str) -> AnalysisRequest:
    """Ask for the result that was begun, if it is of these inputs; else for a new one."""
    begun = request.begun
    if begun is None or result_key(inputs, occasion(begun.created, begun.draw)) != begun.key:
        return request
    return replace(
        request,
        created=begun.created,
        draw=begun.draw,
        revision=begun.revision,
        predecessor=begun.predecessor,
        superseded=begun.superseded,
        rejections=begun.rejections,
        kept=begun.kept,
    )


def is_readable(kept: Path) -> bool:
    """Say whether a kept analysis can be read, arrays and all."""
    from pipeline.analysis_file import read

    try:
        with file_at_hand(kept) as path:
            read(path)
    except (OSError, PipelineError, AlteredFile):
        return False
    return True


def with_own_software(config: AnalysisConfig) -> AnalysisConfig:
    """State the version of the software that is installed here."""
    own = software_versions(config.model.version)
    return replace(config, equipment=replace(config.equipment, software_versions=own))


def results_of(
    request: AnalysisRequest,
    progress: Progress = lambda stage, share: None,
    hand_over: HandOver = keep_back,
) -> Analysed | Unsuitable:
    """Read, select, analyse and encode one series; or encode the kept analysis once more.

    Raises
    ------
    pipeline.errors.ModelError
        If the model is not installed here, or its weights are altered.
    OutOfMemory
        If memory does not suffice, even for one slice at a time on the CPU.
    CannotRepeat
        If the kept analysis is of another model or method, or of other instances.
    OSError
        If a source file cannot be read.
    NotFetched, AlteredFile
        If one cannot be fetched, or is not the one that the node keeps.
    """
    watch = Stopwatch(progress)
    try:  # sources are taken as they are; complaints quote them
        with disable_value_validation(), files_at_hand(request.files) as files:
            if files_are_fetched():
                watch.lap("fetch")
            return _analysed(replace(request, files=files), watch, hand_over)
    except UnsuitableSeries as reason:
        return Unsuitable(code=reason.code, text=reason.text)


def _analysed(request: AnalysisRequest, watch: Stopwatch, hand_over: HandOver) -> Analysed:
    from pipeline.completeness import with_proof
    from pipeline.decision import decide

    if request.kept is None:
        series, undecided, keep = _analyse(request, watch)
    else:
        series = read_series(request.images, select, watch)
        undecided, kept = _read_kept(request, request.kept)
        watch.lap("analyse")

        def keep() -> bytes:
            return kept

    manifest, _ = read_manifest(folder_of(request.config.model))
    watch.progress("encode", 0.0)
    scanner = scanner_of(series.common.header)
    analysis = decide(undecided, request.config.options, manifest, scanner)
    series = with_proof(series, request.closed_by)
    return encode_decided(request, series, analysis, keep, watch, hand_over)


def _analyse(request: AnalysisRequest, watch: Stopwatch) -> tuple[CtSeries, Analysis, Keep]:
    """Find what there is in a series, unless that was done; give it undecided, and its bytes."""
    from pipeline.analysis_file import to_bytes

    found = findings_of(request.images, watch.progress)
    for step, seconds in found.seconds.items():
        watch.add(step, seconds)
    watch.skip()
    keep = partial(to_bytes, found.undecided, source_digest(request), METHOD)
    return found.series, found.undecided, keep


def _read_kept(request: AnalysisRequest, path: Path) -> tuple[Analysis, bytes]:
    """Read the kept analysis, if it is of this model and method, and of these instances."""
    from pipeline.analysis_file import read, read_values

    with file_at_hand(path) as here:
        kept = here.read_bytes()
    undecided, source = read(BytesIO(kept))
    if undecided.provenance.weights_sha256 != request.config.model.sha256:
        raise CannotRepeat("the kept analysis is of another model: reprocess it")
    if read_values(BytesIO(kept)).method != METHOD:
        raise CannotRepeat(OTHER_METHOD)
    if source != source_digest(request):
        raise CannotRepeat("the kept analysis is of other instances: reprocess it")
    return undecided, kept


def encode_decided(
    request: AnalysisRequest,
    series: CtSeries,
    analysis: Analysis,
    keep: Keep,
    watch: Stopwatch,
    hand_over: HandOver = keep_back,
) -> Analysed:
    """Encode a decided analysis, and pack it into files; hand over what comes first at once.

    Parameters
    ----------
    keep
        Gives the undecided analysis as the bytes that are kept; called beside the encoding.
    """
    from pipeline.encode.bundle import check_others, encode_first, make_others, summary
    from pipeline.encode.sr.rejection_note import rejection_note

    inputs = inputs_of(request)
    key = result_key(inputs, request.occasion)
    context = context_of(request, key)

    first, kept = both(partial(encode_first, series, analysis, context), keep)
    watch.lap("encode")
    watch.progress("pack", 0.9)
    analysed = Analysed(
        key=key,
        inputs=inputs,
        score=analysis.classification.score,
        positive=analysis.classification.decided,
        model=f"{analysis.provenance.model_name} {analysis.provenance.model_version}",
        summary=json.loads(json.dumps(summary(series, analysis, request.priors))),
        objects=packed(first),
        seconds=watch.laps,
        kept=kept,
        priors=len(request.priors),
        occasion=request.occasion,
    )
    watch.lap("pack")
    hand_over(analysed)
    watch.progress("encode", 0.9)
    with ThreadPoolExecutor(PACKING, thread_name_prefix="pack") as pool:
        made = [
            pool.submit(with_compressed_pixels, item)
            for item in make_others(series, analysis, context)
        ]
    others = check_others([item.result() for item in made], series, first)
    notes = [
        (rejection_note(series.common.header, rejection, context, number), rejection.destination)
        for number, rejection in enumerate(request.rejections, start=1)
    ]
    watch.lap("encode")
    watch.progress("pack", 0.9)
    objects = (
        *analysed.objects,
        *packed(others),
        *(
            pack(ResultObject(kind=ResultKind.REJECTION_NOTE, dataset=note), destination)
            for note, destination in notes
        ),
    )
    watch.lap("pack")
    return replace(analysed, objects=objects)


def packed(bundle: ResultBundle) -> tuple[EncodedObject, ...]:
    """Make Part 10 files of a bundle, several at a time."""
    with ThreadPoolExecutor(PACKING, thread_name_prefix="pack") as pool:
        return tuple(pool.map(pack, bundle.objects))
