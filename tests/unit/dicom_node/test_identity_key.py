"""Digests of identity are keyed once, match as before, and are of no use without their key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from typer.testing import CliRunner

from config.reader import load
from config.settings import Settings
from dicom_node.assembly.resources import existing_resources
from dicom_node.cli.app import app
from dicom_node.errors import NodeError
from dicom_node.folder_lock import only_node
from dicom_node.identity_key import PART, keyed, watch_identity_key
from dicom_node.maintenance.consistency import ConsistencyMonitor, find
from dicom_node.node.lifecycle import start_node
from dicom_node.preflight.faults import faults
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import DigestKey, Feedback, Series
from storage.database.sessions import Sessions
from storage.errors import StorageError
from storage.files.folder import StorageFolder
from storage.files.identity_key import (
    IDENTITY_KEY,
    draw_identity_key,
    plain_digest,
    read_identity_key,
)
from storage.files.installation import STATION, draw_installation
from storage.maintenance import identity_digests
from storage.maintenance.consistency import Kind
from storage.overview import overview
from storage.results.answers import answers_to
from storage.results.feedback import NewAnswer, NewDocument, enter_feedback
from storage.results.priors import priors
from storage.series.instance_facts import InstanceFacts
from storage.series.instances import record_instance
from storage.series.lifecycle import claim_next, close, leave, receiving
from storage.states import SeriesState
from tests.support.databases import database_url, migrated_database
from tests.support.dispatcher_samples import NOW, RESULT, Workers, dispatcher
from tests.support.results_due import CT

pytestmark = pytest.mark.database

PATIENTS = ("P-1", "P-2")


def without_key(folder: Path) -> Resources:
    """What a start finds before it has the key."""
    database = migrated_database(folder)
    storage = StorageFolder(folder, 0)
    draw_installation(folder)
    sessions = Sessions(database, substitutes=SUBSTITUTES)
    return Resources(sessions=sessions, folder=storage, clock=lambda: NOW)


def ct(number: int, patient: str, digest: Callable[[str], str]) -> InstanceFacts:
    return replace(
        CT,
        sop_instance_uid=f"2.25.1{number}",
        series_instance_uid=f"2.25.2{number}",
        study_instance_uid=f"2.25.3{number}",
        path=f"incoming/00/{number}.dcm",
        patient_key=digest(f'["{patient}", ""]'),
        patient_digest=digest(patient),
        birth_digest=digest("19600101"),
        study_date=f"2026010{number}",
    )


def receive(resources: Resources, number: int, patient: str, digest: Callable[[str], str]) -> None:
    """Have a study of a patient received; each is of a later day."""
    with resources.sessions.begin() as session:
        record_instance(session, ct(number, patient, digest), NOW)
        for series in receiving(session):
            close(session, series, NOW)


def answer(resources: Resources, patient: str, digest: Callable[[str], str]) -> None:
    """Have a document of a patient received that answers to the result of the first study."""
    document = f"2.25.9{patient[-1]}"
    with resources.sessions.begin() as session:
        facts = replace(
            CT,
            sop_instance_uid=document,
            series_instance_uid=f"{document}.1",
            study_instance_uid="2.25.31",
            path=f"incoming/00/{document}.dcm",
            is_document=True,
        )
        record_instance(session, facts, NOW)
        for series in receiving(session):
            close(session, series, NOW)
        ticket = claim_next(session, NOW)
        assert ticket is not None
        said = NewDocument(
            document_uid=document,
            answers=(NewAnswer(answer="rejected", subjects=("2.25.9",)),),
            observer=patient,
            said_at=NOW,
            study_instance_uid="2.25.31",
            patient_digest=digest(patient),
            birth_digest=digest("19600101"),
        )
        enter_feedback(session, ticket, [said], NOW)
        leave(session, ticket, NOW, new=SeriesState.FEEDBACK)


def earlier(resources: Resources, uid: str) -> list[str]:
    """Studies of the same patient that have a result and are of an earlier day."""
    with resources.sessions() as session:
        return [prior.study_instance_uid for prior in priors(session, uid, 5, ["report"])]


def of_whom(resources: Resources) -> list[tuple[str, tuple[str, ...]]]:
    """Readers who answered to the result, and in what their documents are of others."""
    with resources.sessions() as session:
        return sorted((line.observer, line.mismatch) for line in answers_to(session))


def matches(resources: Resources) -> tuple[object, ...]:
    return earlier(resources, "2.25.22"), earlier(resources, "2.25.23"), of_whom(resources)


@pytest.fixture
def before(tmp_path: Path) -> Resources:
    """Rows as the version before has made them: three studies, a result, two answers."""
    resources = without_key(tmp_path)
    receive(resources, 1, "P-1", plain_digest)
    dispatcher(resources, Workers(RESULT)).dispatch()
    receive(resources, 2, "P-2", plain_digest)
    receive(resources, 3, "P-1", plain_digest)
    with resources.sessions.begin() as session:  # not analysed, they only have to match
        for series in session.scalars(select(Series).where(Series.state == SeriesState.STABLE)):
            series.state = SeriesState.FAILED
    for patient in PATIENTS:
        answer(resources, patient, plain_digest)
    return resources


def digests(resources: Resources) -> set[str]:
    of_series = select(Series.patient_key, Series.patient_digest, Series.birth_digest)
    of_answers = select(Feedback.patient_digest, Feedback.birth_digest)
    with resources.sessions() as session:
        rows = [*session.execute(of_series), *session.execute(of_answers)]
    return {digest for row in rows for digest in row if digest}


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_rows_of_before_are_keyed_and_match_as_they_did(
    before: Resources, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_digests, "BATCH", batch)
    matched, plain = matches(before), digests(before)
    assert matched == ([], ["2.25.31"], [("P-1", ()), ("P-2", ("patient",))])
    with capture_logs() as logged:
        resources = keyed(before)

    assert [(line["event"], line["rows"]) for line in logged] == [("identity_keyed", 5)]
    assert digests(resources) == {resources.identity_key.keyed(digest) for digest in plain}
    assert matches(resources) == matched
    keyed(before)  # the next start changes nothing
    assert matches(resources) == matched


def test_what_comes_after_matches_what_came_before(before: Resources) -> None:
    resources = keyed(before)
    receive(resources, 4, "P-1", resources.identity_key.digest)
    receive(resources, 5, "P-2", resources.identity_key.digest)
    assert earlier(resources, "2.25.24") == ["2.25.31"]
    assert earlier(resources, "2.25.25") == []


def test_a_conversion_that_was_broken_off_begins_anew(before: Resources) -> None:
    """A power cut after the key was drawn: it is used, and nothing is keyed twice."""
    drawn = draw_identity_key(before.folder.root)
    plain = digests(before)
    resources = keyed(before)
    assert resources.identity_key == drawn
    assert digests(resources) == {drawn.keyed(digest) for digest in plain}


def remove(path: Path) -> None:
    path.unlink()


def damage(path: Path) -> None:
    path.write_text("something else\n")


def exchange(path: Path) -> None:
    draw_identity_key(path.parent)


LOSSES = [(remove, "no such file"), (damage, "something else"), (exchange, "another key")]


@pytest.mark.parametrize(("lose", "words"), LOSSES)
def test_a_lost_key_is_said_and_not_replaced(
    before: Resources, lose: Callable[[Path], None], words: str
) -> None:
    resources = keyed(before)
    rows, path = digests(resources), resources.folder.root / IDENTITY_KEY
    kept = path.read_bytes()
    lose(path)
    lost = path.read_bytes() if path.exists() else None

    with pytest.raises(NodeError, match=f"identity-key: expected .*{words}.*: restore this file"):
        keyed(before)

    assert (path.read_bytes() if path.exists() else None) == lost
    assert digests(resources) == rows
    (finding,) = (found for found in find(resources) if found.kind is Kind.KEY_LOST)
    assert words in finding.what
    monitor = ConsistencyMonitor(resources)
    monitor.run_once()
    assert "identity key" in {fault.part for fault in resources.health.snapshot()}

    path.write_bytes(kept)
    monitor.run_once()
    assert "identity key" not in {fault.part for fault in resources.health.snapshot()}
    assert keyed(before).identity_key == resources.identity_key


@pytest.mark.parametrize(("lose", "words"), LOSSES)
def test_who_goes_on_without_the_key_forgets_the_patients_so_far(
    before: Resources, lose: Callable[[Path], None], words: str
) -> None:
    """Digests of two keys would tell that a patient is another one."""
    old = keyed(before).identity_key
    lose(before.folder.root / IDENTITY_KEY)
    with capture_logs() as logged:
        resources = keyed(before, forget=True)

    assert [line["event"] for line in logged] == ["identity_forgotten"]
    assert words in logged[0]["reason"]
    assert logged[0]["rows"] == 5
    assert resources.identity_key != old
    assert read_identity_key(resources.folder.root) == resources.identity_key
    assert digests(resources) == set()
    assert of_whom(resources) == [("P-1", ()), ("P-2", ())]
    assert keyed(before).identity_key == resources.identity_key


def test_what_lies_in_place_of_the_key_is_set_aside(before: Resources) -> None:
    keyed(before)
    path = before.folder.root / IDENTITY_KEY
    damage(path)
    keyed(before, forget=True)
    (aside,) = path.parent.glob(f"{IDENTITY_KEY}.before-*")
    assert aside.read_text() == "something else\n"


def make_unreadable(path: Path) -> None:
    """A directory is what also root cannot read as a file."""
    path.rename(path.with_name("there"))
    path.mkdir()


def take_folder_away(path: Path) -> None:
    for name in (IDENTITY_KEY, STATION):
        path.with_name(name).unlink()


@pytest.mark.parametrize(
    ("lose", "words"),
    [(make_unreadable, "identity-key: cannot be read"), (take_folder_away, "mounted")],
)
def test_a_key_that_may_come_back_is_not_replaced_even_by_force(
    before: Resources, lose: Callable[[Path], None], words: str
) -> None:
    resources = keyed(before)
    rows, path = digests(resources), resources.folder.root / IDENTITY_KEY
    lose(path)
    there = sorted(path.parent.iterdir())

    with pytest.raises((NodeError, StorageError), match=words):
        keyed(before, forget=True)

    assert sorted(path.parent.iterdir()) == there
    assert digests(resources) == rows


def test_a_key_that_no_row_needs_may_be_drawn_again(tmp_path: Path) -> None:
    resources = without_key(tmp_path)
    first = keyed(resources).identity_key
    (tmp_path / IDENTITY_KEY).unlink()
    second = keyed(resources).identity_key
    with resources.sessions() as session:
        assert session.scalars(select(DigestKey.fingerprint)).all() == [second.fingerprint]
    assert first != second


@pytest.fixture
def settings(before: Resources, tmp_path: Path) -> Settings:
    """Settings of a node whose key is lost."""
    keyed(before)
    (tmp_path / IDENTITY_KEY).unlink()
    ini = tmp_path / "node.ini"
    ini.write_text(
        "[node]\nbind = 127.0.0.1\nport = 0\n"
        f"[storage]\nfolder = {tmp_path}\ndatabase_url = {database_url(tmp_path)}\n"
    )
    return load(ini)


def test_a_node_without_its_key_does_not_start(settings: Settings, before: Resources) -> None:
    with only_node(settings.storage.folder):
        with pytest.raises(NodeError, match="restore this file"):
            start_node(settings, before)
        assert not (settings.storage.folder / IDENTITY_KEY).exists()
    assert any("identity-key: expected" in fault for fault in faults(settings))


def test_who_only_reads_needs_no_key_and_doctor_says_that_it_is_lost(
    settings: Settings, tmp_path: Path
) -> None:
    resources = existing_resources(settings)
    with resources.sessions.reading() as session:
        assert len(overview(session).series) == 5
    resources.close()
    arguments = ["--config", str(tmp_path / "node.ini")]
    found = CliRunner().invoke(app, ["doctor", *arguments])
    assert "identity key lost" in found.output
    assert "restore the file from a backup" in found.output
    listed = CliRunner().invoke(app, ["feedback", *arguments])
    assert (listed.exit_code, "rejected" in listed.output) == (0, True)
    written = CliRunner().invoke(app, ["feedback", "--csv", str(tmp_path / "c.csv"), *arguments])
    assert isinstance(written.exception, NodeError)
    assert "identity-key" in str(written.exception)
    mended = CliRunner().invoke(app, ["doctor", "--mend", *arguments])
    assert isinstance(mended.exception, NodeError)
    CliRunner().invoke(app, ["doctor", "--mend", "--force", *arguments])
    assert (tmp_path / IDENTITY_KEY).exists()


def test_a_key_that_goes_away_while_the_node_runs_is_told(tmp_path: Path) -> None:
    resources = keyed(without_key(tmp_path))

    def told() -> str:
        watch_identity_key(resources)
        return "".join(fault.reason for fault in resources.health.snapshot() if fault.part == PART)

    key = (tmp_path / IDENTITY_KEY).read_bytes()
    assert told() == ""
    (tmp_path / IDENTITY_KEY).unlink()
    assert "no such file" in told()
    draw_identity_key(tmp_path)
    assert "another key" in told()
    (tmp_path / IDENTITY_KEY).write_text("something else")
    assert "hexadecimal digits" in told()
    (tmp_path / IDENTITY_KEY).write_bytes(key)
    assert told() == ""
