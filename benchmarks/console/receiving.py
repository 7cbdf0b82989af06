"""Receive beside ten open consoles, and beside none, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from statistics import median
from threading import Barrier

from benchmarks.console.client import Browser, console, prepare
from benchmarks.processes import START_SECONDS, node, send_with
from benchmarks.rounds import measure, scratch
from benchmarks.samples import ct_series

OPEN = 10  #: consoles
CHANGED = b"event: changed\n"
NONE, BESIDE = "beside none", f"beside {OPEN} open consoles"


def receiving_beside_consoles(*, slices: int, rounds: int) -> str:
    """Measure; a table in Markdown, with what each pair says."""
    with scratch() as folder:
        sent = [
            ct_series(folder / f"part{number}", count=slices // 4, series=number)
            for number in range(1, 5)
        ]

        def alone() -> float:
            with scratch() as kept, node("fast")(kept) as receiver:
                return send_with("storescu", sent, receiver.port)

        def beside() -> float:
            with scratch() as kept, node("fast")(kept) as receiver, _open_consoles(kept):
                return send_with("storescu", sent, receiver.port)

        seconds = measure({NONE: alone, BESIDE: beside}, rounds)
    count = slices // 4 * 4
    lines = ["| receiving, 4 associations | instances a second |", "|---|---|"]
    for name, taken in seconds.items():
        rates = [count / one for one in taken]
        lines.append(f"| {name} | {median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f}) |")
    pairs = [there / here for there, here in zip(seconds[NONE], seconds[BESIDE], strict=True)]
    said = f"{median(pairs):.2f} ({min(pairs):.2f}–{max(pairs):.2f})"
    return "\n".join([*lines, "", f"Beside consoles, times as fast as beside none: {said}"])


@contextmanager
def _open_consoles(folder: Path) -> Iterator[None]:
    """Serve the console of a receiver's folder, and keep so many worklists open."""
    url = f"sqlite:///{folder / 'node.sqlite'}"
    prepare(folder, url)
    with ThreadPoolExecutor(OPEN) as pool, console(folder, url) as serving:
        cookie, are_open = Browser(serving.port).cookie, Barrier(OPEN + 1)
        pages = [pool.submit(_look, serving.port, cookie, are_open) for _ in range(OPEN)]
        are_open.wait(START_SECONDS)
        yield
    for page in pages:
        page.result()


def _look(port: int, cookie: str, are_open: Barrier) -> None:
    """Show the worklist, and look again whenever told to, until the console ends."""
    listener, page = Browser(port, cookie), Browser(port, cookie)
    page.get("/")
    with suppress(ConnectionError, HTTPException), listener.listening("/events") as events:
        are_open.wait(START_SECONDS)
        while line := events.readline():
            if line == CHANGED:
                page.get("/rows")
                page.get("/tiles")
