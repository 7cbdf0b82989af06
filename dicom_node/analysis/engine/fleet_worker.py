"""Run a worker of a fleet: one process under a nanny, as the embedded engine has it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask
from distributed import Nanny

from dicom_node.analysis.engine.connection import (
    SELDOM,
    EngineAddress,
    in_a_line,
    spawn_within,
    surroundings,
    usable_security_of,
)
from dicom_node.analysis.engine.worker_records import Pace
from dicom_node.analysis.fetch.access import FETCH_FOLDER
from dicom_node.analysis.fetch.private_folder import PrivateFolder
from dicom_node.analysis.worker.models import MODELS
from dicom_node.logs import log

AGAIN = Pace(first_seconds=1.0, longest_seconds=60.0)  #: between two tries to reach the scheduler
JOIN_SECONDS = 60.0  #: how long a worker waits for its scheduler before that counts as a failure


def run_worker(
    address: EngineAddress,
    *,
    name: str | None,
    tasks: int,
    model: Path,
    fetch_folder: Path | None = None,
) -> None:
    """Work for a scheduler until SIGTERM or SIGINT; join it again whenever it comes back.

    Parameters
    ----------
    name
        What the node calls this worker; None for its address.
    tasks
        How many tasks it runs at the same time.
    model
        Folder of a model, besides those of the package.
    fetch_folder
        Folder of its own for files that it fetches; None where it sees the storage folder.

    Raises
    ------
    NodeError
        If that folder will not do.
    EngineAway
        If the files for TLS with the scheduler are missing, or do not belong together.
    """
    usable_security_of(address)  # else it would say so again and again
    dask.config.set({**SELDOM, "distributed.worker.http.routes": []})
    environment = {**surroundings(address.threads), MODELS: str(model)}
    if fetch_folder is not None:
        fetch_folder = fetch_folder.absolute()
        PrivateFolder(fetch_folder).prepare()
        environment[FETCH_FOLDER] = str(fetch_folder)
    asyncio.run(_work(address, name, tasks, environment))


async def _work(
    address: EngineAddress, name: str | None, tasks: int, environment: Mapping[str, str]
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    spawn_within(environment)
    failures = 0
    while not stop.is_set():
        try:
            nanny = Nanny(
                address.scheduler,
                nthreads=tasks,
                name=name,
                security=usable_security_of(address),
                memory_limit=f"{address.memory_limit_gb}GB" if address.memory_limit_gb else 0,
                death_timeout=JOIN_SECONDS,
                dashboard=False,
            )
            async with nanny:
                failures = 0
                log.info("worker_joined", scheduler=address.scheduler)
                await _first(nanny.finished(), stop.wait())
        except Exception as fault:  # noqa: BLE001  # process border: the scheduler may come back
            failures += 1
            log.error("worker_parted", reason=in_a_line(fault.__cause__ or fault))
        if not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), AGAIN.wait(max(failures, 1)))


async def _first(*events: Coroutine[Any, Any, object]) -> None:
    """Wait until one of them has come."""
    waiting = [asyncio.create_task(event) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()
