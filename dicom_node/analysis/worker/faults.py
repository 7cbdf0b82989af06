"""Turn what breaks an analysis into a fault that says where, and never what the source held.

The words of an exception may quote a header ("could not convert string to float: 'Muster'"), and
the engine logs and carries them: so they end here, in the worker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from dicom_node.errors import AnalysisFault, NodeError
from dicom_node.log_tracebacks import described
from pipeline.errors import PipelineError

OF_THE_WORKER = (OSError, ImportError, MemoryError)
"""Raised where a file cannot be read, a library is missing or memory is short: not elsewhere."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

OF_THE_DATA = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    NotImplementedError,
    RecursionError,
)
"""Raised by the same bytes each time, on every worker that is installed as it should be."""


def as_analysis_fault(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Let a task raise `AnalysisFault` for everything but the errors of our own."""

    @wraps(function)
    def task(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except (PipelineError, NodeError):
            raise
        except Exception as fault:  # noqa: BLE001  # process border: its words must not leave
            raise AnalysisFault(
                type(fault).__name__,
                described(fault),
                of_the_data=isinstance(fault, OF_THE_DATA),
                of_the_worker=isinstance(fault, OF_THE_WORKER),
            ) from None

    return task
