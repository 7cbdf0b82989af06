"""``python -m benchmarks.throughput``: series from several senders, until their results are back.

A node as it comes gets series over several associations at once, and returns their results to a
stand-in PACS. Measured is the time from the last instance of a series, answered, to the first and
to the last of its results; and how many series an hour come through.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import generate_uid

from benchmarks.document import machine
from benchmarks.engine import external_engine
from benchmarks.processes import free_port, send_with, whole_node
from benchmarks.rounds import scratch
from dicom_node.demo.stand_in_pacs import StandInPacs
from pipeline.synthetic.phantom.dicom import SeriesOptions, phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom

INI = """\
[node]
ae_title = AINODE
port = {port}
[storage]
folder = {folder}
database_url = {database}
{engine}
[closing]
{closing}
[destination PACS]
ae_title = PACS
host = 127.0.0.1
port = {pacs}
"""

WAYS = {
    "closed on proof, as it comes": "",
    "closed after a minute": "quiet_seconds_regular = 0\nnotifications = no",
    "closed after a second": "quiet_seconds = 1\nquiet_seconds_regular = 0",
}
"""Name of a way to the settings of its section ``[closing]``."""

IDLE_SECONDS = 20.0  #: without a result, after all series have some: there are no more
LONGEST_SECONDS = 3600.0  #: for one way
PERCENTILE = 95


class TimedPacs(StandInPacs):
    """Notes when which study got results."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.arrivals: dict[str, list[float]] = {}

    def look(self) -> None:
        """Enter what has come since the last look, by the times of the files."""
        for path in self.folder.glob("*.dcm"):
            dataset = dcmread(path, force=True, specific_tags=["StudyInstanceUID"])
            self.arrivals.setdefault(dataset.StudyInstanceUID, []).append(path.stat().st_mtime)
            path.unlink()


@dataclass(slots=True)
class Waiting:
    """Seconds from the last instance of each series to its first and its last result."""

    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)
    hours: float = 0.0

    def row(self, name: str) -> str:
        """Line of the table."""
        rate = len(self.last) / self.hours
        spread = percentile(self.last) / statistics.median(self.last)
        cells = (
            f"{statistics.median(self.first):.1f} ({percentile(self.first):.1f})",
            f"{statistics.median(self.last):.1f} ({percentile(self.last):.1f})",
            f"{spread:.2f}",
            f"{rate:.0f}",
        )
        return f"| {name} | {' | '.join(cells)} |"


def percentile(values: Sequence[float]) -> float:
    """Give the smallest value that `PERCENTILE` of a hundred values do not exceed."""
    return sorted(values)[-(-PERCENTILE * len(values) // 100) - 1]


def series_of(folder: Path, *, count: int, slices: int) -> dict[str, Path]:
    """Write phantoms, each a study of its own; Study Instance UID to folder."""
    made = {}
    for number in range(count):
        phantom = make_phantom(PhantomSpec(slices=slices, size=512, seed=number))
        options = SeriesOptions(announce=False)
        datasets = phantom_datasets(phantom, seed=1000 + number, options=options)
        write_series(datasets, folder / str(number))
        made[str(datasets[0].StudyInstanceUID)] = folder / str(number)
    return made


def copies_of(series: Path, folder: Path, *, count: int, announce: bool) -> dict[str, Path]:
    """Lay copies of a real series into a folder, each a study of its own; UID to folder.

    Parameters
    ----------
    announce
        Whether each instance says how many there are (Images in Acquisition).
    """
    files = sorted(file for file in series.iterdir() if file.is_file())
    made = {}
    for number in range(count):
        study, own = generate_uid(), generate_uid()
        (folder / str(number)).mkdir(parents=True)
        for file in files:
            dataset = dcmread(file)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, own
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            if announce:
                dataset.ImagesInAcquisition = len(files)
            dataset.save_as(folder / str(number) / file.name)
        made[str(study)] = folder / str(number)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """Who sends to which node.

    Attributes
    ----------
    one_by_one
        Whether a sender begins with a series when the results of its last one are back: the
        machine is idle then, but for one series of each sender.
    workers
        In processes of their own, with a scheduler, sharing the cores; 0 for the node's own.
    database
        URL of an empty one; without it SQLite in the node's folder.
    """

    senders: int
    one_by_one: bool
    workers: int
    database: str


@contextmanager
def running_node(folder: Path, *, closing: str, pacs: int, setup: Setup) -> Iterator[int]:
    """Run a node with default settings but for these; its port."""
    port = free_port()
    ini = folder / "node.ini"
    with ExitStack() as running:
        engine = ""
        if setup.workers:
            engine = running.enter_context(external_engine(folder / "engine", setup.workers))
        ini.write_text(
            INI.format(
                port=port,
                folder=folder / "data",
                closing=closing,
                pacs=pacs,
                database=setup.database,
                engine=engine,
            )
        )
        running.enter_context(whole_node(ini, port))
        yield port


def measure(series: dict[str, Path], closing: str, setup: Setup) -> Waiting:
    """Send all series, and wait until each has all of its results."""
    sent: dict[str, float] = {}
    queue = list(series.items())
    lock = threading.Lock()
    with (
        scratch() as folder,
        TimedPacs(folder / "pacs") as pacs,
        running_node(folder, closing=closing, pacs=pacs.port, setup=setup) as port,
    ):
        begin = time.time()

        def send() -> None:
            while True:
                with lock:
                    if not queue:
                        return
                    uid, path = queue.pop(0)
                send_with("storescu", [path], port)
                with lock:
                    sent[uid] = time.time()
                while setup.one_by_one and not _is_back(pacs, uid, lock):
                    time.sleep(0.5)

        threads = [threading.Thread(target=send) for _ in range(setup.senders)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _wait_for_all(pacs, series, lock)
    waiting = Waiting()
    for uid, at in sent.items():
        waiting.first.append(min(pacs.arrivals[uid]) - at)
        waiting.last.append(max(pacs.arrivals[uid]) - at)
    end = max(max(times) for times in pacs.arrivals.values())
    waiting.hours = (end - begin) / 3600
    return waiting


def _is_back(pacs: TimedPacs, uid: str, lock: threading.Lock) -> bool:
    """Say whether a series has results, and none has come for two seconds."""
    with lock:
        pacs.look()
        times = pacs.arrivals.get(uid, [])
    return bool(times) and time.time() - max(times) > 2


def _wait_for_all(pacs: TimedPacs, series: dict[str, Path], lock: threading.Lock) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        with lock:
            pacs.look()
        newest = max((max(times) for times in pacs.arrivals.values()), default=time.time())
        if set(series) <= set(pacs.arrivals) and time.time() - newest > IDLE_SECONDS:
            return
        time.sleep(1)
    raise TimeoutError(f"{len(pacs.arrivals)} of {len(series)} series have results")


def _engine(setup: Setup) -> str:
    where = "PostgreSQL" if setup.database else "SQLite"
    return f"{setup.workers or 'no'} workers outside the node; {where}"


def _what(options: argparse.Namespace) -> str:
    if not options.real:
        return f"{options.series} phantoms of {options.slices} slices of 512 x 512"
    announced = ", each of which says how many they are" if options.announce else ""
    return f"{options.series} copies of {options.real.name}{announced},"


def main() -> None:
    """Measure each way, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--slices", type=int, default=150)
    parser.add_argument("--real", type=Path, help="copies of this series instead of phantoms")
    parser.add_argument("--announce", action="store_true", help="the copies say how many they are")
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--at-once", action="store_true", help="send all without waiting")
    parser.add_argument("--way", choices=range(len(WAYS)), type=int, help="this one alone")
    parser.add_argument("--workers", type=int, default=0, help="outside the node; 0: its own one")
    parser.add_argument("--database", default="", help="URL of an empty one; else SQLite")
    parser.add_argument("--out", type=Path, help="the document (Markdown); else it is printed")
    options = parser.parse_args()
    setup = Setup(
        senders=options.senders,
        one_by_one=not options.at_once,
        workers=options.workers,
        database=options.database,
    )
    ways = list(WAYS.items())
    rows = []
    with scratch() as folder:
        if options.real:
            series = copies_of(
                options.real, folder, count=options.series, announce=options.announce
            )
        else:
            series = series_of(folder, count=options.series, slices=options.slices)
        for name, closing in ways if options.way is None else [ways[options.way]]:
            waiting = measure(series, closing, setup)
            rows.append(waiting.row(name))
            print(rows[-1], flush=True)
    how = "all at once" if options.at_once else "each when the results of its last one are back"
    text = (
        f"""# From the last instance to the results

Made by `python -m benchmarks.throughput` ({_what(options)} from
{options.senders} senders, {how};
{_engine(setup)}). Not edited by hand. Seconds from the answer to the
last instance of a series: median, and the {PERCENTILE}th percentile behind it.

Machine: {machine()}.

| way | first result | last result | last: p95 / p50 | series an hour |
|---|---|---|---|---|
"""
        + "\n".join(rows)
        + "\n"
    )
    if options.out:
        options.out.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
