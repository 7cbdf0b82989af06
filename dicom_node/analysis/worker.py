"""Analyse one series, from its files to encoded results: the task that a worker runs.

Everything here is pure but for reading the source files. The worker knows no database and no
network; what it returns is kept by the node.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydicom import Dataset, dcmread
from pydicom.config import disable_value_validation
from pydicom.datadict import keyword_dict

from dicom_node.analysis.configuration import software_versions
from dicom_node.analysis.worker_faults import as_analysis_fault
from dicom_node.analysis.worker_messages import (
    Analysed,
    AnalysisConfig,
    AnalysisRequest,
    AnalysisResult,
    EncodedObject,
    ModelReference,
    NoticeRequest,
    Unchanged,
    Unsuitable,
)
from dicom_node.clock_watch import utc_now
from dicom_node.errors import CannotRepeat, NoNotice
from dicom_node.network.bounded_header import HeaderTooLong, data_set_bytes, read_attributes
from pipeline.encode.result.context import ResultContext
from pipeline.encode.result.identity import inputs_digest, result_key, stands
from pipeline.encode.result.kinds import ResultKind
from pipeline.encode.result.result_objects import ResultObject
from pipeline.encode.result.series_numbers import ResultNumbering
from pipeline.errors import UnsuitableSeries
from pipeline.model.installed import installed_model
from pipeline.model.manifest import read_manifest
from pipeline.reasons import UnsuitableReason
from pipeline.series.common_header import (
    BY_FRAME,
    FILED_BY,
    ONE_PATIENT,
    ONE_STUDY,
    comparable,
)
from pipeline.series.eligibility import why_not

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.model.loading import Models
    from pipeline.types import Analysis, CtSeries

OF_THE_REQUEST = {
    "SOPClassUID": "MediaStorageSOPClassUID",
    "SOPInstanceUID": "MediaStorageSOPInstanceUID",
}
"""UIDs that some senders leave out of the data set, and where they are kept besides."""

MODELS = "DICOM_NODE_MODELS"
"""Environment variable of a worker: folders in which to look for models, separated as in PATH."""

EVIDENCE = ("SpecificCharacterSet", *OF_THE_REQUEST, *ONE_PATIENT, *ONE_STUDY)
"""Attributes that a notice needs of each instance but the first."""
HEADER_BYTES = 1 << 22  #: of an instance, for a notice; usual ones have ten thousand
INFLATED_BYTES = 64 << 20  #: accepted without a ratio check; a slice of 4096² has 32 MiB
MAX_INFLATION = 20  #: ratio beyond that; CT inflates to two or three times its length
SERIES_BYTES = 4 << 30  #: of all data sets, inflated; the largest volume has half of it

Progress = Callable[[str, float], None]
Device = Literal["auto", "cpu", "cuda"]


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
    from pipeline.decision import decide
    from pipeline.series.volume import assemble

    config, watch = request.config, Stopwatch()
    require_room(request)
    datasets = [read_instance(file.path) for file in request.files]
    if request.kept is None and (reason := why_not(datasets, config.rules)):
        raise UnsuitableSeries(reason.code, reason.text)
    watch.lap("read")
    progress("assemble", 0.0)
    series = assemble(datasets, config.rules)
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
    return _encode(request, inputs_of(request), series, analysis, kept, watch)


def require_room(request: AnalysisRequest) -> None:
    """Refuse a series whose data sets would fill the memory: pydicom inflates each at once.

    Raises
    ------
    UnsuitableSeries
        ``too-large``.
    """
    left = SERIES_BYTES
    for file in request.files:
        most = max(INFLATED_BYTES, MAX_INFLATION * file.path.stat().st_size)
        try:
            length = data_set_bytes(file.path, min(most, left))
        except zlib.error as fault:
            text = "a data set that can be inflated expected, got one that cannot"
            raise UnsuitableSeries(UnsuitableReason.PIXEL_DATA, text) from fault
        if length > most:
            text = f"a data set that inflates to {most} bytes at most expected, got more"
            raise UnsuitableSeries(UnsuitableReason.TOO_LARGE, text)
        left -= length
        if left < 0:
            text = f"data sets of {SERIES_BYTES} bytes at most together expected, got more"
            raise UnsuitableSeries(UnsuitableReason.TOO_LARGE, text)


def read_instance(path: Path) -> Dataset:
    """Read an instance; UIDs that its data set lacks are those it was sent under."""
    ds = dcmread(path)
    for keyword, of_meta in OF_THE_REQUEST.items():
        if not ds.get(keyword):
            setattr(ds, keyword, ds.file_meta.get(of_meta, ""))
    return ds


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


def _encode(
    request: AnalysisRequest,
    inputs: str,
    series: CtSeries,
    analysis: Analysis,
    kept: bytes,
    watch: Stopwatch,
) -> Analysed:
    """Encode a decided analysis, and pack it into files."""
    from pipeline.encode.bundle import encode, summary

    key = result_key(inputs, request.occasion)
    bundle = encode(series, analysis, context_of(request, key))
    watch.lap("encode")
    objects = tuple(map(_pack, bundle.objects))
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


@as_analysis_fault
def notice(request: NoticeRequest) -> EncodedObject:
    """Encode why a series was not analysed, from its headers alone, one at a time.

    Raises
    ------
    NoNotice
        If nobody knows where it would belong: the instances are of several patients or series, or
        a header cannot be read within `HEADER_BYTES`.
    dicom_node.errors.AnalysisFault
        For what nobody foresaw.
    """
    from pipeline.encode.sr.notice import not_analysed

    headers: list[Dataset] = []
    with disable_value_validation():
        for file in request.series.files:
            headers.append(_header(file.path, () if not headers else EVIDENCE))
        for keyword in FILED_BY:
            if len({comparable(header, keyword) for header in headers} - {""}) > 1:
                raise NoNotice("the instances are of several patients, studies or series")
        context = context_of(request.series, request.key)
        dataset = not_analysed(headers, request.code, request.text, context)
        return _pack(ResultObject(kind=ResultKind.NOTICE, dataset=dataset))


def _header(path: Path, keywords: Sequence[str]) -> Dataset:
    """Read attributes of an instance, all if none are named, but what comes by frame."""
    try:
        meta, ds = read_attributes(
            path,
            [keyword_dict[name] for name in keywords],
            until=BY_FRAME,
            maximum_bytes=HEADER_BYTES,
        )
    except HeaderTooLong as fault:
        raise NoNotice(f"a header is longer than {HEADER_BYTES} bytes") from fault
    ds.SOPClassUID = ds.get("SOPClassUID") or meta.sop_class_uid
    ds.SOPInstanceUID = ds.get("SOPInstanceUID") or meta.sop_instance_uid
    return ds


def context_of(request: AnalysisRequest, key: str) -> ResultContext:
    """Make the context in which results are encoded."""
    config = request.config
    return ResultContext(
        key=key,
        equipment=config.equipment,
        generation=request.revision,
        predecessor=request.predecessor,
        superseded=request.superseded,
        priors=request.priors,
        numbering=request.numbering or ResultNumbering(first=config.series_number_base),
        created=request.created,
        products=config.products,
    )


def inputs_of(request: AnalysisRequest) -> str:
    """Digest everything that decides what the result of a request says."""
    config = request.config
    parameters = {
        **config.options.as_parameters(),
        **config.products.as_parameters(),
        **config.equipment.as_parameters(),
        "series number base": str(config.series_number_base),
        "priors": " ".join(prior.report.sop_instance_uid for prior in request.priors),
    }
    return inputs_digest(
        request.series_instance_uid, request.instances, config.model.sha256, parameters
    )


def source_digest(request: AnalysisRequest) -> str:
    """Digest of the instances of a request."""
    return inputs_digest(request.series_instance_uid, request.instances, "", {})


def _pack(result: ResultObject) -> EncodedObject:
    """Make a Part 10 file of a result."""
    from pipeline.encode.bundle import part10

    part = part10(result.dataset)
    return EncodedObject(
        kind=result.kind,
        sop_class_uid=str(result.dataset.SOPClassUID),
        sop_instance_uid=str(result.dataset.SOPInstanceUID),
        series_instance_uid=str(result.dataset.SeriesInstanceUID),
        transfer_syntax_uid=str(result.dataset.file_meta.TransferSyntaxUID),
        part10=part,
    )


def load_models(config: AnalysisConfig) -> Models:
    """Load the networks, once for each process."""
    folder = folder_of(config.model)
    return _models(folder, config.device, config.threads or os.cpu_count() or 1)


def folder_of(model: ModelReference) -> Path:
    """Find the folder of a model on this machine.

    Besides the node's own folder for it, folders that `MODELS` names are looked through.

    Raises
    ------
    pipeline.errors.ModelError
        If there is none with that digest.
    """
    places = [Path(place) for place in os.environ.get(MODELS, "").split(os.pathsep) if place]
    return installed_model(f"{model.name} {model.version}", model.sha256, [model.folder, *places])


@lru_cache(maxsize=1)
def _models(folder: Path, device: Device, threads: int) -> Models:
    import torch

    from pipeline.model.loading import device_for, load

    torch.set_num_threads(threads)
    return load(folder, device_for(device))


class Stopwatch:
    """Seconds between one lap and the next."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Note the time since the last lap under a name."""
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 3)
        self._last = now
