"""Log lines: listed events only, and no field of a patient."""

import json
from collections.abc import Iterator

import pytest
import structlog

from dicom_node import logs


@pytest.fixture(autouse=True)
def fresh_structlog() -> Iterator[None]:
    yield
    structlog.reset_defaults()  # the stream captured here is closed when the test ends


def test_an_event_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    writer = logs.configure(level="info", style="json")

    structlog.get_logger().info("series_closed", instances=3)
    writer.flush()

    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["instances"], line["level"]) == ("series_closed", 3, "info")


def test_events_outside_the_closed_set_are_refused() -> None:
    logs.configure(strict=True)
    with pytest.raises(ValueError, match="closed set"):
        structlog.get_logger().info("something_else")


@pytest.mark.parametrize("field", ["patient_name", "patient", "accession_number", "birth_date"])
def test_fields_that_speak_of_a_patient_are_refused(field: str) -> None:
    logs.configure(strict=True)
    with pytest.raises(ValueError, match="patient data"):
        structlog.get_logger().info("series_closed", **{field: "x"})


def test_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    writer = logs.configure(level="warning")

    structlog.get_logger().info("series_closed")
    writer.flush()

    assert capsys.readouterr().err == ""
