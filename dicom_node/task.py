"""One series from files to encoded results: what a worker of the engine runs.

Everything here is pure but for reading the source files. The worker knows no database and no
network; what it returns is kept by the node.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydicom import dcmread

from dicom_node.store import utc_now
from pipeline.eligibility import SelectionRules, why_not
from pipeline.encode.context import ResultContext
from pipeline.encode.identity import Equipment, ReportReference, result_key
from pipeline.encode.products import Products
from pipeline.errors import UnsuitableSeries
from pipeline.results import ResultObject

if TYPE_CHECKING:  # torch is imported by workers only
    from pipeline.models import Models

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One kept instance.

    Attributes
    ----------
    digest
        SHA-256 of the file.
    """

    path: Path
    sop_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyser:
    """How to analyse: the same for every series while the settings stay.

    Attributes
    ----------
    model
        Model folder.
    threads
        Processor threads; 0 for all cores.
    threshold
        None for the operating point of the model.
    """

    rules: SelectionRules
    equipment: Equipment
    model: Path
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    threshold: float | None = None
    lesions_when_negative: bool = False
    series_number_base: int = 9000
    products: Products = field(default_factory=Products)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One series to analyse."""

    series_instance_uid: str
    generation: int
    files: tuple[SourceFile, ...]
    analyser: Analyser
    created: datetime
    predecessor: ReportReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedObject:
    """One result as a Part 10 file."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    part10: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The results of one series.

    Attributes
    ----------
    summary
        JSON-able, without patient data: what `status` and the demo print.
    seconds
        Seconds that each step took.
    """

    key: str
    score: float
    positive: bool
    model: str
    summary: dict[str, Any]
    objects: tuple[EncodedObject, ...]
    seconds: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuitable:
    """Why a series was not analysed."""

    code: str
    text: str


def run(request: Request, progress: Progress = lambda stage, share: None) -> Analysed | Unsuitable:
    """Read, judge, analyse and encode one series.

    Raises
    ------
    pipeline.errors.ModelError
        If the weights are missing or altered.
    OSError
        If a source file cannot be read.
    """
    try:
        return _run(request, progress)
    except UnsuitableSeries as reason:
        return Unsuitable(code=reason.code, text=reason.text)


def _run(request: Request, progress: Progress) -> Analysed:
    from pipeline.analyse import AnalysisOptions, analyse
    from pipeline.encode.bundle import encode, summary
    from pipeline.volume import assemble

    analyser, watch = request.analyser, Stopwatch()
    datasets = [dcmread(file.path) for file in request.files]
    if reason := why_not(datasets, analyser.rules):
        raise UnsuitableSeries(reason.code, reason.text)
    watch.lap("read")
    progress("assemble", 0.0)
    series = assemble(datasets)
    del datasets
    watch.lap("assemble")
    models = load_models(analyser)
    options = AnalysisOptions(
        threshold=analyser.threshold, lesions_when_negative=analyser.lesions_when_negative
    )
    analysis = analyse(series, models, options, progress, utc_now)
    watch.lap("analyse")
    progress("encode", 0.0)
    key = result_key(
        request.series_instance_uid,
        [(file.sop_instance_uid, file.digest) for file in request.files],
        analysis.provenance.weights_sha256,
        {**options.as_parameters(), **analyser.products.as_parameters()},
    )
    context = ResultContext(
        key=key,
        equipment=analyser.equipment,
        generation=request.generation,
        predecessor=request.predecessor,
        series_number_base=analyser.series_number_base,
        created=request.created,
        products=analyser.products,
    )
    bundle = encode(series, analysis, context)
    watch.lap("encode")
    objects = tuple(map(_packed, bundle.objects))
    watch.lap("pack")
    return Analysed(
        key=key,
        score=analysis.classification.score,
        positive=analysis.classification.positive,
        model=f"{analysis.provenance.model_name} {analysis.provenance.model_version}",
        summary=json.loads(json.dumps(summary(series, analysis))),
        objects=objects,
        seconds=watch.laps,
    )


def _packed(result: ResultObject) -> EncodedObject:
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


def load_models(analyser: Analyser) -> Models:
    """Load the networks, once for each process."""
    return _load_models(analyser.model, analyser.device, analyser.threads or os.cpu_count() or 1)


@lru_cache(maxsize=1)
def _load_models(folder: Path, device: Literal["auto", "cpu", "cuda"], threads: int) -> Models:
    import torch

    from pipeline.models import device_for, load

    torch.set_num_threads(threads)
    return load(folder, device_for(device))


def warm_up(analyser: Analyser) -> None:
    """Import and load all that a first task would have to wait for."""
    from pipeline.analyse import analyse  # noqa: F401  # what a first task would wait for
    from pipeline.encode.bundle import encode  # noqa: F401  # what a first task would wait for

    load_models(analyser)


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
