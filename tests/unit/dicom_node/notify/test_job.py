"""Telling for real: a mail server and a web service on this machine, and servers that are dead."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dicom_node.notify.apprise_sender import MessageSender, send_message
from dicom_node.notify.decision import Rules
from dicom_node.notify.job import NotifyJob, NotifyRules
from dicom_node.notify.memory import FILE
from dicom_node.resources import Resources
from storage.database.engine import open_database
from storage.database.schema import Delivery, Result, Series
from storage.database.self_test_series import mark_as_self_test
from storage.database.sessions import Sessions
from storage.results.drift import accept, enter_finding
from storage.results.to_tell import series_of_reference
from storage.series.lifecycle import advance
from storage.states import DeliveryState, SeriesState
from tests.support.peers.mail_sink import MailSink, mail_sink
from tests.support.peers.web_sink import WebSink, web_sink
from tests.support.results_due import CT, Hands, store_with_results

GAP = timedelta(minutes=10)
SERIES, SCANNER = CT.series_instance_uid, CT.equipment.scanner
KEY = "0123456789abcdef" * 4

pytestmark = pytest.mark.database


@pytest.fixture
def mail() -> Iterator[MailSink]:
    with mail_sink() as server:
        yield server


@pytest.fixture
def web() -> Iterator[WebSink]:
    with web_sink() as server:
        yield server


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def resources(tmp_path: Path, clock: Hands) -> Iterator[Resources]:
    found = store_with_results(tmp_path, clock)
    with found.sessions.begin() as session:
        session.execute(update(Result).values(positive=False))
    clock.now += timedelta(minutes=1)
    yield found
    found.close()


def job(
    resources: Resources, folder: Path, *lines: str, send: MessageSender = send_message
) -> NotifyJob:
    file = folder / "recipients"
    file.write_text("\n".join(lines) + "\n")
    rules = NotifyRules(
        recipients_file=file,
        backlog=timedelta(hours=1),
        rules=Rules(gap=GAP, again=timedelta(hours=24), source="AINODE"),
    )
    return NotifyJob(resources, rules, lambda: ("PACS",), send)


def fail_series(resources: Resources, clock: Hands) -> None:
    with resources.sessions.begin() as session:
        advance(
            session,
            SERIES,
            old=SeriesState.ENCODED,
            new=SeriesState.FAILED,
            now=clock(),
            reason="PACS refused 1 object: 1.2.840.1.2.3",
        )


def make_positive(resources: Resources, clock: Hands) -> None:
    with resources.sessions.begin() as session:
        session.add(
            Result(
                key=KEY,
                series_instance_uid=SERIES,
                generation=1,
                revision=7,
                created_at=clock(),
                model="m",
                score=0.9,
                positive=True,
                summary="{}",
                folder="results/x",
            )
        )


def dead_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hooked(web: WebSink) -> list[str]:
    return [json.loads(posted.body)["message"] for posted in web.posted]


def test_no_positive_result_is_told_while_results_are_withheld(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    withheld = True
    telling = job(resources, tmp_path, f"positives json://127.0.0.1:{web.port}")
    telling._withholds = lambda: withheld
    telling.run_once()
    make_positive(resources, clock)

    telling.run_once()
    assert web.posted == []

    withheld = False
    clock.now += GAP
    telling.run_once()
    (said,) = hooked(web)
    assert "score above the threshold" in said


def test_mail_and_webhook_are_told_by_rule(
    resources: Resources, clock: Hands, tmp_path: Path, mail: MailSink, web: WebSink
) -> None:
    at_mail = (
        f"mailto://127.0.0.1:{mail.port}?from=node@example.org&to=it@example.org&mode=insecure"
    )
    telling = job(
        resources, tmp_path, f"faults {at_mail}", f"positives json://127.0.0.1:{web.port}"
    )
    telling.run_once()
    assert (mail.mails, web.posted) == ([], [])

    resources.health.fault("engine", "no answer")
    make_positive(resources, clock)
    telling.run_once()

    (letter,) = mail.mails
    assert letter["Subject"] == "dicom-node AINODE: 1 faults"
    assert "engine since" in letter.as_string()
    (told,) = hooked(web)
    assert "not a diagnosis: result 0123456789ab" in told
    assert SERIES not in told
    with resources.sessions.reading() as session:
        assert series_of_reference(session, "0123456789AB ") == [SERIES]
        assert series_of_reference(session, "0123456789ac") == []
        assert series_of_reference(session, "%") == []


def test_a_positive_result_that_is_held_back_is_told_once_its_scanner_is_accepted(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, f"positives json://127.0.0.1:{web.port}")
    telling.run_once()
    with resources.sessions.begin() as session:
        enter_finding(session, SCANNER, "noise_hu", "", "hold", clock())
    make_positive(resources, clock)
    telling.run_once()
    assert hooked(web) == []

    with resources.sessions.begin() as session:
        accept(session, SCANNER, "somebody", clock())
    telling.run_once()

    assert len(hooked(web)) == 1


def test_a_failure_is_told_once_also_after_a_restart(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    hook = f"failures json://127.0.0.1:{web.port}"
    job(resources, tmp_path, hook).run_once()
    fail_series(resources, clock)
    for _ in range(3):
        job(resources, tmp_path, hook).run_once()
        clock.now += GAP

    (told,) = hooked(web)
    assert "PACS refused 1 object: (UID)" in told
    assert resources.health.snapshot() == ()


def test_what_was_before_the_first_start_is_not_told(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    fail_series(resources, clock)
    clock.now += timedelta(seconds=1)
    job(resources, tmp_path, f"all json://127.0.0.1:{web.port}").run_once()

    assert hooked(web) == []


def test_a_dead_server_is_a_fault_and_is_told_later(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    port = dead_port()
    dead = f"mailto://127.0.0.1:{port}?from=node@example.org&to=it@example.org&mode=insecure"
    telling = job(resources, tmp_path, f"failures {dead}", f"faults json://127.0.0.1:{web.port}")
    telling.run_once()
    fail_series(resources, clock)
    telling.run_once()
    telling.run_once()

    (fault,) = resources.health.snapshot()
    assert (fault.part, fault.count) == ("notify line 1", 1)
    assert fault.reason.endswith("line 1 (mailto): the service did not take it, or is not there")
    assert "notify line 1 since" in hooked(web)[0]

    clock.now += GAP
    with mail_sink(port) as mail:
        telling.run_once()
        assert [letter["Subject"] for letter in mail.mails] == ["dicom-node AINODE: 1 failures"]
    assert resources.health.snapshot() == ()


def test_the_fault_of_a_recipient_ends_with_its_cause(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    dead = f"backlog json://127.0.0.1:{dead_port()}"
    telling = job(resources, tmp_path, dead)
    clock.now += timedelta(hours=2)
    telling.run_once()
    assert [one.part for one in resources.health.snapshot()] == ["notify line 1"]
    clock.now += GAP / 2
    telling.run_once()
    assert [one.part for one in resources.health.snapshot()] == ["notify line 1"]

    with resources.sessions.begin() as session:
        session.execute(update(Delivery).values(state=DeliveryState.ACCEPTED))
        session.execute(update(Series).values(state=SeriesState.DELIVERED))
    clock.now += GAP
    telling.run_once()
    assert resources.health.snapshot() == ()


def test_the_fault_of_a_recipient_ends_when_it_is_in_the_file_no_more(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, f"backlog json://127.0.0.1:{dead_port()}")
    clock.now += timedelta(hours=2)
    telling.run_once()
    assert [one.part for one in resources.health.snapshot()] == ["notify line 1"]

    (tmp_path / "recipients").write_text(f"\nbacklog json://127.0.0.1:{web.port}\n")
    telling.run_once()
    assert resources.health.snapshot() == ()


def test_who_was_told_is_noted_before_the_next_is_told(
    resources: Resources, tmp_path: Path, clock: Hands
) -> None:
    sent: list[str] = []

    def killed_at_the_second(url: str, _: str, __: str) -> None:
        sent.append(url)
        if len(sent) == 2:
            raise KeyboardInterrupt

    telling = job(
        resources, tmp_path, "faults json://one", "faults json://two", send=killed_at_the_second
    )
    resources.health.fault("engine", "no answer")
    with pytest.raises(KeyboardInterrupt):
        telling.run_once()
    job(
        resources, tmp_path, "faults json://one", "faults json://two", send=killed_at_the_second
    ).run_once()

    assert sent == ["json://one", "json://two", "json://two"]


def test_a_database_that_is_away_is_told_and_nothing_else_is_over(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, f"all json://127.0.0.1:{web.port}")
    telling.run_once()
    fail_series(resources, clock)
    telling.run_once()
    clock.now += GAP
    away = Resources(
        sessions=Sessions(open_database("postgresql+psycopg://nobody@127.0.0.1:1/none")),
        folder=resources.folder,
        clock=clock,
        health=resources.health,
    )
    resources.health.fault("database", "is away")
    job(away, tmp_path, f"all json://127.0.0.1:{web.port}").run_once()
    resources.health.well("database")
    clock.now += GAP
    telling = job(resources, tmp_path, f"all json://127.0.0.1:{web.port}")
    telling.run_once()

    heads = [json.loads(posted.body)["title"] for posted in web.posted]
    assert heads == [
        "dicom-node AINODE: 1 failures",
        "dicom-node AINODE: 1 faults",
        "dicom-node AINODE: 1 over",
    ]


def test_a_file_of_rules_that_is_wrong_is_a_fault_until_it_is_right(
    resources: Resources, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, "nonsense")
    telling.run_once()
    (fault,) = resources.health.snapshot()
    assert "line 1: expected subjects" in fault.reason

    (tmp_path / "recipients").write_text(f"all json://127.0.0.1:{web.port}\n")
    telling.run_once()
    assert resources.health.snapshot() == ()


def test_the_memory_holds_no_address(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, f"all json://user:secret@127.0.0.1:{web.port}")
    resources.health.fault("engine", "no answer")
    telling.run_once()

    text = (resources.folder.root / FILE).read_text()
    assert "engine" in text
    assert "secret" not in text


def test_a_series_of_the_self_test_is_nobodys_news(
    resources: Resources, clock: Hands, tmp_path: Path, web: WebSink
) -> None:
    telling = job(resources, tmp_path, f"failures,positives json://127.0.0.1:{web.port}")
    telling.run_once()
    with resources.sessions.begin() as session:
        mark_as_self_test(session, SERIES)
    make_positive(resources, clock)
    fail_series(resources, clock)
    telling.run_once()

    assert hooked(web) == []
