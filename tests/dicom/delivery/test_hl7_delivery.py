"""Reports as HL7 messages over real sockets: what they say, and what each answer means."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from sqlalchemy import select

from config.reader import load
from dicom_node.assembly.delivery import delivery_worker_of, kinds_for, route_of, sender_of
from dicom_node.audit.decisions import DecisionLog
from dicom_node.delivery.hl7.hl7_sender import Hl7Sender
from dicom_node.delivery.hl7.oru import Header
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.network.hl7.message import Segment, read_segments
from dicom_node.network.hl7.mllp import MllpPeer, framed
from dicom_node.network.tls import server_context
from dicom_node.resources import Resources
from pipeline.encode.bundle import part10
from pipeline.encode.sr.notice import not_analysed
from storage.database.schema import Delivery, ResultObject
from storage.delivery.overtaken import OVERTAKEN
from storage.files.decision_log import read_decisions
from storage.overview import overview
from tests.support.peers.credentials import credentials
from tests.support.peers.mllp_sink import acknowledgement, mllp_sink
from tests.support.results_due import START, Hands
from tests.support.samples.encode_samples import context, ct_series
from tests.support.samples.kept_reports import keep_later_report, store_with_report, write_report

HEADER = Header(
    sending_application="AINODE",
    sending_facility="CHEST",
    receiving_application="RIS",
    receiving_facility="H",
)


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def file(tmp_path: Path) -> OutgoingFile:
    path = tmp_path / "report.dcm"
    write_report(path)
    return OutgoingFile.of(path)


def sender(port: int, **changes: object) -> Hl7Sender:
    peer = MllpPeer(host="127.0.0.1", port=port, seconds=5)
    made = Hl7Sender(peer=peer, header=HEADER, clock=lambda: START)
    return replace(made, **changes)  # type: ignore[arg-type]  # of its attributes


def send(file: OutgoingFile, sending: Hl7Sender) -> Outcome:
    ((_, outcome),) = sending.send([file])
    return outcome


def segments(message: str, name: str) -> list[Segment]:
    return [one for one in read_segments(message) if one.name == name]


def test_a_report_is_one_message_with_patient_order_and_every_number(file: OutgoingFile) -> None:
    with mllp_sink() as ris:
        outcome = send(file, sender(ris.port))

    assert outcome == Outcome(verdict=Verdict.ACCEPTED, status=0)
    (message,) = ris.messages
    (header,), (patient,), (order,) = (segments(message, name) for name in ("MSH", "PID", "OBR"))
    assert [header.component(number) for number in (3, 4, 5, 6, 7)] == [
        *("AINODE", "CHEST", "RIS", "H"),
        "20260301120000+0000",
    ]
    assert [header.component(9, part) for part in (1, 2, 3)] == ["ORU", "R01", "ORU_R01"]
    assert (header.component(12), header.component(18)) == ("2.5.1", "UNICODE UTF-8")
    assert (patient.component(3), patient.component(3, 4)) == ("P-1", "Klinik")
    assert [patient.component(5, part) for part in (1, 2)] == ["Muster", "Mia"]
    assert (patient.component(7), patient.component(8)) == ("19600101", "F")
    assert (order.component(3), order.component(18)) == ("A-77", "A-77")
    assert order.component(7) == "20261122093000+0100"
    assert (order.component(24), order.component(25)) == ("CT", "P")

    rows = segments(message, "OBX")
    assert [row.component(1) for row in rows] == [str(one) for one in range(1, len(rows) + 1)]
    assert {row.component(11) for row in rows} == {"P"}
    values = {
        (row.component(4), row.component(3)): (row.component(2), row.component(5), row.component(6))
        for row in rows
    }
    assert values["1", "SCORE"] == ("NM", "0.87", "1")
    assert values["1", "SHARE"] == ("NM", "6.1", "%")
    assert values["1", "118565006"] == ("NM", "4000.0", "mL")
    assert values["2", "112031"][2] == "[hnsf'U]"
    assert values["", "DECISION"][:2] == ("CWE", "ABOVE")
    assert values["", "110180"] == ("ST", "1.2.3.1", "")
    assert values["", "112002"] == ("ST", "1.2.3.2", "")
    assert "Research use only" in values["", "NOTICE"][1]


@pytest.mark.parametrize(
    ("character_set", "name"),
    [("utf-8", "O|Brien & S~hne \u0141uk"), ("latin-1", "O|Brien & S~hne ?uk")],
)
def test_separators_in_names_are_escaped_and_what_a_charset_lacks_is_replaced(
    tmp_path: Path, character_set: str, name: str
) -> None:
    path = tmp_path / "report.dcm"
    identity = {"PatientName": "O|Brien & S~hne \u0141uk^Ana"}
    write_report(path, SpecificCharacterSet="ISO_IR 192", **identity)
    with mllp_sink() as ris:
        send(
            OutgoingFile.of(path),
            sender(ris.port, header=replace(HEADER, character_set=character_set)),
        )

    (patient,) = segments(ris.messages[0], "PID")
    assert [patient.component(5, part) for part in (1, 2)] == [name, "Ana"]


def test_a_notice_says_why_there_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "notice.dcm"
    notice = not_analysed(ct_series().headers, "too-few-slices", "20 expected, got 6", context())
    path.write_bytes(part10(notice))
    with mllp_sink() as ris:
        outcome = send(OutgoingFile.of(path), sender(ris.port))

    assert outcome.verdict is Verdict.ACCEPTED
    said = [row.component(5) for row in segments(ris.messages[0], "OBX")]
    assert any(text.startswith("NOT analysed by the AI") for text in said)
    assert "Reason: 20 expected, got 6 (too-few-slices)." in said
    rows = segments(ris.messages[0], "OBX")
    names = [(row.component(3), row.component(4)) for row in rows]
    assert len(set(names)) == len(names)
    assert ("TX", "0.1") in [(row.component(2), row.component(4)) for row in rows]


def test_a_text_of_several_lines_is_formatted(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    made = write_report(path)
    for element in made.iterall():
        if element.keyword == "TextValue":
            element.value = "one\r\ntwo"
    path.write_bytes(part10(made))
    with mllp_sink() as ris:
        send(OutgoingFile.of(path), sender(ris.port))

    rows = segments(ris.messages[0], "OBX")
    assert {row.component(5) for row in rows if row.component(2) == "FT"} == {"one\ntwo"}


def test_the_same_report_has_the_same_control_id_at_every_try(file: OutgoingFile) -> None:
    with mllp_sink() as ris:
        send(file, sender(ris.port))
        send(file, sender(ris.port))

    first, second = (segments(message, "MSH")[0] for message in ris.messages)
    assert first.component(10) == second.component(10) != ""


def broken_off(_: str) -> bytes:
    """Begin an answer."""
    return b"\x0bMSH|"


def silent(_: str) -> bytes:
    """Keep silent."""
    return b""


ERR = "ERR||OBX^4^5|{}^why^HL70357|E\r"


@pytest.mark.parametrize(
    ("answer", "verdict", "status"),
    [
        (lambda text: acknowledgement("AA", text), Verdict.ACCEPTED, 0),
        (lambda text: acknowledgement("CA", text), Verdict.ACCEPTED, 0),
        (lambda text: acknowledgement("AE", text), Verdict.POSTPONED, 207),
        (lambda text: acknowledgement("AE", text, ERR.format("9" * 5_000)), Verdict.POSTPONED, 207),
        (lambda text: acknowledgement("AE", text, ERR.format(204)), Verdict.REFUSED, 204),
        (lambda text: acknowledgement("AE", text, ERR.format(207)), Verdict.POSTPONED, 207),
        (lambda text: acknowledgement("AR", text), Verdict.POSTPONED, 207),
        (lambda text: acknowledgement("XX", text), Verdict.UNANSWERED, None),
        (
            lambda text: acknowledgement("AA", text).replace(b"MSA|AA|", b"MSA|AA|x"),
            Verdict.UNANSWERED,
            None,
        ),
        (lambda _: framed(b"hello"), Verdict.UNANSWERED, None),
        (broken_off, Verdict.UNANSWERED, None),
        (silent, Verdict.UNANSWERED, None),
    ],
)
def test_only_an_acknowledgement_of_the_message_counts(
    file: OutgoingFile,
    answer: Callable[[str], bytes],
    verdict: Verdict,
    status: int | None,
) -> None:
    wait = 0.3 if answer in (broken_off, silent) else 5
    with mllp_sink(answer) as ris:
        outcome = send(file, sender(ris.port, peer=replace(sender(ris.port).peer, seconds=wait)))

    assert outcome.verdict is verdict
    assert outcome.status == status
    assert "Muster" not in outcome.detail


def test_a_receiver_that_is_not_there_postpones_all(file: OutgoingFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    outcomes = [outcome for _, outcome in sender(port).send([file, file])]

    assert {outcome.verdict for outcome in outcomes} == {Verdict.POSTPONED}
    assert "cannot be reached" in outcomes[0].detail
    assert sender(port).echo().verdict is Verdict.POSTPONED


def test_several_reports_go_over_one_connection_in_order(
    file: OutgoingFile, tmp_path: Path
) -> None:
    other = tmp_path / "other.dcm"
    write_report(other, PatientID="P-2")
    with mllp_sink() as ris:
        sent = list(sender(ris.port).send([file, OutgoingFile.of(other)]))

    assert [outcome.verdict for _, outcome in sent] == [Verdict.ACCEPTED] * 2
    assert ris.connections == 1
    assert [segments(one, "PID")[0].component(3) for one in ris.messages] == ["P-1", "P-2"]


@pytest.mark.database
def test_the_outbox_sends_the_report_alone_tries_again_and_ends_the_series(
    tmp_path: Path, clock: Hands
) -> None:
    answers: Iterator[str] = iter(["AR", "AA"])
    resources = store_with_report(tmp_path / "data", clock, "RIS")
    resources = replace(resources, decisions=DecisionLog(tmp_path, clock))
    with mllp_sink(lambda text: acknowledgement(next(answers), text)) as ris:
        ini = tmp_path / "node.ini"
        ini.write_text(f"[destination RIS]\nhl7 = 127.0.0.1:{ris.port}\n")
        settings = load(ini)
        (destination,) = settings.destinations
        worker = delivery_worker_of("RIS", route_of(settings, destination, resources), resources)
        worker.run_once()
        assert state_of(resources) == ("encoded", [("report", "pending", "it answered AR")])

        clock.now += timedelta(minutes=10)
        worker.run_once()
        worker.run_once()

    assert state_of(resources) == ("delivered", [("report", "accepted", "")])
    assert len(ris.messages) == 2
    assert kinds_for(destination) == {"report", "notice"}
    (decision,) = read_decisions(tmp_path)
    assert (decision.what, decision.at) == ("sent", clock.now)
    assert decision.facts == {"destination": "RIS", "result": "k1", "objects": {"report": 1}}
    resources.close()


@pytest.mark.database
@pytest.mark.parametrize("first", ["hello", "AR"])
def test_a_result_that_a_newer_one_has_overtaken_is_not_sent_again(
    tmp_path: Path, clock: Hands, first: str
) -> None:
    answers: Iterator[str] = iter([first, "AA"])
    resources = store_with_report(tmp_path / "data", clock, "RIS")
    keep_later_report(resources, "RIS", "k2")

    def answer(text: str) -> bytes:
        code = next(answers)
        return framed(b"hello") if code == "hello" else acknowledgement(code, text)

    with mllp_sink(answer) as ris:
        ini = tmp_path / "node.ini"
        ini.write_text(f"[destination RIS]\nhl7 = 127.0.0.1:{ris.port}\n")
        settings = load(ini)
        (destination,) = settings.destinations
        worker = delivery_worker_of("RIS", route_of(settings, destination, resources), resources)
        for _ in range(3):
            worker.run_once()
            clock.now += timedelta(minutes=10)

    assert len(ris.messages) == 2
    assert state_of(resources) == (
        "delivered",
        [("report", "refused", OVERTAKEN), ("report", "accepted", "")],
    )
    resources.close()


def state_of(resources: Resources) -> tuple[str, list[tuple[str, str, str]]]:
    with resources.sessions.reading() as session:
        rows = session.execute(
            select(ResultObject.kind, Delivery.state, Delivery.reason)
            .join(Delivery)
            .order_by(Delivery.id)
        )
        (series,) = overview(session).series
        return str(series.state), [(kind, str(state), reason) for kind, state, reason in rows]


def test_it_can_be_called_by_tls_and_its_name_is_checked(
    tmp_path: Path, file: OutgoingFile
) -> None:
    files = credentials(tmp_path / "tls", trustme.CA(), "127.0.0.1")
    context_of_ris = server_context(files, verify_peers=True)
    tls = (
        f"[tls]\ncertificate = {files.certificate}\nkey = {files.key}\n"
        f"authorities = {files.authorities}\n"
    )
    ini = tmp_path / "node.ini"
    with mllp_sink(tls=context_of_ris) as ris:
        ini.write_text(f"{tls}[destination RIS]\nhl7 = 127.0.0.1:{ris.port}\ntls = yes\n")
        settings = load(ini)
        good = list(sender_of(settings, settings.destinations[0]).send([file]))
    with mllp_sink() as ris:
        ini.write_text(f"{tls}[destination RIS]\nhl7 = 127.0.0.1:{ris.port}\ntls = yes\n")
        settings = load(ini)
        plain = list(sender_of(settings, settings.destinations[0]).send([file]))

    assert good[0][1].verdict is Verdict.ACCEPTED
    assert plain[0][1].verdict is Verdict.POSTPONED


def test_after_a_message_without_an_answer_the_others_wait(file: OutgoingFile) -> None:
    with mllp_sink(lambda _: framed(b"hello")) as ris:
        sent = list(sender(ris.port).send([file, file]))

    assert [outcome.verdict for _, outcome in sent] == [Verdict.UNANSWERED, Verdict.POSTPONED]
    assert len(ris.messages) == 1


def test_a_second_acknowledgement_is_not_taken_for_that_of_the_next_message(
    file: OutgoingFile, tmp_path: Path
) -> None:
    other = tmp_path / "other.dcm"
    made = write_report(other)
    made.SOPInstanceUID = "2.25.77"
    other.write_bytes(part10(made))

    def twice(text: str) -> bytes:
        return acknowledgement("CA", text) + acknowledgement("AA", text)

    with mllp_sink(twice) as ris:
        sent = list(sender(ris.port).send([file, OutgoingFile.of(other)]))

    assert [outcome.verdict for _, outcome in sent] == [Verdict.ACCEPTED] * 2
    assert len(ris.messages) == 2
