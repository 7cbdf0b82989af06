"""Refused and pending deliveries are made due again on an operator's request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.rerun_requests import request_anew
from dicom_node.cli.app import app
from dicom_node.resources import Resources
from pipeline.encode.result.kinds import SUBSTITUTES
from storage.database.schema import ResultObject
from storage.database.sessions import Session, Sessions
from storage.delivery.commitments import record_request
from storage.delivery.outbox import Settlement, claim, due, settle
from storage.delivery.redelivery import begin_anew, redeliver
from storage.files.folder import StorageFolder
from storage.series.lifecycle import claim_next, leave, reprocess
from storage.states import DeliveryState, SeriesState
from tests.support.databases import database_url, impatient_database
from tests.support.results_due import CT, START, UIDS, Hands, standing, store_with_results

pytestmark = pytest.mark.database

D, S = DeliveryState, SeriesState
LATER = START + timedelta(days=1)
SERIES = CT.series_instance_uid


@pytest.fixture
def resources(tmp_path: Path) -> Iterator[Resources]:
    resources = store_with_results(tmp_path, Hands())
    yield resources
    resources.close()


def send(resources: Resources, state: DeliveryState, *, count: int = 9, reason: str = "") -> None:
    """Send what is due; this is how it goes."""
    next_at = {D.PENDING: LATER + timedelta(days=9), D.UNCOMMITTED: LATER}.get(state)
    with resources.sessions.begin() as session:
        taken = claim(session, due(session, "PACS", START, count))
        settlements = [
            Settlement(id=t.id, state=state, reason=reason, next_at=next_at) for t in taken
        ]
        settle(session, settlements, START)


def again(resources: Resources, **chosen: object) -> dict[tuple[str, str], int]:
    chosen = {"folder": resources.folder, "destinations": ["PACS"], **chosen}
    with resources.sessions.begin() as session:
        return dict(redeliver(session, LATER, **chosen).due)  # type: ignore[arg-type]  # chosen by the tests below


def test_what_was_refused_is_sent_again_and_the_series_ends_well(resources: Resources) -> None:
    send(resources, D.ACCEPTED, count=1)
    send(resources, D.REFUSED, reason="no more room")
    assert standing(resources)[0] == S.FAILED

    assert again(resources) == {(SERIES, "PACS"): 2}

    assert standing(resources) == (S.ENCODED, [D.ACCEPTED, D.PENDING, D.PENDING], "")
    with resources.sessions() as session:
        waiting = due(session, "PACS", LATER, 9)
    assert [(delivery.sop_instance_uid, delivery.attempts) for delivery in waiting] == [
        (uid, 0) for uid in UIDS[1:]
    ]
    assert {delivery.first_at for delivery in waiting} == {LATER}, "the deadline counts from now"


def test_what_waits_for_its_next_try_is_due_at_once(resources: Resources) -> None:
    send(resources, D.PENDING, reason="cannot be reached")

    assert again(resources, series=[SERIES]) == {(SERIES, "PACS"): 3}

    with resources.sessions() as session:
        assert len(due(session, "PACS", LATER, 9)) == 3
    assert standing(resources)[0] == S.ENCODED


def test_a_failed_analysis_stays_failed_though_an_earlier_result_is_sent(
    resources: Resources,
) -> None:
    send(resources, D.REFUSED, reason="no more room")
    with resources.sessions.begin() as session:
        reprocess(session, SERIES, START)
        ticket = claim_next(session, START)
        assert ticket is not None
        leave(session, ticket, START, new=S.FAILED, reason="no lungs")

    assert again(resources) == {(SERIES, "PACS"): 3}

    assert standing(resources) == (S.FAILED, [D.PENDING] * 3, "no lungs")


@pytest.mark.parametrize(
    "chosen", [{"destinations": ["VNA"]}, {"series": ["2.25.999"]}, {"study": "2.25.999"}]
)
def test_nothing_else_is_touched(resources: Resources, chosen: dict[str, object]) -> None:
    send(resources, D.REFUSED, reason="no more room")
    before = standing(resources)

    assert again(resources, **chosen) == {}

    assert standing(resources) == before


def test_what_has_arrived_is_not_sent_twice(resources: Resources) -> None:
    send(resources, D.ACCEPTED)

    assert again(resources) == {}

    assert standing(resources)[0] == S.DELIVERED


def ini(folder: Path) -> Path:
    path = folder / "dicom-node.ini"
    path.write_text(
        f"[storage]\nfolder = {folder}\ndatabase_url = {database_url(folder)}\n"
        "[destination PACS]\nae_title = PACS\nhost = 127.0.0.1\nport = 104\n"
        "[destination OLD]\nae_title = OLD\nhost = 127.0.0.1\nport = 104\nenabled = no\n"
    )
    return path


def test_the_command_says_what_is_sent_again(resources: Resources, tmp_path: Path) -> None:
    send(resources, D.REFUSED, reason="no more room")
    command = ["redeliver", "--all", "-c", str(ini(tmp_path))]

    first, second = (CliRunner().invoke(app, command) for _ in range(2))

    assert f"{SERIES}: 3 objects to PACS" in first.output
    assert standing(resources)[0] == S.ENCODED
    assert first.exit_code == second.exit_code == 0


def test_the_command_names_what_has_no_file_and_sends_the_rest(
    resources: Resources, tmp_path: Path
) -> None:
    send(resources, D.REFUSED, reason="no more room")
    command = ["redeliver", SERIES, "-c", str(ini(tmp_path))]
    with resources.sessions() as session:
        paths = session.scalars(select(ResultObject.path).order_by(ResultObject.position)).all()
    first, *others = (tmp_path / path for path in paths)

    first.unlink()
    some_missing = CliRunner().invoke(app, command)

    assert f"{SERIES}: 2 objects to PACS" in some_missing.output
    assert f"{SERIES}: 1 object cannot be sent to PACS" in some_missing.output
    assert some_missing.exit_code == 1
    assert standing(resources) == (S.ENCODED, [D.REFUSED, D.PENDING, D.PENDING], "")

    for path in others:
        path.unlink()
    all_missing = CliRunner().invoke(app, command)

    assert f"{SERIES}: 3 objects cannot be sent to PACS" in all_missing.output
    assert all_missing.exit_code == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--all", "--destination", "OLD"],
            "expected a destination that is set and enabled (PACS)",
        ),
        ([], "expected Series Instance UIDs"),
        (["1.2.3"], "expected series that are known, got 1.2.3"),
        (["--study", "1.2.3"], "expected series that are known, got 1.2.3"),
    ],
)
def test_the_command_refuses_what_is_not_there(
    resources: Resources, tmp_path: Path, options: list[str], said: str
) -> None:
    answer = CliRunner().invoke(app, ["redeliver", *options, "-c", str(ini(tmp_path))])

    assert answer.exit_code != 0
    assert said in str(answer.exception)


def take(session: Session) -> None:
    claim(session, due(session, "PACS", START, 1))


def ask(session: Session) -> None:
    assert record_request(
        session,
        "PACS",
        LATER,
        transaction_uid="2.25.7",
        again_at=LATER,
        longest_wait=timedelta(days=9),
    )


def test_what_is_being_sent_to_the_one_before_goes_to_the_new_one_afterwards(
    resources: Resources, tmp_path: Path
) -> None:
    with resources.sessions.begin() as session:
        (taken,) = claim(session, due(session, "PACS", START, 1))
    steps = request_anew(load(ini(tmp_path)), "PACS", START, by="a test")
    assert next(steps).results == 0

    for _ in range(2):
        waiting = next(steps)
        assert (waiting.results, waiting.left, waiting.waits) == (0, ((SERIES, START),), True)
    with resources.sessions.begin() as session:
        settle(session, [Settlement(id=taken.id, state=D.ACCEPTED)], START)
    (ended,) = steps

    assert (ended.results, ended.objects, ended.left, ended.waits) == (1, 3, (), False)
    assert standing(resources)[:2] == (S.ENCODED, [D.PENDING] * 3)


def test_the_command_names_what_is_still_being_sent_to_the_one_before(
    resources: Resources, tmp_path: Path
) -> None:
    with resources.sessions.begin() as session:
        take(session)
    words = ["redeliver", "--to", "PACS", "--since", "2026-02-27", "--seconds", "0"]

    ended = CliRunner().invoke(app, [*words, "-c", str(ini(tmp_path))])

    assert ended.exit_code == 1
    assert f"{SERIES}: left out, for it is being sent to PACS" in ended.output
    assert standing(resources)[1] == [D.SENDING, D.PENDING, D.PENDING]


@pytest.mark.parametrize(("sent", "change"), [([], take), ([D.UNCOMMITTED], ask)])
def test_what_the_node_changes_at_that_moment_is_not_deleted_beneath_it(
    resources: Resources,
    tmp_path: Path,
    database_kind: str,
    sent: list[DeliveryState],
    change: Callable[[Session], None],
) -> None:
    if database_kind == "sqlite":
        pytest.skip("nobody else writes at that moment")
    for state in sent:
        send(resources, state)
    other = Sessions(impatient_database(tmp_path), substitutes=SUBSTITUTES)
    before = standing(resources)[1]

    with resources.sessions.begin() as node:
        change(node)
        with other.begin() as session:
            done = begin_anew(
                session, [SERIES], "PACS", folder=StorageFolder(tmp_path, 0), now=LATER
            )
    other.close()

    assert (done.results, done.sending) == (0, (SERIES,))
    assert len(standing(resources)[1]) == len(before)
