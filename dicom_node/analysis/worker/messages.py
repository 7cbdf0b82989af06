"""Messages between the node and its workers: request, configuration, result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pipeline.encode.result.identity import Equipment, Prior, Rejection, ReportReference
from pipeline.encode.result.products import Products
from pipeline.encode.result.series_numbers import ResultNumbering
from pipeline.feedback.answers import Assessment
from pipeline.options import AnalysisOptions
from pipeline.reasons import ClosedBy
from pipeline.series.image_rules import SelectionRules


def occasion(created: datetime, draw: str) -> str:
    """Tell the making of one result from that of any other, in one line."""
    return f"{created.isoformat()} {draw}"


def read_occasion(line: str) -> tuple[datetime, str]:
    """Read the time and the draw of the making of a result."""
    created, _, draw = line.partition(" ")
    return datetime.fromisoformat(created), draw


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One kept instance.

    Attributes
    ----------
    digest
        SHA-256 under which it is kept: of its data set, or of the file where it came as one.
    """

    path: Path
    sop_instance_uid: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """A model, wherever it is installed.

    Attributes
    ----------
    sha256
        Of its manifest, which holds the digests of its weights.
    folder
        Where the node has it; on the machine of a worker it may be elsewhere.
    """

    name: str
    version: str
    sha256: str
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisConfig:
    """How to analyse: the same for every series while the settings stay.

    Attributes
    ----------
    threads
        Processor threads; 0 for all cores.
    """

    rules: SelectionRules
    equipment: Equipment
    model: ModelReference
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 0
    options: AnalysisOptions = field(default_factory=AnalysisOptions)
    series_number_base: int = 9000
    products: Products = field(default_factory=Products)


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A result that an earlier attempt has begun: its first objects are kept, and may be sent.

    Attributes
    ----------
    key
        Of the result.
    created, draw, revision, predecessor, superseded, rejections
        As they were in the request of that attempt.
    kept
        File of its analysis.
    """

    key: str
    created: datetime
    draw: str
    revision: int
    predecessor: ReportReference | None
    superseded: Mapping[str, ReportReference]
    rejections: tuple[Rejection, ...]
    kept: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRequest:
    """One series to analyse.

    Attributes
    ----------
    revision
        1 for the first result of the series, one more for each that follows.
    earlier
        Inputs (`pipeline.encode.result.identity`) of its results so far, the latest last; empty
        in place of those of a latest result whose files are gone.
    predecessor
        The report, or notice, that this one supersedes.
    superseded
        The other documents of that result, by kind.
    priors
        Results of earlier studies of the patient, the latest first.
    kept
        File of a kept analysis (`pipeline.analysis_file`) to issue results from; None to analyse.
    attempt
        1 for the first try; each one more asks for less memory, for that may have been the fault.
    draw
        Drawn at random for each request, so that two at the same time make two results. Empty
        where the time alone tells results apart, so that a run can be repeated.
    numbering
        Series Numbers of the results, by the other series of the study; None if none is known.
    rejections
        What destinations that want to be told have of earlier results of the series.
    closed_by
        The proof by which the series was taken for complete; None if none is known.
    begun
        A result to be completed, if its inputs are still those of this request.
    """

    series_instance_uid: str
    files: tuple[SourceFile, ...]
    config: AnalysisConfig
    created: datetime
    revision: int = 1
    earlier: tuple[str, ...] = ()
    predecessor: ReportReference | None = None
    superseded: Mapping[str, ReportReference] = field(default_factory=dict)
    priors: tuple[Prior, ...] = ()
    kept: Path | None = None
    attempt: int = 1
    draw: str = ""
    numbering: ResultNumbering | None = None
    rejections: tuple[Rejection, ...] = ()
    closed_by: ClosedBy | None = None
    begun: Begun | None = None

    @property
    def occasion(self) -> str:
        """Tells the result of this request from any other of the same inputs."""
        return occasion(self.created, self.draw)

    @property
    def instances(self) -> list[tuple[str, str]]:
        """SOP Instance UID and digest of each file."""
        return [(file.sop_instance_uid, file.digest) for file in self.files]

    @property
    def images(self) -> ImagesRequest:
        """What is found in the images depends on this alone."""
        return images_request(self.files, self.config, attempt=self.attempt)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeRequest:
    """A notice to make: that a series was not analysed, and why.

    Attributes
    ----------
    series
        The files, and what the notice supersedes.
    inputs, key
        Of the notice as a result.
    code, text
        The reason, without anything of the patient.
    """

    series: AnalysisRequest
    inputs: str
    key: str
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedObject:
    """One result as a Part 10 file.

    Attributes
    ----------
    only_for
        The destination that alone gets it; empty for all.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    part10: bytes
    only_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The results of one series.

    Attributes
    ----------
    key, inputs
        As in :class:`storage.database.schema.Result`.
    summary
        JSON-able, without patient data: what `status` and the demo print.
    seconds
        Seconds that each step took.
    kept
        The undecided analysis (`pipeline.analysis_file`), to issue results from again.
    priors
        How many earlier studies it was compared with.
    occasion
        Of its making.
    """

    key: str
    inputs: str
    score: float
    positive: bool | None
    model: str
    summary: dict[str, Any]
    objects: tuple[EncodedObject, ...]
    seconds: dict[str, float]
    kept: bytes = b""
    priors: int = 0
    occasion: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsuitable:
    """Why a series was not analysed."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchanged:
    """Nothing has changed since the latest result of the series, which stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackRequest:
    """Documents to read as answers to results.

    Attributes
    ----------
    own_uids
        Instance Creator UIDs of this node: what it made itself is no answer.
    """

    series_instance_uid: str
    files: tuple[SourceFile, ...]
    own_uids: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answers that the documents of a series hold; documents without any are left out."""

    documents: tuple[Assessment, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRequest:
    """The images of a series, and all that what is found in them depends on.

    Attributes
    ----------
    attempt
        As in :class:`AnalysisRequest`.
    """

    files: tuple[SourceFile, ...]
    rules: SelectionRules
    options: AnalysisOptions
    model: ModelReference
    device: Literal["auto", "cpu", "cuda"]
    threads: int
    attempt: int = 1


def images_request(
    files: tuple[SourceFile, ...], config: AnalysisConfig, *, attempt: int = 1
) -> ImagesRequest:
    """Ask for what there is in the images of a series."""
    return ImagesRequest(
        files=files,
        rules=config.rules,
        options=config.options,
        model=config.model,
        device=config.device,
        threads=config.threads,
        attempt=attempt,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAhead:
    """Whether a worker keeps what it found in a series that is about to be closed."""

    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndsRequest:
    """Slices of a stack to look at: the first, some in between, the last."""

    files: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndsSeen:
    """Whether the stack begins and ends outside the lungs, and holds them."""

    outside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRequest:
    """A series to be analysed by a second model, beside a result that has left.

    Attributes
    ----------
    images
        With the second model.
    first
        The model in use.
    kept
        File of the analysis of the result (`pipeline.analysis_file`).
    task
        Names this very task, to stop it.
    """

    series_instance_uid: str
    images: ImagesRequest
    first: ModelReference
    kept: Path
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """What a second model found; attributes as in `storage.database.watch_tables.ShadowResult`.

    Attributes
    ----------
    reused_lungs
        Whether the lungs were those of the result, as both models have the same network for them.
    """

    score: float
    opacities_ml: float
    lungs_ml: float
    opacities_of_result_ml: float | None
    lungs_of_result_ml: float | None
    software: str
    seconds: float
    reused_lungs: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A task made way for another before its end."""


AnalysisResult = Analysed | Unsuitable | Unchanged
TaskResult = AnalysisResult | EncodedObject | Answered | EndsSeen | FoundAhead | Shadowed | Stopped
"""Of an analysis, a notice, the reading of documents, of what precedes the end of a series, or of
what follows its results."""
