"""Hand over a part of what a task comes to before its end, from a worker to the node.

The worker puts it into a queue of the scheduler that the token of the task names, and announces it;
the node takes it out and releases the queue. A queue that no node has released, because it is gone,
is released when the worker hands over the next part. Where any of that fails, the part comes with
the rest at the end of the task.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from distributed import Client, Queue, get_worker

from dicom_node.analysis.engine.packed_call import Sealed, opened, sealed
from dicom_node.analysis.fetch.access import by_way_of
from dicom_node.analysis.fetch.fetching import access_for
from dicom_node.errors import EngineAway

PUT_SECONDS = 10  #: patience of a worker with the scheduler
GET_SECONDS = 1  #: patience of the node with a part that was announced: it is there, or lost


class _Left(threading.local):
    """Queue of the last part that this thread of a worker has handed over."""

    queue: Queue | None = None

    def release(self) -> None:
        """Release it; a node has done so before, as a rule."""
        queue, self.queue = self.queue, None
        if queue is not None:
            queue.close()


_left = _Left()


def announced(topic: str, token: str, function: Callable[..., object], *arguments: Any) -> Sealed:  # noqa: ANN401  # any picklable value
    """Run a function, in a worker, after telling those who listen that it begins.

    It has the files of its arguments at hand by `dicom_node.analysis.fetch.access`.
    """
    worker = get_worker()
    worker.log_event(topic, {"token": token, "worker": worker.address})
    with by_way_of(access_for(topic, token, arguments)):
        return sealed(function(*arguments))


def handing_over(
    topic: str,
    token: str,
    function: Callable[..., object],
    *arguments: Any,  # noqa: ANN401  # any picklable value
) -> Sealed:
    """Run a function as `announced`, which may call its last argument with a part of its result."""

    def hand_over(part: object) -> None:
        try:
            _left.release()
            _left.queue = queue = Queue(token)
            queue.put(sealed(part), timeout=PUT_SECONDS)
            get_worker().log_event(topic, {"token": token, "part": True})
        except Exception:  # noqa: BLE001, S110  # library border: the part comes with the rest
            pass

    return announced(topic, token, function, *arguments, hand_over)


def take_over(client: Client, token: str) -> Any:  # noqa: ANN401  # what the task handed over
    """Take what a task has handed over out of its queue.

    Raises
    ------
    EngineAway
        If it cannot be had: it comes with the rest.
    """
    try:
        queue: Queue = Queue(token, client=client)
        try:
            return opened(queue.get(timeout=GET_SECONDS))
        finally:
            for _ in ("the node", "the worker"):  # the scheduler counts who holds a queue
                queue.close()
    except Exception as fault:  # library border: whatever a lost connection raises
        raise EngineAway(f"what was handed over is lost ({type(fault).__name__})") from fault
