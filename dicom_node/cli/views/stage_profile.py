"""Measure the stages of an analysis: time, processor time and memory of each."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

CLEAR_REFS = Path("/proc/self/clear_refs")
PEAK_ALONE = "5"
"""Written there, the peak of the resident memory starts anew (proc(5), since Linux 4.0)."""
STATUS = Path("/proc/self/status")
PEAK = "VmHWM:"  #: the line of the peak in `STATUS`, kB
KB_PER_MB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCost:
    """Cost of one stage.

    Attributes
    ----------
    cpu_seconds
        Of all threads of this process, user and system.
    peak_mb
        Highest resident memory during the stage, 2**20 bytes; of the process so far where the
        system cannot tell the stages apart.
    """

    name: str
    seconds: float
    cpu_seconds: float
    peak_mb: float


class StageProfile:
    """Notes a stage as the next one begins; called like a progress bar of `analyse`."""

    def __init__(self) -> None:
        self.stages: list[StageCost] = []
        self._stage = ""
        self._seconds = self._cpu_seconds = 0.0

    def __call__(self, stage: str, share: float) -> None:
        """End the stage before, and begin this one."""
        self.end()
        self._begin(stage)

    def end(self) -> None:
        """End the stage that was begun last."""
        if self._stage:
            cost = StageCost(
                name=self._stage,
                seconds=time.perf_counter() - self._seconds,
                cpu_seconds=time.process_time() - self._cpu_seconds,
                peak_mb=_peak_mb(),
            )
            self.stages.append(cost)
        self._stage = ""

    def table(self) -> Table:
        """Lay the stages out for a console, with their sum."""
        table = Table("stage")
        for heading in ("seconds", "processor seconds", "peak memory, MB"):
            table.add_column(heading, justify="right")
        for cost in self.stages:
            table.add_row(*_cells(cost))
        table.add_section()
        table.add_row(*_cells(self.total))
        return table

    @property
    def total(self) -> StageCost:
        """Cost of all stages."""
        return StageCost(
            name="all",
            seconds=sum(cost.seconds for cost in self.stages),
            cpu_seconds=sum(cost.cpu_seconds for cost in self.stages),
            peak_mb=max((cost.peak_mb for cost in self.stages), default=0.0),
        )

    def _begin(self, stage: str) -> None:
        self._stage = stage
        self._seconds, self._cpu_seconds = time.perf_counter(), time.process_time()
        _forget_peak()


def _cells(cost: StageCost) -> tuple[str, ...]:
    return cost.name, f"{cost.seconds:.2f}", f"{cost.cpu_seconds:.2f}", f"{cost.peak_mb:.0f}"


def _forget_peak() -> None:
    try:
        CLEAR_REFS.write_text(PEAK_ALONE)
    except OSError:
        return


def _peak_mb() -> float:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KB_PER_MB
    return next(int(line.split()[1]) / KB_PER_MB for line in lines if line.startswith(PEAK))
