"""Read the images of a series, and find what there is in them, before anything is decided.

It may be done for a series that is about to be closed. What was found then is kept in memory for
the analysis that follows, which is of the same files or does it anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from pydicom.config import disable_value_validation

from dicom_node.analysis.fetch.access import files_are_fetched
from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.analysis.worker.messages import FoundAhead, ImagesRequest
from dicom_node.analysis.worker.models import Device, load_models
from dicom_node.analysis.worker.source_files import read_instance, require_room
from dicom_node.analysis.worker.stopwatch import Progress, Stopwatch
from dicom_node.clock_watch import utc_now
from pipeline.errors import UnsuitableSeries
from pipeline.series.eligibility import eligible

if TYPE_CHECKING:  # torch is imported by workers only
    from pydicom import Dataset

    from pipeline.series.image_rules import SelectionRules
    from pipeline.series.selection import Selection
    from pipeline.types import Analysis, CtSeries, LungMask

    Choose = Callable[[Sequence[Dataset], SelectionRules], Selection]
    KnownLungs = Callable[[CtSeries], LungMask | None]


KEPT_SECONDS = 120.0  #: longer than a proof waits, shorter than anybody minds


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A series, and what was found in it.

    Attributes
    ----------
    series
        Without the proof by which it is complete.
    undecided
        What was found, before thresholds.
    seconds
        Seconds that each step took.
    """

    series: CtSeries
    undecided: Analysis
    seconds: Mapping[str, float]


class _Ahead:
    """Keeps the findings of one series for the analysis that follows; for any thread.

    Parameters
    ----------
    seconds
        For so long they are kept: pictures and headers of a patient outlive no series for longer.
    """

    def __init__(self, seconds: float = KEPT_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._kept: tuple[ImagesRequest, Findings] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return self._kept is None

    def keep(self, request: ImagesRequest, findings: Findings) -> None:
        """Keep these in place of any other."""
        with self._lock:
            self._kept = request, findings
        end = threading.Timer(self._seconds, self._forget, [request])
        end.daemon = True
        end.start()

    def take(self, request: ImagesRequest) -> Findings | None:
        """Hand out the findings of these very files, and forget them, or those of others."""
        with self._lock:
            kept, self._kept = self._kept, None
        return kept[1] if kept is not None and kept[0] == request else None

    def _forget(self, request: ImagesRequest) -> None:
        with self._lock:
            if self._kept is not None and self._kept[0] is request:
                self._kept = None


_AHEAD = _Ahead()


@as_analysis_fault
def find_ahead(request: ImagesRequest) -> FoundAhead:
    """Find what there is in a series that is about to be closed, and keep it in this process.

    A series that cannot be analysed is left for the analysis to say so. Where files are fetched,
    nothing is found ahead: they would be fetched twice, and headers read from them outlive them.

    Raises
    ------
    OSError
        If a source file cannot be read.
    """
    if files_are_fetched():
        return FoundAhead(kept=False)
    _AHEAD.take(request)  # what is kept of another series makes room
    try:
        with disable_value_validation():
            findings = find_in(request)
    except UnsuitableSeries:
        return FoundAhead(kept=False)
    _AHEAD.keep(request, findings)
    return FoundAhead(kept=True)


def findings_of(request: ImagesRequest, progress: Progress) -> Findings:
    """Give what was found in these files already, or find it now; raises as `find_in`."""
    return _AHEAD.take(request) or find_in(request, progress)


def find_in(
    request: ImagesRequest,
    progress: Progress = lambda stage, share: None,
    known: KnownLungs = lambda series: None,
) -> Findings:
    """Read, select and analyse the images of one series.

    Parameters
    ----------
    known
        Gives the lungs that the same network has found in them before; None where it has not.

    Raises
    ------
    UnsuitableSeries
        If they are no series that can be analysed.
    pipeline.errors.ModelError
        If the model is not installed here, or its weights are altered.
    OutOfMemory
        If memory does not suffice, even for one slice at a time on the CPU.
    OSError
        If a source file cannot be read.
    """
    watch = Stopwatch(progress)
    series = read_series(request, eligible, watch)
    undecided = _found(request, series, progress, known(series))
    watch.lap("analyse")
    return Findings(series=series, undecided=undecided, seconds=watch.laps)


def read_series(request: ImagesRequest, choose: Choose, watch: Stopwatch) -> CtSeries:
    """Read the images that `choose` takes of a series; raises as `find_in`."""
    from pipeline.series.volume import assemble_selected

    watch.progress("read", 0.0)
    require_room(request)
    datasets = [read_instance(file.path) for file in request.files]
    watch.progress("select", 0.0)
    selected = choose(datasets, request.rules)
    watch.lap("read")
    watch.progress("assemble", 0.0)
    series = assemble_selected(datasets, selected)
    watch.lap("assemble")
    return series


def _found(
    request: ImagesRequest, series: CtSeries, progress: Progress, lungs: LungMask | None
) -> Analysis:
    from pipeline.analyse import find
    from pipeline.model.memory import first_that_fits

    def on(device: Device, slices_at_once: int) -> Analysis:
        models = load_models(replace(request, device=device))
        models = replace(models, slices_at_once=slices_at_once)
        return find(series, models, request.options, progress, utc_now, lungs)

    attempts = frugality(request.device, request.attempt)
    return first_that_fits(
        partial(on, device, slices_at_once) for device, slices_at_once in attempts
    )


def frugality(device: Device, attempt: int) -> Sequence[tuple[Device, int]]:
    """Devices, and slices at a time (0 for what suits it), from the most memory to the least.

    A worker that the system killed for its memory cannot say so; so each further attempt begins
    further down.
    """
    ways: tuple[tuple[Device, int], ...] = ((device, 0), (device, 1), ("cpu", 1))
    return ways[min(attempt, len(ways)) - 1 :]
