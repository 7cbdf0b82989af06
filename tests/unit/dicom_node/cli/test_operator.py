"""An operator's day by command line: failures and their reasons, the queue, a replaced PACS."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result as Ended
from sqlalchemy import insert, select, text, update
from typer.testing import CliRunner

from config.reader import load
from dicom_node.assembly.rerun_requests import AT_ONCE
from dicom_node.assembly.resources import open_resources
from dicom_node.cli.app import app
from dicom_node.cli.options import day_of
from dicom_node.errors import NodeError
from dicom_node.identity_key import existing_key, keyed
from storage.console.changes import latest_changes
from storage.database.schema import Closing, Delivery, Result, ResultObject, Series
from storage.delivery.outbox import due
from storage.errors import StorageError
from storage.series.pace import seconds_each
from storage.states import DeliveryState, SeriesState
from tests.support.node_process import INI

D, S = DeliveryState, SeriesState
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
Run = Callable[..., str]


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    """A node that has been started, with two destinations."""
    path = tmp_path / "node.ini"
    second = "[destination ARCHIVE]\nae_title = ARCHIVE\nhost = ::1\nport = 2\n"
    path.write_text(INI.format(port=11112, pacs_port=104, quiet=1, more=second))
    resources = open_resources(load(path))
    keyed(resources).close()
    return path


@pytest.fixture
def run(ini: Path) -> Run:
    def call(*words: str, status: int = 0) -> str:
        ended: Ended = CliRunner().invoke(app, [*words, "--config", str(ini)])
        assert ended.exit_code == status, (ended.output, ended.exception)
        return ended.output

    return call


def enter(ini: Path, *rows: dict[str, object]) -> None:
    """Enter series; what a row does not say is as of a chest CT that was delivered yesterday."""
    usual = {
        "study_instance_uid": "8",
        "modality": "CT",
        "sop_class_uid": "1",
        "calling_ae": "CT1",
        "first_at": NOW - DAY,
        "last_at": NOW - DAY,
        "since": NOW - DAY,
        "instances": 40,
        "state": S.DELIVERED,
    }
    with (
        closing(open_resources(load(ini))) as resources,
        resources.sessions.begin() as session,
    ):
        session.execute(insert(Series), [{**usual, **row} for row in rows])


def result_of(
    ini: Path, uid: str, *, made: datetime = NOW, revision: int = 1, count: int = 2
) -> None:
    """Give a series a result whose objects have arrived at PACS."""
    with (
        closing(open_resources(load(ini))) as resources,
        resources.sessions.begin() as session,
    ):
        key = f"{uid}-{revision}"
        folder = resources.folder.keep_result(key, {f"{n}.dcm": b"x" for n in range(count)})
        session.add(
            Result(
                key=key,
                series_instance_uid=uid,
                generation=1,
                created_at=made,
                model="m",
                score=0.5,
                positive=True,
                revision=revision,
                summary="{}",
                folder=folder,
            )
        )
        session.execute(
            update(Series).where(Series.series_instance_uid == uid).values(result_key=key)
        )
        for n in range(count):
            sop = f"2.25.{uid}.{revision}.{n}"
            session.add(
                ResultObject(
                    sop_instance_uid=sop,
                    result_key=key,
                    kind="heatmap",
                    sop_class_uid="1",
                    series_instance_uid="7",
                    transfer_syntax_uid="1",
                    path=f"{folder}/{n}.dcm",
                    position=n,
                )
            )
            session.flush()
            session.add(
                Delivery(
                    sop_instance_uid=sop,
                    destination="PACS",
                    state=D.COMMITTED,
                    first_at=made,
                    next_at=made,
                )
            )


def test_yesterdays_failures_with_their_reasons_are_one_step(ini: Path, run: Run) -> None:
    noon = datetime.now().astimezone().replace(hour=12, minute=0)
    failed = [
        {
            "series_instance_uid": f"2.25.{n}",
            "state": S.FAILED,
            "reason": f"reason {n}",
            "since": noon - DAY,
        }
        for n in range(60)
    ]
    today = {**failed[0], "series_instance_uid": "9", "since": noon, "reason": "of today"}
    enter(ini, *failed, today, {"series_instance_uid": "10"})

    said = run("series", "list", "--state", "failed", "--day", "yesterday")

    assert said.splitlines()[-1] == "60 series"
    assert all(f"    reason {n}\n" in said for n in range(60))
    assert "of today" not in said
    assert run("series", "list").splitlines()[-1] == "62 series"
    assert run("series", "list", "--since", "today").splitlines()[-1] == "1 series"
    assert run("series", "list", "--limit", "7").splitlines()[-1] == "7 series"
    told = json.loads(run("series", "list", "--state", "failed", "--day", "yesterday", "--json"))
    assert {line["reason"] for line in told} == {f"reason {n}" for n in range(60)}


def test_what_is_tried_again_has_its_reason_beside_its_series(ini: Path, run: Run) -> None:
    enter(ini, {"series_instance_uid": "1", "state": S.ENCODED}, {"series_instance_uid": "2"})
    for uid in ("1", "2"):
        result_of(ini, uid)
    with open_resources(load(ini)).sessions.begin() as session:
        of_the_first = Delivery.sop_instance_uid.startswith("2.25.1.")
        session.execute(update(Delivery).values(reason="0xB000"))
        session.execute(
            update(Delivery).where(of_the_first).values(state=D.PENDING, reason="PACS is away")
        )

    said = run("series", "list", "--destination", "PACS")
    told = json.loads(run("series", "list", "--destination", "PACS", "--json"))

    assert "    PACS: 2 pending: PACS is away\n" in said
    assert "0xB000" not in said
    assert {one["series_instance_uid"]: len(one["remarks"]) for one in told} == {"1": 1, "2": 0}
    assert next(one["remarks"] for one in told if one["remarks"])[0]["reason"] == "PACS is away"


def test_what_waits_for_a_destination_that_was_removed_is_listed(ini: Path, run: Run) -> None:
    enter(ini, {"series_instance_uid": "1", "state": S.ENCODED})
    result_of(ini, "1")
    with open_resources(load(ini)).sessions.begin() as session:
        session.execute(update(Delivery).values(destination="OLD", state=D.PENDING))

    assert "OLD: 2 pending; not in the settings" in run("destinations", "list")
    assert "OLD: 2 pending" in run("queue")


def test_more_series_than_a_page_are_all_listed_once(ini: Path, run: Run) -> None:
    enter(ini, *({"series_instance_uid": f"2.25.{n}", "last_at": NOW} for n in range(1100)))

    uids = [line["series_instance_uid"] for line in json.loads(run("series", "list", "--json"))]

    assert (len(uids), len(set(uids))) == (1100, 1100)


def test_series_are_found_by_who_sent_who_gets_and_of_whom_they_are(ini: Path, run: Run) -> None:
    key = existing_key(load(ini).storage.folder)
    enter(
        ini,
        {
            "series_instance_uid": "1",
            "patient_digest": key.digest("Ä-17".encode().decode("latin-1")),
        },
        {"series_instance_uid": "2", "accession_key": key.digest("A1"), "calling_ae": "CT2"},
        {"series_instance_uid": "3", "study_instance_uid": "80"},
    )
    result_of(ini, "2")

    def found(*words: str) -> list[str]:
        told = json.loads(run("series", "list", "--json", *words))
        return [line["series_instance_uid"] for line in told]

    assert found("--patient", " Ä-17 ") == ["1"]
    assert found("--patient", "Ä-1") == []
    assert found("--accession", "A1") == ["2"]
    assert found("--sender", "CT2") == ["2"]
    assert found("--destination", "PACS") == ["2"]
    assert found("--destination", "ARCHIVE") == []
    assert found("--study", "80") == ["3"]
    assert "Ä-17" not in run("series", "list")


@pytest.mark.parametrize("words", ["tomorrow", "2026-13-01", "1.2.2026", "9999-12-31"])
def test_a_day_that_is_none_is_told_with_what_was_expected(words: str) -> None:
    with pytest.raises(NodeError, match=r"expected a day, today\|yesterday\|YYYY-MM-DD, got"):
        day_of(words, datetime.now().astimezone())


def test_a_day_is_that_of_this_machine() -> None:
    now = datetime.now().astimezone()
    start, end = day_of("today", now)

    assert start <= now < end
    assert (start.hour, end.hour) == (0, 0)
    assert day_of("yesterday", now)[1] == start


@pytest.mark.parametrize(
    ("analyses", "seconds"),
    [
        ([], None),
        ([(0, 30)], 30),  # it was closed, and had its result 30 s later
        ([(0, 30), (0, 60), (0, 90)], 30),  # the others waited for the first
        ([(0, 30), (0, 30), (0, 60), (0, 60)], 15),  # two workers
        ([(0, 30), (1000, 1040)], 35),  # nothing waited in between
        ([(50, 30)], 0),  # the clock was put back
    ],
)
def test_the_pace_is_taken_while_series_wait(
    analyses: list[tuple[int, int]], seconds: float | None
) -> None:
    at = [(NOW + timedelta(seconds=a), NOW + timedelta(seconds=b)) for a, b in analyses]

    assert seconds_each(at) == seconds


def test_the_queue_says_ages_and_when_results_are_expected(ini: Path, run: Run) -> None:
    enter(
        ini,
        {"series_instance_uid": "1", "last_at": NOW - timedelta(minutes=8)},
        {"series_instance_uid": "2", "state": S.STABLE, "since": NOW - timedelta(minutes=3)},
        {"series_instance_uid": "3", "state": S.ANALYSING, "since": NOW - timedelta(minutes=1)},
        {"series_instance_uid": "4", "state": S.RECEIVING, "since": NOW},
    )
    nothing = run("queue")
    assert "nothing was analysed of late" in nothing
    assert "expected" not in nothing
    result_of(ini, "1", made=NOW - timedelta(minutes=5))
    with (
        closing(open_resources(load(ini))) as resources,
        resources.sessions.begin() as session,
    ):
        session.add(
            Closing(
                series_instance_uid="1",
                generation=1,
                calling_ae="CT1",
                closed_by="quiet",
                instances=40,
                waited_seconds=60,
                closed_at=NOW - timedelta(minutes=7),
            )
        )
        session.execute(update(Delivery).values(state=D.PENDING, first_at=NOW - timedelta(hours=5)))

    told = json.loads(run("queue", "--json"))

    assert told["seconds_each"] == 120
    assert [line["series_instance_uid"] for line in told["series"]] == ["3", "2", "4"]
    expected = [
        datetime.fromisoformat(line["expected_at"])
        for line in told["series"]
        if line["expected_at"]
    ]
    assert len(expected) == 2
    assert expected[1] - expected[0] == timedelta(seconds=120)
    assert told["series"][1]["waits_seconds"] >= 180
    said = run("queue")
    assert "3 series wait or are worked on; one result in 2 min 0 s" in said
    assert "PACS: 2 pending, the oldest for 5 h" in said
    assert "ARCHIVE: nothing waits" in said
    result_of(ini, "1", revision=2)  # issued again, long after the series was closed
    assert "nothing was analysed of late" in run("queue")


def deliveries(ini: Path) -> list[tuple[str, str, str, bool]]:
    with closing(open_resources(load(ini))) as resources, resources.sessions.reading() as session:
        rows = session.scalars(select(Delivery).order_by(Delivery.sop_instance_uid, Delivery.id))
        return [(r.sop_instance_uid, r.destination, str(r.state), r.again) for r in rows]


def states(ini: Path) -> dict[str, str]:
    with closing(open_resources(load(ini))) as resources, resources.sessions.reading() as session:
        return {r.series_instance_uid: str(r.state) for r in session.scalars(select(Series))}


def test_a_replaced_pacs_gets_everything_once_more(ini: Path, run: Run) -> None:
    enter(ini, *({"series_instance_uid": uid} for uid in ("1", "2", "3")))
    result_of(ini, "1", made=NOW - 9 * DAY)
    result_of(ini, "2", made=NOW)
    result_of(ini, "3", made=NOW)
    result_of(ini, "3", made=NOW, revision=2)
    day = f"{(NOW - 2 * DAY).astimezone():%Y-%m-%d}"

    said = run("redeliver", "--to", "PACS", "--since", day)

    assert "2 results go to PACS once more, 4 objects" in said
    assert states(ini) == {"1": "delivered", "2": "encoded", "3": "encoded"}
    assert deliveries(ini) == [
        *((f"2.25.1.1.{n}", "PACS", "committed", False) for n in range(2)),
        *((f"2.25.2.1.{n}", "PACS", "pending", True) for n in range(2)),
        *((f"2.25.3.2.{n}", "PACS", "pending", True) for n in range(2)),
    ]
    with closing(open_resources(load(ini))) as resources, resources.sessions.begin() as session:
        (change, *_) = latest_changes(session, 1)
        assert (change.action, change.subject) == ("redeliver", "PACS")
        assert "2 series" in change.after
    run("redeliver", "--to", "PACS", "--since", day)  # twice is the same as once
    assert len(deliveries(ini)) == 6


def test_a_run_that_breaks_off_says_from_where_to_go_on(ini: Path) -> None:
    uids = [str(n) for n in range(AT_ONCE + 1)]
    enter(ini, *({"series_instance_uid": uid} for uid in uids))
    for uid in uids:
        result_of(ini, uid, count=1, made=NOW - (0 if uid == uids[-1] else 3) * DAY)
    with closing(open_resources(load(ini))) as resources, resources.sessions.begin() as session:
        session.execute(
            text(
                "CREATE TRIGGER full BEFORE INSERT ON delivery"
                f" WHEN NEW.sop_instance_uid = '2.25.{uids[-1]}.1.0'"
                " BEGIN SELECT RAISE(ABORT, 'no room'); END"
            )
        )
    day = f"{(NOW - 5 * DAY).astimezone():%Y-%m-%d}"

    words = ["redeliver", "--to", "PACS", "--since", day, "--config", str(ini)]
    ended = CliRunner().invoke(app, words)

    assert isinstance(ended.exception, StorageError)
    assert f"ended half-way, {AT_ONCE} results go to PACS once more; to go on:" in ended.output
    assert f"dicom-node redeliver --to PACS --since {NOW.astimezone():%Y-%m-%d}" in ended.output


def test_a_new_destination_gets_what_was_made_before_it_was_there(ini: Path, run: Run) -> None:
    enter(ini, {"series_instance_uid": "1"})
    result_of(ini, "1")

    assert "1 results go to ARCHIVE once more, 2 objects" in run(
        "redeliver", "--to", "ARCHIVE", "--since", "today"
    )
    assert [(name, state) for _, name, state, _ in deliveries(ini)] == [
        ("PACS", "committed"),
        ("ARCHIVE", "pending"),
    ] * 2


def test_what_is_new_is_not_held_up_by_what_goes_once_more(ini: Path, run: Run) -> None:
    enter(
        ini, {"series_instance_uid": "1"}, {"series_instance_uid": "2", "study_instance_uid": "9"}
    )
    result_of(ini, "1")
    run("redeliver", "--to", "PACS", "--since", "today")
    result_of(ini, "2")
    later = datetime.now(UTC) + timedelta(seconds=1)
    with closing(open_resources(load(ini))) as resources, resources.sessions.begin() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.sop_instance_uid.startswith("2.25.2."))
            .values(state=D.PENDING, first_at=later, next_at=later)
        )
        order = [one.sop_instance_uid for one in due(session, "PACS", later, 9)]
        assert order == ["2.25.2.1.0", "2.25.2.1.1", "2.25.1.1.0", "2.25.1.1.1"]
    result_of(ini, "1", revision=2)  # a newer one must not overtake the older
    with closing(open_resources(load(ini))) as resources, resources.sessions.begin() as session:
        session.execute(
            update(Delivery)
            .where(Delivery.sop_instance_uid.startswith("2.25.1.2."))
            .values(state=D.PENDING, first_at=later, next_at=later)
        )
        order = [one.sop_instance_uid for one in due(session, "PACS", later, 9)]
        assert order.index("2.25.1.1.0") < order.index("2.25.1.2.0")


def test_what_is_not_kept_any_more_is_named(ini: Path, run: Run) -> None:
    enter(ini, {"series_instance_uid": "1"}, {"series_instance_uid": "2"})
    result_of(ini, "1")
    result_of(ini, "2")
    next((load(ini).storage.folder / "results").rglob("1.dcm")).unlink()

    said = run("redeliver", "--to", "PACS", "--since", "today", status=1)

    assert "not kept any more" in said
    assert "1 results go to PACS once more" in said


@pytest.mark.parametrize(
    "words",
    [
        ("--to", "PACS"),
        ("--since", "today"),
        ("--to", "PACS", "--since", "today", "--all"),
        ("--to", "NOWHERE", "--since", "today"),
        ("--to", "PACS", "--since", "soon"),
    ],
)
def test_half_a_wish_is_refused(ini: Path, words: tuple[str, ...]) -> None:
    ended = CliRunner().invoke(app, ["redeliver", *words, "--config", str(ini)])

    assert isinstance(ended.exception, NodeError)
    assert "expected" in str(ended.exception)
