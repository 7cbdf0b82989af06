"""Decisions are recorded where they are made, and name no patient."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from dicom_node.analysis.outcome_writer import OutcomeWriter
from dicom_node.audit.decisions import Decided, DecisionLog
from dicom_node.cli.app import app
from dicom_node.delivery.backoff import Backoff
from dicom_node.delivery.outcome import Outcome, Verdict
from dicom_node.delivery.outgoing_file import OutgoingFile
from dicom_node.delivery.worker import DeliveryWorker
from dicom_node.maintenance.stored_data import erase
from dicom_node.resources import Resources
from storage.database.schema import Series
from storage.errors import StorageError
from storage.files.decision_log import FILE, TAIL_BYTES, Decision, read_decisions, verify
from storage.series.instances import record_instance
from storage.series.lifecycle import SeriesTicket, claim_next, close, receiving
from storage.states import SeriesState
from tests.support.dispatcher_samples import NOW, RESULT, open_resources
from tests.support.results_due import CT, Hands, store_with_results

KEYS = ("0123456789ab" * 4, "ba9876543210" * 4)

pytestmark = pytest.mark.database


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    found = open_resources(tmp_path)
    yield replace(found, decisions=DecisionLog(tmp_path, lambda: NOW))
    found.close()


def decisions(folder: Path) -> list[Decision]:
    assert verify(folder).fault == ""
    return list(read_decisions(folder))


def claimed(resources: Resources, digest: str) -> SeriesTicket:
    with resources.sessions.begin() as session:
        facts = replace(CT, digest=digest, path=f"incoming/{digest}")
        record_instance(session, facts, NOW)
        close(session, receiving(session)[0], NOW)
        ticket = claim_next(session, NOW)
    assert ticket is not None
    return ticket


def test_a_result_names_model_threshold_and_the_result_it_takes_the_place_of(
    resources: Resources, tmp_path: Path
) -> None:
    writer = OutcomeWriter(resources, [])
    made = replace(
        RESULT, key=KEYS[0], summary={"threshold": 0.5, "provenance": {"manifest_sha256": "ab"}}
    )
    writer.keep(claimed(resources, "0"), made)
    others = tuple(
        replace(one, sop_instance_uid=f"{one.sop_instance_uid}.1") for one in RESULT.objects
    )
    again = replace(made, key=KEYS[1], score=0.2, positive=False, objects=others)
    writer.keep(claimed(resources, "1"), again)

    first, second = decisions(tmp_path)
    assert (first.what, first.by) == ("result", "node")
    assert first.facts == {
        "result": "0123456789ab",
        "in_place_of": "",
        "model": "m 1",
        "manifest_sha256": "ab",
        "score": 0.7,
        "positive": True,
        "threshold": 0.5,
    }
    assert (second.facts["result"], second.facts["in_place_of"]) == ("ba9876543210", "0123456789ab")


def test_a_result_that_was_begun_is_recorded_then_and_once(
    resources: Resources, tmp_path: Path
) -> None:
    writer, ticket = OutcomeWriter(resources, []), claimed(resources, "0")
    whole = replace(RESULT, key=KEYS[0], occasion="2026-03-01T00:00:00+00:00 0")

    assert writer.begin(ticket, replace(whole, objects=RESULT.objects[:1]))
    assert [one.what for one in decisions(tmp_path)] == ["result"]
    writer.keep(ticket, whole)
    assert [one.facts["result"] for one in decisions(tmp_path)] == ["0123456789ab"]


class BreakingOff:
    """A sender to a destination that takes one object, before the database goes away."""

    def send(self, files: Iterable[OutgoingFile]) -> Generator[tuple[OutgoingFile, Outcome]]:
        for file in files:
            yield file, Outcome(verdict=Verdict.ACCEPTED, status=0)
            raise StorageError("away")

    def echo(self) -> Outcome:
        return Outcome(verdict=Verdict.ACCEPTED)

    def probe(self) -> None:
        return None


def test_what_was_accepted_is_recorded_though_sending_breaks_off(tmp_path: Path) -> None:
    due = store_with_results(tmp_path, Hands())
    with closing(replace(due, decisions=DecisionLog(tmp_path, lambda: NOW))) as resources:
        backoff = Backoff(
            first_seconds=1, factor=2, max_seconds=9, give_up_after=timedelta(hours=1)
        )
        worker = DeliveryWorker("PACS", BreakingOff(), backoff=backoff, resources=resources)
        with pytest.raises(StorageError):
            worker.run_once()

    (sent,) = decisions(tmp_path)
    assert (sent.what, sent.facts["objects"]) == ("sent", {"heatmap": 1})


def test_what_was_erased_stays_in_the_log_without_identity(
    resources: Resources, tmp_path: Path
) -> None:
    OutcomeWriter(resources, []).keep(claimed(resources, "0"), replace(RESULT, key=KEYS[0]))

    erase(resources, [CT.series_instance_uid], by="anna")

    erased = decisions(tmp_path)[-1]
    assert (erased.what, erased.by) == ("erased", "anna")
    assert erased.facts == {"series": 1, "results": ["0123456789ab"]}
    assert CT.series_instance_uid.encode() not in (tmp_path / FILE).read_bytes()


def test_what_the_disk_did_not_take_is_written_with_the_next_decision(tmp_path: Path) -> None:
    folder = tmp_path / "away"
    log = DecisionLog(folder, lambda: NOW)
    log.record(Decided.SENT, {"n": 1})
    folder.mkdir()
    log.record(Decided.SENT, {"n": 2})

    assert [one.facts["n"] for one in decisions(folder)] == [1, 2]


def test_what_no_disk_would_take_is_left_out_and_holds_up_nothing(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path, lambda: NOW)
    log.record(Decided.SETTINGS, {"key": "x" * TAIL_BYTES})
    log.record(Decided.SETTINGS, {"key": object()})
    log.record(Decided.SETTINGS, {"key": "by \udc80"})

    assert [one.facts for one in decisions(tmp_path)] == [{"key": "by ?"}]


def test_many_erased_series_are_several_lines(resources: Resources, tmp_path: Path) -> None:
    uids = [f"2.25.7.{number}" for number in range(101)]
    with resources.sessions.begin() as session:
        for uid in uids:
            one = replace(CT, series_instance_uid=uid, sop_instance_uid=f"{uid}.1", path=uid)
            record_instance(session, one, NOW)
        session.execute(update(Series).values(state=SeriesState.UNSUITABLE))

    erase(resources, uids)

    assert [one.facts["series"] for one in decisions(tmp_path)] == [100, 1]


def test_the_command_lists_verifies_and_finds_what_was_changed(tmp_path: Path) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\n")
    log = DecisionLog(tmp_path, lambda: NOW)
    log.record(Decided.SENT, {"destination": "PACS"}, by="anna")
    log.record(Decided.SENT, {"destination": "RIS"})

    def run(*words: str) -> tuple[int, str]:
        ended = CliRunner().invoke(app, ["decisions", *words, "--config", str(ini)])
        return ended.exit_code, ended.output

    status, said = run("list", "--since", "2026-02-28")
    assert status == 0
    assert "sent by anna: destination: PACS" in said
    assert run("list", "--since", "2026-03-05")[1] == ""
    status, said = run("verify")
    assert (status, said.splitlines()[0]) == (0, "2 decisions, as they were written")
    head = said.splitlines()[1].removeprefix("head ")
    assert run("verify", "--head", head)[0] == 0
    assert run("verify", "--head", f"3{head[1:]}")[0] == 1

    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace("anna", "otto"))
    status, said = run("verify")
    assert (status, said.splitlines()[0]) == (
        1,
        "line 2 does not follow the line before: one was changed",
    )
