"""A dispatcher whose workers give the answers of a test."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from config.settings import Settings
from dicom_node.analysis.configuration import analysis_config_of
from dicom_node.analysis.consequences import AttemptPolicy
from dicom_node.analysis.dispatcher import AnalysisDispatcher
from dicom_node.analysis.not_analysed_notices import Notices, Wanted
from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.analysis.request_builder import RequestBuilder
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    EncodedObject,
    FeedbackRequest,
    NoticeRequest,
)
from dicom_node.analysis.workers import AnalysisTask
from dicom_node.errors import NoWorker
from dicom_node.identity_key import keyed
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.sessions import Sessions
from storage.files.folder import StorageFolder, no_step
from storage.files.installation import draw_installation
from storage.overview import SeriesLine, overview
from tests.support.databases import migrated_database

Early = Callable[[Callable[[], Any]], None]

NOW = datetime(2026, 3, 1, tzinfo=UTC)

RESULT = Analysed(
    key="k1",
    inputs="i1",
    score=0.7,
    positive=True,
    model="m 1",
    summary={},
    objects=tuple(
        EncodedObject(
            kind=kind,
            sop_class_uid=sop_class,
            sop_instance_uid=f"2.25.10{n}",
            series_instance_uid="2.25.9",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            part10=b"x",
        )
        for n, (kind, sop_class) in enumerate(
            [
                ("segmentation", "1.2.840.10008.5.1.4.1.1.66.4"),
                ("report", "1.2.840.10008.5.1.4.1.1.88.34"),
            ]
        )
    ),
    seconds={},
)


class Job:
    """A task that has ended, one way or another."""

    worker = "one"
    started_at: float | None = 0.0

    def __init__(self, answer: Any) -> None:  # noqa: ANN401  # any answer
        self.answer = answer

    def when_done(self, act: Callable[[AnalysisTask], None]) -> None:
        act(self)

    def result(self) -> Any:  # noqa: ANN401  # any answer
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Never(Job):
    """A task that hangs."""

    def when_done(self, act: Callable[[AnalysisTask], None]) -> None:
        pass


class Workers:
    """One worker that gives these answers, one after the other; it makes notices as they are.

    Documents are read as they are where no answer is left.

    Attributes
    ----------
    notices
        What the making of notices comes to, one after the other, before they are made as they are.
    parts
        What every analysis hands over before its end; an exception is raised instead.
    """

    slots = 1

    def __init__(self, *answers: Any, fit: frozenset[str] = frozenset({"one"})) -> None:  # noqa: ANN401  # any answer
        self.answers = list(answers)
        self.fit_workers = fit
        self.notices: list[Any] = []
        self.parts: list[Any] = []
        self.requests: list[AnalysisRequest] = []
        self.notice_requests: list[NoticeRequest] = []
        self.feedback_requests: list[FeedbackRequest] = []
        self.priorities: list[int] = []
        self.avoided: list[frozenset[str]] = []
        self.ended: list[Job] = []
        self.taken_back: list[Job] = []
        self.told: list[tuple[Job, Any, str]] = []
        self.with_neighbour: list[Job] = []
        self.faults: list[tuple[str, str]] = []
        self.away_for_notices = False

    def name_of(self, worker: str) -> str:
        return f"machine {worker}"

    def submit(
        self,
        function: Callable[[Any], Any],
        request: Any,  # noqa: ANN401  # any request
        *,
        priority: int,
        avoid: frozenset[str],
        early: Early | None = None,
    ) -> Job:
        if isinstance(request, FeedbackRequest):
            self.feedback_requests.append(request)
            return Job(self.answers.pop(0) if self.answers else _made(function, request))
        if isinstance(request, NoticeRequest):
            if self.away_for_notices:
                raise NoWorker("none is fit")
            self.notice_requests.append(request)
            made = self.notices.pop(0) if self.notices else _made(function, request)
            return made if isinstance(made, Job) else Job(made)
        self.requests.append(request)
        if early is not None:
            for part in self.parts:
                early(partial(_part, part))
        self.priorities.append(priority)
        self.avoided.append(avoid)
        answer = self.answers.pop(0)
        return answer if isinstance(answer, Job) else Job(answer)

    def end(self, task: Job) -> None:
        self.ended.append(task)

    def take_back(self, task: Job) -> None:
        self.taken_back.append(task)

    def tell(self, task: Job, function: Callable[[str], object], word: str) -> None:
        self.told.append((task, function, word))

    def has_neighbour(self, task: Job) -> bool:
        return task in self.with_neighbour

    def record_success(self, worker: str) -> None:
        pass

    def record_fault(self, worker: str, series: str, reason: str) -> None:
        self.faults.append((worker, reason))


class AnsweringWorkers(Workers):
    """Answers each request at once, as a function does."""

    def __init__(self, answer: Callable[[AnalysisRequest], Any]) -> None:
        super().__init__()
        self._answer = answer

    def submit(
        self,
        function: Callable[[Any], Any],
        request: Any,  # noqa: ANN401  # any request
        *,
        priority: int,
        avoid: frozenset[str],
        early: Early | None = None,
    ) -> Job:
        if not isinstance(request, NoticeRequest | FeedbackRequest):
            self.answers.append(self._answer(request))
        return super().submit(function, request, priority=priority, avoid=avoid, early=early)


def _part(part: object) -> object:
    if isinstance(part, Exception):
        raise part
    return part


def _made(function: Callable[[Any], Any], request: object) -> object:
    """What a task came to, in this process."""
    try:
        return function(request)
    except Exception as fault:  # noqa: BLE001  # as the engine hands it on
        return fault


def open_resources(folder: Path, *, step: Callable[[str], None] = no_step) -> Resources:
    database = migrated_database(folder)
    storage = StorageFolder(folder, 0, step=step)
    draw_installation(folder)
    return keyed(
        Resources(
            sessions=Sessions(database, substitutes=SUBSTITUTES),
            folder=storage,
            clock=lambda: NOW,
        )
    )


def dispatcher(
    resources: Resources,
    workers: Workers,
    *,
    attempts: int = 3,
    timeout: float = 900,
    wanted: Wanted = "relevant",
    wait: float = 0,
    urgent_aes: frozenset[str] = frozenset(),
) -> AnalysisDispatcher:
    request_builder = RequestBuilder(resources, analysis_config_of(Settings()), compare=True)
    return AnalysisDispatcher(
        resources=resources,
        workers=workers,
        request_builder=request_builder,
        notices=Notices(resources.folder, request_builder, wanted),
        policy=AttemptPolicy(
            attempts=attempts,
            task_timeout_seconds=timeout,
            first_wait=timedelta(seconds=wait),
            urgent_aes=urgent_aes,
        ),
        outcomes=OutcomeWriter(resources, ["PACS"]),
        executor=lambda act: act(),
        wake=lambda: None,
    )


def line(resources: Resources) -> SeriesLine:
    with resources.sessions() as session:
        (series,) = overview(session).series
    return series
