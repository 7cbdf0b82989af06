"""Benchmark receiving: instances a second, and memory."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import Start, memory, missing, node, orthanc, send_with, storescp
from benchmarks.rounds import (
    CEILING,
    FLOOR,
    Chapter,
    Goal,
    Line,
    Table,
    faster,
    measure,
    scratch,
)
from benchmarks.samples import ct_series

FAST, STOCK = "dicom-node", "dicom-node, pynetdicom's stock way"
STORESCP, FORKING = "storescp, not durable", "storescp --fork, not durable"
ORTHANC, SHIPPED = "Orthanc", "storescp as shipped, not durable"
WIDE = ("-pdu", "131072")
MANY = 20  #: associations whose memory is looked at
MEGABYTE = 1_000_000

ONE = Goal(what="one association, times storescp", bound=FLOOR, limit=0.4)
ONE_ORTHANC = Goal(what="one association, times Orthanc", bound=FLOOR, limit=1.5)
FOUR = Goal(what="four associations, times storescp", bound=FLOOR, limit=0.8)
NAGLE = Goal(what="storescu at its defaults, times storescp as shipped", bound=FLOOR, limit=10)
SMALL = Goal(what="memory at 20 associations", bound=CEILING, limit=120, unit=" MB")


def receiving(*, slices: int, rounds: int) -> Chapter:
    """Measure all of it."""
    with scratch() as folder:
        whole = [ct_series(folder / "one", count=slices)]
        parts = [
            ct_series(folder / f"part{number}", count=slices // 4, series=number)
            for number in range(2, 6)
        ]
        one = Table(
            title="One association",
            objects=slices,
            seconds=measure(_ways(whole, with_fork=False), rounds),
        )
        four = Table(
            title="Four associations at once",
            objects=slices // 4 * 4,
            seconds=measure(_ways(parts, with_fork=True), rounds),
        )
        shipped = Table(
            title="One association from storescu at its defaults",
            objects=slices,
            seconds=measure(_shipped(whole), rounds),
        )
        peaks = tuple(_memory(folder, slices) for _ in range(rounds))
    return Chapter(
        title="Receiving",
        said="Sent by storescu (one process for each association); its whole run counts, its "
        "start and its reading of the files too. dicom-node answers when the file and its "
        "directory are on the disk.",
        tables=(one, four, shipped),
        lines=(
            faster(one.seconds, FAST, STORESCP, ONE),
            faster(one.seconds, FAST, ORTHANC, ONE_ORTHANC),
            faster(four.seconds, FAST, STORESCP, FOUR),
            faster(shipped.seconds, FAST, SHIPPED, NAGLE),
            Line(goal=SMALL, values=tuple(peak / MEGABYTE for peak in peaks)),
        ),
    )


def _ways(folders: Sequence[Path], *, with_fork: bool) -> dict[str, functools.partial[float]]:
    starts: dict[str, Start] = {
        FAST: node("fast"),
        STOCK: node("stock"),
        STORESCP: storescp(*WIDE),
    }
    if with_fork:
        starts[FORKING] = storescp("--fork", *WIDE)
    if not missing("Orthanc"):
        starts[ORTHANC] = orthanc
    return {name: functools.partial(_take, start, folders) for name, start in starts.items()}


def _shipped(folders: Sequence[Path]) -> dict[str, functools.partial[float]]:
    starts = {FAST: node("fast"), SHIPPED: storescp(at_once=False)}
    return {
        name: functools.partial(_take, start, folders, at_once=False)
        for name, start in starts.items()
    }


def _take(start: Start, folders: Sequence[Path], *, at_once: bool = True) -> float:
    """Seconds in which a receiver, started anew, takes these folders; all must have come."""
    with scratch() as kept:
        with start(kept) as receiver:
            seconds = send_with("storescu", folders, receiver.port, at_once=at_once)
        sent = [path for folder in folders for path in folder.iterdir()]
        smallest = min(path.stat().st_size for path in sent) // 2
        came = [p for p in kept.rglob("*") if p.is_file() and p.stat().st_size > smallest]
        if len(came) < len(sent):
            raise ConnectionError(f"expected {len(sent)} instances to be kept, found {len(came)}")
    return seconds


def _memory(folder: Path, slices: int) -> int:
    """Most memory of the node's receiver while so many associations send at once, bytes."""
    parts = []
    for number in range(100, 100 + MANY):
        part = folder / f"part{number}"
        parts.append(part if part.exists() else ct_series(part, count=slices // 6, series=number))
    with scratch() as kept, node("fast")(kept) as receiver:
        send_with("storescu", parts, receiver.port)
        return memory(receiver.process.pid, "VmHWM")
