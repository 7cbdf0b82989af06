"""Stored scores in memory: what is new is read, and what was chosen is given."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from dicom_node.console.score_table import ScoreTable
from storage.console.scores import Choice
from storage.database.schema import Result
from tests.support.console.console_under_test import NOW, ConsoleUnderTest

pytestmark = pytest.mark.database
DAY = timedelta(days=1)
MONTH = NOW - 30 * DAY


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def table(console: ConsoleUnderTest) -> ScoreTable:
    return console.console.scores


def chosen(console: ConsoleUnderTest, **choice: str) -> list[float]:
    found = table(console).columns().chosen(Choice(since=MONTH, **choice))
    return sorted(map(float, found.scores))


def test_scores_are_chosen_by_time_scanner_and_kernel(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", NOW - DAY, score=0.1, scanner="A", kernel="X")
    console.analyse("1.2.2", NOW - 2 * DAY, score=0.2, scanner="B", kernel="X")
    console.analyse("1.2.3", NOW - 40 * DAY, score=0.3, scanner="A", kernel="X")
    assert chosen(console) == [0.1, 0.2]
    assert chosen(console, scanner="A") == [0.1]
    assert chosen(console, kernel="X", sender="CT1") == [0.1, 0.2]
    assert chosen(console, scanner="C") == chosen(console, sender="CT2") == []


def test_scores_of_another_model_are_apart(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", NOW - 2 * DAY, score=0.1, model="m 1")
    console.analyse("1.2.2", NOW - DAY, score=0.2, model="m 2")
    assert chosen(console, model="m 2") == [0.2]
    found = table(console).columns()
    assert found.first_at == NOW - 2 * DAY
    assert found.chosen(Choice(since=MONTH, model="m 2")).first_at == NOW - DAY
    assert found.chosen(Choice(since=MONTH, model="m 3")).first_at is None


def test_a_notice_in_place_of_a_score_takes_it_away_at_once(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", score=0.1)
    console.analyse("1.2.2", score=0.0)
    assert chosen(console) == [0.0, 0.1]
    with console.resources.sessions.begin() as session:
        session.execute(update(Result).where(Result.key == "key-1.2.1").values(score=None))
    assert chosen(console) == [0.0]


def test_a_small_step_back_of_the_clock_reads_nothing_anew(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", NOW - DAY, score=0.1)
    assert chosen(console) == [0.1]
    with console.resources.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE series SET result_key = NULL")
    console.clock.pass_by(seconds=-5)
    assert chosen(console) == [0.1]  # not looked at: as before
    console.analyse("1.2.2", NOW - timedelta(seconds=5), score=0.2)
    assert chosen(console) == [0.1, 0.2]


def test_the_latest_cases_between_two_thresholds_are_named(console: ConsoleUnderTest) -> None:
    for number in range(1, 6):
        console.analyse(f"1.2.{number}", NOW - number * DAY, score=number / 10)
    found = table(console).columns()
    assert found.latest((found.scores > 0.1) & (found.scores <= 0.4), 2) == ["1.2.2", "1.2.3"]
    assert found.latest((found.scores > 0.3) & (found.scores <= 0.4), 2) == ["1.2.4"]
    assert found.latest(found.scores < 0, 2) == []


def test_a_result_that_was_made_since_is_there_at_once(console: ConsoleUnderTest) -> None:
    assert chosen(console) == []
    console.analyse("1.2.1", NOW - timedelta(minutes=6), score=0.1, scanner="A")
    assert chosen(console) == [0.1]
    before = table(console).columns()
    assert table(console).columns() is before  # nothing was made anew
    console.analyse("1.2.2", NOW - timedelta(minutes=5), score=0.2, scanner="B")
    assert chosen(console) == [0.1, 0.2]
    assert chosen(console, scanner="B") == [0.2]


def test_what_was_removed_is_gone_when_all_is_read_anew_as_by_a_clock_set_back(
    console: ConsoleUnderTest,
) -> None:
    console.analyse("1.2.1", score=0.1)
    assert chosen(console) == [0.1]
    with console.resources.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE series SET result_key = NULL")
    assert chosen(console) == [0.1]
    table(console).reload()
    assert chosen(console) == []
    console.analyse("1.2.2", NOW - 20 * DAY, score=0.2)
    console.clock.pass_by(days=-1)
    assert chosen(console) == [0.2]
