"""Serve as the scheduler of an engine on several machines: it hands out tasks, and runs none."""

from __future__ import annotations

import asyncio
import logging
import signal
from urllib.parse import urlsplit

import dask
from distributed import Scheduler

from dicom_node.analysis.engine.connection import (
    SELDOM,
    EngineAddress,
    in_a_line,
    usable_security_of,
)
from dicom_node.errors import NodeError
from dicom_node.logs import log


def run_scheduler(address: EngineAddress, *, bind: str) -> None:
    """Serve until SIGTERM or SIGINT.

    Parameters
    ----------
    address
        As nodes and workers name it; the port is that of ours.
    bind
        Address of this machine that is listened on.

    Raises
    ------
    EngineAway
        If the files for TLS are missing, or do not belong together.
    NodeError
        If the address cannot be listened on.
    """
    security = usable_security_of(address)
    dask.config.set(
        {
            **SELDOM,
            "distributed.scheduler.allowed-failures": 0,  # attempts are counted by the node
            "distributed.scheduler.http.routes": [],
        }
    )
    logging.getLogger("distributed").setLevel(logging.ERROR)  # each coming and going is a line
    parts = urlsplit(address.scheduler)

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            scheduler = await Scheduler(
                host=bind,
                port=parts.port or 0,
                protocol=parts.scheme,
                security=security,
                dashboard=False,
                dashboard_address="127.0.0.1:0",
            )
        except RuntimeError as fault:  # what Dask makes of whatever kept it from starting
            place, why = f"{bind}:{parts.port}", in_a_line(fault.__cause__ or fault)
            raise NodeError(f"cannot listen on {place}: {why}") from fault
        log.info("scheduler_ready", scheduler=scheduler.address)
        await stop.wait()
        await scheduler.close()

    asyncio.run(serve())
