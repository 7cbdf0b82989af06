"""Lines that libraries log, or warn by, are in the form of our log, and quote nothing."""

import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from dicom_node import logs
from dicom_node.library_log import LibraryHandler, log_warning

CANARY = "Muster^Max 19600101"  #: in a header


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    yield
    structlog.reset_defaults()


def logged(capsys: pytest.CaptureFixture[str], name: str, message: str, *values: str) -> dict:
    """Have a library log something with an exception, and read the line that comes of it."""
    writer, fault = logs.configure(), ValueError(CANARY)
    record = logging.getLogger(name).makeRecord(
        name,
        logging.WARNING,
        "/lib/uvicorn/server.py",
        7,
        message,
        values,
        (ValueError, fault, None),
    )
    LibraryHandler().emit(record)
    writer.flush()
    line: dict = json.loads(capsys.readouterr().err)
    assert CANARY not in str(line)
    return line


def test_a_library_is_named_with_place_and_template(capsys: pytest.CaptureFixture[str]) -> None:
    line = logged(capsys, "uvicorn.error", "Invalid request of %s\nand more", CANARY)
    assert (line["event"], line["level"]) == ("library_complained", "warning")
    assert (line["library"], line["place"]) == ("uvicorn.error", "uvicorn/server.py:7")
    assert line["what"] == "Invalid request of %s"
    assert line["exception"].startswith("ValueError")


@pytest.mark.parametrize("name", ["pydicom", "pydicom.filewriter", "pynetdicom.assoc", "PIL.Image"])
def test_of_what_sees_headers_no_word_is_logged(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert "what" not in logged(capsys, name, f"Invalid value: {CANARY}")


def test_a_warning_is_logged_by_kind_and_place(capsys: pytest.CaptureFixture[str]) -> None:
    writer = logs.configure()
    logs.take_standard_error(writer)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = log_warning  # pytest has one of its own
        warnings.warn(f"The value is {CANARY}", UserWarning, stacklevel=1)
    writer.flush()
    line = json.loads(capsys.readouterr().err)
    assert (line["library"], line["what"]) == ("warnings", "UserWarning")
    assert line["place"].startswith("dicom_node/test_library_log.py:")
    assert CANARY not in str(line)
