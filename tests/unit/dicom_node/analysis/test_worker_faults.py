"""A fault leaves the worker as a type and a place, without a word of the source."""

from __future__ import annotations

import pickle

import pytest

from dicom_node.analysis.worker.faults import as_analysis_fault
from dicom_node.errors import AnalysisFault
from pipeline.errors import ConformanceError

CANARY = "Muster^Mia"


@as_analysis_fault
def task(fault: Exception) -> None:
    raise fault


@pytest.mark.parametrize(
    ("fault", "of"),
    [
        (ValueError(CANARY), "data"),
        (KeyError(CANARY), "data"),
        (ZeroDivisionError(CANARY), "data"),
        (OSError(CANARY), "worker"),
        (ImportError(CANARY), "worker"),
        (MemoryError(CANARY), "worker"),  # of a limit of its own, or beside greedy neighbours
        (RuntimeError(CANARY), ""),
    ],
)
def test_a_fault_travels_without_its_words(fault: Exception, of: str) -> None:
    with pytest.raises(AnalysisFault) as caught:
        task(fault)

    travelled = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # as the engine does
    assert travelled.kind == type(fault).__name__
    assert (travelled.of_the_data, travelled.of_the_worker) == (of == "data", of == "worker")
    assert "test_worker_faults.py" in str(travelled)
    assert CANARY not in f"{travelled!r} {travelled} {travelled.__cause__} {travelled.args}"


def test_our_own_errors_travel_as_they_are() -> None:
    with pytest.raises(ConformanceError, match="differs"):
        task(ConformanceError("PatientID differs"))
