"""Tell a task, in its worker, whether another one waits for its place."""

from __future__ import annotations

from distributed import get_worker


def is_waited_for() -> bool:
    """Whether a task of a higher priority waits at this worker, of whichever node.

    A task is with the worker that is to run it as soon as it is submitted, since it may run at
    chosen workers only; the worker begins it at once if it has a thread for it.
    """
    try:
        worker = get_worker()
        state = worker.state
        own, *_ = state.tasks[worker.get_current_task()].priority or (0,)
        waiting = tuple(state.ready)  # in one go: the worker's own thread changes it
        return any(task.priority is not None and task.priority[0] < own for task in waiting)
    except (ValueError, LookupError, AttributeError):  # no worker, or Dask has it otherwise
        return False
