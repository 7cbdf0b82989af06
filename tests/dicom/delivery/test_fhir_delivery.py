"""Reports as FHIR resources over real sockets, to a server that takes only what is valid."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.reader import load
from dicom_node.assembly.delivery import delivery_worker_of, route_of
from dicom_node.delivery.fhir.fhir_sender import FhirSender
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from pipeline.encode.bundle import part10
from pipeline.encode.sr.notice import not_analysed
from storage.overview import overview
from tests.support.peers.fhir_server import fhir_server
from tests.support.results_due import Hands
from tests.support.samples.encode_samples import context, ct_series
from tests.support.samples.kept_reports import store_with_report, write_report


@pytest.fixture
def file(tmp_path: Path) -> OutgoingFile:
    path = tmp_path / "report.dcm"
    write_report(path)
    return OutgoingFile.of(path)


def send(file: OutgoingFile, sender: FhirSender) -> Outcome:
    ((_, outcome),) = sender.send([file])
    return outcome


def held(resources: dict[str, Any], kind: str) -> list[Any]:
    return [one for name, one in resources.items() if name.startswith(f"{kind}/")]


def components(observation: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    return {one["code"]["coding"][0]["code"]: one for one in observation["component"]}


def test_a_report_is_a_preliminary_diagnostic_report_with_observations(file: OutgoingFile) -> None:
    with fhir_server() as server:
        outcome = send(file, FhirSender(url=server.url))

    assert outcome == Outcome(verdict=Verdict.ACCEPTED, status=200)
    (report,) = held(server.held, "DiagnosticReport")
    assert report["status"] == "preliminary"
    assert report["subject"]["identifier"]["value"] == "P-1"
    assert report["subject"]["identifier"]["assigner"] == {"display": "Klinik"}
    assert report["identifier"][1]["value"] == "A-77"
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3.1"
    assert report["effectiveDateTime"] == "2026-11-22T09:30:00+01:00"
    assert "Research use only" in report["conclusion"]
    observations = held(server.held, "Observation")
    assert [one["reference"] for one in report["result"]] == [
        f"Observation/{one['id']}" for one in observations
    ]
    assert {one["status"] for one in observations} == {"preliminary"}
    series, lungs, opacity = observations[:3]
    assert components(series)["DECISION"]["valueCodeableConcept"]["coding"][0]["code"] == "ABOVE"
    assert components(lungs)["SHARE"]["valueQuantity"] == {
        "value": 6.1,
        "unit": "percent",
        "system": "http://unitsofmeasure.org",
        "code": "%",
    }
    assert opacity["code"]["coding"][0]["code"] == "112001"
    assert opacity["bodySite"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert "Muster" not in json.dumps(server.held)


def test_a_later_report_takes_the_place_of_the_earlier_one_with_all_its_observations(
    file: OutgoingFile, tmp_path: Path
) -> None:
    with fhir_server() as server:
        send(file, FhirSender(url=server.url))
        before = set(server.held)
        (report,) = held(server.held, "DiagnosticReport")
        left_over = f"Observation/{report['id']}-99"
        others = "Observation/not-ours"
        report["result"] += [{"reference": left_over}, {"reference": others}]
        server.held |= {left_over: {}, others: {}}
        again = tmp_path / "again.dcm"
        write_report(again, PatientID="P-2")
        outcome = send(OutgoingFile.of(again), FhirSender(url=server.url))

    assert outcome.verdict is Verdict.ACCEPTED
    assert set(server.held) == before | {others}
    (report,) = held(server.held, "DiagnosticReport")
    assert report["subject"]["identifier"]["value"] == "P-2"


def test_another_installation_takes_the_place_of_no_report_of_ours(
    file: OutgoingFile, tmp_path: Path
) -> None:
    other = tmp_path / "other.dcm"
    made = write_report(other)
    made.InstanceCreatorUID = "2.25.77"
    other.write_bytes(part10(made))
    with fhir_server() as server:
        send(file, FhirSender(url=server.url))
        send(OutgoingFile.of(other), FhirSender(url=server.url))

    assert len(held(server.held, "DiagnosticReport")) == 2


def test_a_notice_says_why_there_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "notice.dcm"
    notice = not_analysed(ct_series().headers, "too-few-slices", "20 expected, got 6", context())
    path.write_bytes(part10(notice))
    with fhir_server() as server:
        outcome = send(OutgoingFile.of(path), FhirSender(url=server.url))

    assert outcome.verdict is Verdict.ACCEPTED
    (report,) = held(server.held, "DiagnosticReport")
    assert report["status"] == "cancelled"
    assert "NOT analysed by the AI" in report["conclusion"]


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (422, Verdict.REFUSED),
        (401, Verdict.POSTPONED),
        (404, Verdict.POSTPONED),
        (409, Verdict.POSTPONED),
        (429, Verdict.POSTPONED),
        (302, Verdict.POSTPONED),
        (500, Verdict.POSTPONED),
    ],
)
def test_each_status_has_its_meaning(file: OutgoingFile, status: int, verdict: Verdict) -> None:
    with fhir_server() as server:
        server.refusals = [status]
        outcome = send(file, FhirSender(url=server.url))

    assert (outcome.verdict, outcome.status) == (verdict, status)


@pytest.mark.parametrize("number", [1, 99])
def test_a_success_that_does_not_name_each_entry_is_no_proof(
    file: OutgoingFile, number: int
) -> None:
    with fhir_server() as server:
        server.silent_of = number
        outcome = send(file, FhirSender(url=server.url))

    assert outcome.verdict is Verdict.POSTPONED
    assert outcome.detail == "it does not say that it stored every resource"


DEEP = b"[" * 100_000
ODD = b'{"type": "transaction-response", "entry": [5, {"response": "201"}]}'


@pytest.mark.parametrize(
    ("nonsense", "verdict"),
    [
        ({"GET": b'{"result": 5}'}, Verdict.ACCEPTED),
        ({"GET": b'{"result": [5, {"reference": 5}]}'}, Verdict.ACCEPTED),
        ({"GET": DEEP}, Verdict.ACCEPTED),
        ({"POST": DEEP}, Verdict.POSTPONED),
        ({"POST": ODD}, Verdict.POSTPONED),
    ],
)
def test_an_answer_that_is_nonsense_proves_nothing_and_breaks_nothing(
    file: OutgoingFile, nonsense: dict[str, bytes], verdict: Verdict
) -> None:
    with fhir_server() as server:
        server.nonsense = nonsense
        outcome = send(file, FhirSender(url=server.url))

    assert outcome.verdict is verdict


def test_a_server_is_asked_who_it_is_and_shown_the_token(
    tmp_path: Path, file: OutgoingFile
) -> None:
    token = tmp_path / "token"
    token.write_text("open-sesame\n")
    with fhir_server() as server:
        sender = FhirSender(url=server.url, token_file=token)
        assert sender.echo().verdict is Verdict.ACCEPTED
        server.version = "3.0.2"
        assert "got version 3.0.2" in sender.echo().detail
        send(file, sender)
        shown = {posted.headers["Authorization"] for posted in server.sink.posted}
    assert shown == {"Bearer open-sesame"}
    assert sender.echo().verdict is Verdict.POSTPONED
    assert {one.verdict for _, one in sender.send([file, file])} == {Verdict.POSTPONED}


@pytest.mark.database
def test_the_outbox_sends_the_report_alone_tries_again_and_ends_the_series(tmp_path: Path) -> None:
    clock = Hands()
    resources = store_with_report(tmp_path / "data", clock, "FHIR")
    with fhir_server() as server:
        ini = tmp_path / "node.ini"
        ini.write_text(f"[destination FHIR]\nfhir = {server.url}\n")
        settings = load(ini)
        (destination,) = settings.destinations
        worker = delivery_worker_of("FHIR", route_of(settings, destination, resources), resources)
        server.refusals = [503]
        worker.run_once()
        with resources.sessions.reading() as session:
            assert str(overview(session).series[0].state) == "encoded"
        clock.now += timedelta(minutes=10)
        worker.run_once()

    with resources.sessions.reading() as session:
        (series,) = overview(session).series
    assert (str(series.state), {str(k): n for k, n in series.deliveries.items()}) == (
        "delivered",
        {"accepted": 1},
    )
    assert len(held(server.held, "DiagnosticReport")) == 1
    resources.close()
