"""Log lines: listed events only, and no field of a patient."""

import ast
import json
from collections.abc import Iterator

import pytest
import structlog

from dicom_node import logs
from tests.support.paths import ROOT


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


SUBJECTS = {  # beginnings of events, and what tells the reader which one it was
    "analysis_": "series_uid",
    "delivery_": "destination",
    "destination_": "destination",
    "earlier_study_": "series_uid",
    "feedback_": "series_uid",
    "instance_": "calling_ae",
    "instances_indexed": "calling_ae",
    "job_failed": "job",
    "notice_": "series_uid",
    "part_": "part",
    "series_": "series_uid",
    "worker_left_out": "worker",
    "worker_restarted": "worker",
}


def logged() -> Iterator[tuple[str, set[str], str]]:
    """Every event that the source logs, the names of its fields, and where."""
    for path in sorted((ROOT / "dicom_node").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="debug" | "info" | "warning" | "error" | "exception"),
                    args=[ast.Constant(value=str(event)), *_],
                ):
                    yield event, {str(one.arg) for one in node.keywords}, f"{path}:{node.lineno}"


def test_every_line_names_what_it_is_about() -> None:
    found = set()
    for event, fields, where in logged():
        for beginning, subject in SUBJECTS.items():
            if event.startswith(beginning):
                found.add(beginning)
                assert subject in fields, where
    assert found == set(SUBJECTS)


def test_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    writer = logs.configure(level="warning")

    structlog.get_logger().info("series_closed")
    writer.flush()

    assert capsys.readouterr().err == ""
