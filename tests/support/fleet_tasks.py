"""Light tasks for the workers of a fleet."""

import os
import queue
import resource
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from distributed import get_worker

from dicom_node.analysis.engine.waiting import is_waited_for
from dicom_node.analysis.fetch.access import FETCH_FOLDER, files_at_hand
from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.messages import (
    Analysed,
    AnalysisRequest,
    EndsRequest,
    Unchanged,
)
from dicom_node.analysis.worker.series_task import HandOver, keep_back
from dicom_node.errors import AnalysisFault, UnfitWorker
from tests.support.light_analysis import analysed

ROOM = 1 << 26  #: bytes that a worker may take beside what it has


def prove() -> None:
    """Fit, unless the environment of the worker says otherwise."""
    if reason := os.environ.get("UNFIT"):
        raise UnfitWorker(reason)


def prove_light() -> None:
    """Fit without a model; one that fetches makes its folder ready, as in the product's proof."""
    if folder := os.environ.get(FETCH_FOLDER):
        PrivateFolder(Path(folder)).prepare()


def process_and_name() -> tuple[int, str]:
    return os.getpid(), str(get_worker().name)


def wait_for(file: Path) -> int:
    """Wait until a file is there; return the process that waited."""
    pause = threading.Event()
    while not file.exists():
        pause.wait(0.05)
    return os.getpid()


def hang(started: Path) -> None:
    """Say in a file, by a line for each start, that it began; then hang for ever."""
    with started.open("a") as file:
        file.write(f"{os.getpid()}\n")
    threading.Event().wait()


def write_line(file: Path, line: str) -> None:
    with file.open("a") as lines:
        lines.write(f"{line}\n")


def fail() -> None:
    raise KeyError("a fault of the task itself")


@as_analysis_fault
def take_memory(_: AnalysisRequest) -> None:
    """Take more memory than the process may have (RLIMIT_AS)."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM, limits[1]))
    try:
        np.ones(2 * ROOM, np.uint8)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def analyse_where(
    request: AnalysisRequest, hand_over: HandOver = keep_back
) -> Analysed | Unchanged:
    """The light analysis; held back, where a worker is blind without its files, as asked.

    Files beside the storage folder say so: ``hold`` holds it back, ``begun`` names the processes.
    """
    base = request.config.model.folder if not request.files else request.files[0].path
    folder = next(parent.parent for parent in base.parents if parent.name == "data")
    write_line(folder / "begun", str(os.getpid()))
    pause = threading.Event()
    while (folder / "hold").exists():
        pause.wait(0.05)
    if os.environ.get("BLIND"):
        raise AnalysisFault("FileNotFoundError", "", of_the_data=False, of_the_worker=True)
    if os.environ.get("SMALL"):
        take_memory(request)
    return analysed(request, hand_over)


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFiles:
    """What a task found of its files.

    Attributes
    ----------
    mode
        Of the folder in which they are.
    """

    process: int
    worker: str
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    mode: int


def find_files(request: EndsRequest) -> FoundFiles:
    """Read the files of a request, wherever they are."""
    with files_at_hand(request.files) as files:
        return FoundFiles(
            process=os.getpid(),
            worker=str(get_worker().name),
            paths=tuple(file.path for file in files),
            digests=tuple(sha256(file.path.read_bytes()).hexdigest() for file in files),
            mode=stat.S_IMODE(files[0].path.parent.stat().st_mode),
        )


def hand_over_and_wait(go: Path, hand_over: Callable[[object], None]) -> str:
    """Hand over a part, and come to an end once somebody allows it."""
    hand_over("a part")
    pause = threading.Event()
    while not go.exists():
        pause.wait(0.02)
    return "the whole"


def names_of_queues(dask_scheduler: Any) -> list[str]:  # noqa: ANN401  # Dask hands its scheduler in
    """Names of the queues that the scheduler has."""
    return sorted(dask_scheduler.extensions["queues"].queues)


_words: queue.Queue[str] = queue.Queue()


def take_word(word: str) -> None:
    """Note a word, in the process of a worker."""
    _words.put(word)


def wait_for_word() -> str:
    """Wait until this process has been told a word."""
    return _words.get(timeout=60)


def wait_until_waited_for(*_: object) -> str:
    """Go on until another task waits for this worker."""
    pause = threading.Event()
    while not is_waited_for():
        pause.wait(0.05)
    return "made way"
