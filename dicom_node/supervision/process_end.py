"""End the process of a node that has stopped, whatever thread or process of a library hangs."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time

from dicom_node.log_writer import LogWriter
from dicom_node.logs import log

LEAVE_SECONDS = 0.5  #: how long threads and processes of libraries may take to end


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
