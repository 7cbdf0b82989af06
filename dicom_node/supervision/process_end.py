"""End the process of a node that has stopped, whatever thread or process of a library hangs."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dicom_node.log_writer import LogWriter
from dicom_node.logs import log

Status = Callable[[], int]
LEAVE_SECONDS = 0.5  #: how long threads and processes of libraries may take to end


@contextmanager
def ended_within(seconds: float, log_writer: LogWriter, status: Status) -> Iterator[None]:
    """End the process if a stop has not come to its end in time; nothing that was kept is lost.

    Parameters
    ----------
    status
        Gives the status with which it ends.
    """

    def give_up() -> None:
        for process in multiprocessing.active_children():
            process.kill()
        log.error("stop_given_up", seconds=seconds)
        log_writer.flush()
        os._exit(status())

    watch = threading.Timer(seconds, give_up)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()


def end_process(log_writer: LogWriter, *, status: int = 0) -> None:
    """End the process at once; return only if it failed and nothing would keep it.

    All that matters is on the disk by then, and to take the interpreter down may need many seconds
    on a busy machine. A process of ours that is left is killed: Python and Dask would wait for it,
    and one that was stopped never ends.

    Parameters
    ----------
    status
        With which it ends. Of a failure, the caller may still say why.
    """
    deadline = time.monotonic() + LEAVE_SECONDS
    others = [
        thread
        for thread in threading.enumerate()
        if not thread.daemon and thread is not threading.main_thread()
    ]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    stuck = [thread.name for thread in others if thread.is_alive()]
    processes = multiprocessing.active_children()
    for process in processes:
        process.kill()
    if stuck or processes:
        log.warning("threads_left", threads=stuck, processes=[child.name for child in processes])
    if stuck or processes or not status:
        log_writer.flush()
        os._exit(status)
