"""End the process of a node that has stopped, whatever thread of a library hangs."""

from __future__ import annotations

import os
import threading
import time

from dicom_node.log_writer import LogWriter
from dicom_node.logs import log

LEAVE_SECONDS = 0.5  #: how long threads of libraries may take to end


def end_process(log_writer: LogWriter, *, status: int = 0) -> None:
    """Return, so that the process ends, or end it at once if a thread would keep it.

    All that matters is on the disk by then.

    Parameters
    ----------
    status
        With which it ends then.
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
    if stuck:
        log.warning("threads_left", threads=stuck)
        log_writer.flush()
        os._exit(status)
