"""A logged exception says where it arose, and nothing of what it says."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator

import pytest
import structlog

from dicom_node import logs
from dicom_node.health import Health
from dicom_node.log_tracebacks import MOST_CAUSES, described, named
from dicom_node.supervision.scheduler import GuardedJob
from storage.errors import DatabaseUnavailable

CANARY = "Muster^Mia born 1960-01-01"


@pytest.fixture(autouse=True)
def fresh_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()  # the stream captured here is closed when the test ends


def read_thickness(value: str = CANARY) -> float:
    return float(value)


def caused() -> None:
    try:
        read_thickness()
    except ValueError as fault:
        raise KeyError(CANARY) from fault


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize("job", [read_thickness, caused])
def test_the_words_of_an_exception_never_reach_the_log(
    capsys: pytest.CaptureFixture[str], style: str, job: object
) -> None:
    writer = logs.configure(style=style)  # type: ignore[arg-type]  # both styles there are

    GuardedJob("analysis", job, Health())()  # type: ignore[arg-type]  # both are jobs
    writer.flush()

    written = capsys.readouterr().err
    assert "Muster" not in written
    assert "1960-01-01" not in written
    assert "ValueError" in written
    assert "read_thickness" in written


def test_a_log_line_names_file_line_and_function(capsys: pytest.CaptureFixture[str]) -> None:
    writer = logs.configure()

    GuardedJob("analysis", read_thickness, Health())()
    writer.flush()

    first, *places = json.loads(capsys.readouterr().err)["exception"].splitlines()
    assert first == "ValueError"
    assert places[-1].startswith("  tests/unit/dicom_node/test_log_tracebacks.py:")
    assert places[-1].endswith(" read_thickness")


def test_our_own_errors_and_the_codes_of_the_system_are_named() -> None:
    assert named(DatabaseUnavailable("the database is locked")).endswith("the database is locked")
    assert named(OSError(errno.ENOSPC, CANARY, CANARY)) == "OSError: ENOSPC"
    assert named(OSError(CANARY)) == "OSError"


def test_a_long_chain_is_cut() -> None:
    fault: Exception = ValueError(CANARY)
    for _ in range(3 * MOST_CAUSES):
        fault, cause = TypeError(CANARY), fault
        fault.__cause__ = cause
    assert described(fault).count("TypeError") == MOST_CAUSES
