"""Answers of readers at the console, and the trial of another threshold."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from starlette.testclient import TestClient

from config.reader import load
from dicom_node.console.access.people import Role
from dicom_node.console.trial import Labelled, predictive_values, tried
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.results.answers import answers_to
from tests.support.console.console_under_test import NOW, ConsoleUnderTest, form_token

pytestmark = pytest.mark.database


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def answer(browser: TestClient, said: str, comment: str = "", series: str = "1.2.3") -> str:
    fields = {"form_token": form_token(browser), "answer": said, "comment": comment}
    return browser.post(f"/series/{series}/answer", data=fields).text


def test_an_answer_is_kept_with_who_and_when(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    assert "It changes no report" in answer(console.logged_in(Role.READER), "disagree", "basal")
    with console.resources.sessions.reading() as session:
        (kept,) = answers_to(session, ["1.2.3"])
    assert (kept.answer, kept.observer, kept.comment) == ("rejected", "a-reader", "basal")
    assert (kept.said_at, kept.result_key, kept.stands) == (NOW, "key-1.2.3", True)
    shown = console.logged_in(Role.VIEWER).get("/series/1.2.3").text
    assert "The side of the threshold is wrong: basal" in shown
    assert "a-reader" not in shown


def test_a_later_answer_of_the_same_reader_takes_its_place(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.READER)
    answer(browser, "disagree")
    console.clock.pass_by(minutes=1)
    answer(browser, "agree")
    with console.resources.sessions.reading() as session:
        said = {one.answer: one.stands for one in answers_to(session, ["1.2.3"])}
    assert said == {"rejected": False, "accepted": True}


def test_a_viewer_is_not_asked(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    assert "Do you agree" not in browser.get("/series/1.2.3").text
    assert "this needs the role reader" in answer(browser, "agree")


@pytest.mark.parametrize("comment", ["born 19550312", "as in jane's last CT", "DOE", "A17X again"])
def test_a_comment_that_names_the_patient_is_not_kept(
    console: ConsoleUnderTest, tmp_path: Path, comment: str
) -> None:
    made = make_phantom(PhantomSpec(slices=1, size=32, lesions=0))
    (path,) = write_series(phantom_datasets(made, seed=1), tmp_path / "made")
    ds = dcmread(path)
    ds.PatientName, ds.AccessionNumber = "Doe^Jane", "A17X"
    ds.save_as(tmp_path / "kept.dcm")
    console.analyse("1.2.3", path="kept.dcm")
    text = answer(console.logged_in(Role.READER), "agree", comment)
    assert "seems to name the patient" in text
    with console.resources.sessions.reading() as session:
        assert answers_to(session, ["1.2.3"]) == []


def test_there_is_nothing_to_answer_without_a_result(console: ConsoleUnderTest) -> None:
    console.receive("1.2.3")
    browser = console.logged_in(Role.READER)
    assert "There is no result to answer to." in answer(browser, "agree")


def test_a_trial_counts_what_changes_sides() -> None:
    labelled = [
        Labelled(score=0.9, is_positive=True),
        Labelled(score=0.5, is_positive=True),
        Labelled(score=0.5, is_positive=False),
        Labelled(score=0.1, is_positive=False),
    ]
    scores = [0.1, 0.44, 0.5, 0.5999, 0.6, 0.9, 1.0]
    trial = tried(scores, labelled, now=0.44, then=0.6, days=2, prevalence=0.5)
    assert (trial.series, trial.changes, sum(trial.bars)) == (7, 3, 7)
    assert (trial.now.positives, trial.then.positives, trial.now.per_day) == (6, 3, 3.0)
    assert trial.now.sensitivity is not None
    assert trial.then.sensitivity is not None
    assert trial.then.specificity is not None
    assert (trial.now.sensitivity.value, trial.then.sensitivity.value) == (1.0, 0.5)
    assert trial.then.specificity.value == 1.0
    assert (trial.then.ppv, trial.then.npv) == (1.0, pytest.approx(2 / 3))
    assert trial.is_few


def test_predictive_values_are_those_of_a_textbook() -> None:
    # Altman and Bland, BMJ 1994;309:102: sensitivity 0.90, specificity 0.63, prevalence 0.75
    ppv, npv = predictive_values(231 / 258, 54 / 86, 258 / 344)
    assert ppv == pytest.approx(231 / 263)
    assert npv == pytest.approx(54 / 81)
    assert predictive_values(0.0, 1.0, 0.1)[0] is None  # nothing is called positive


def test_the_page_tries_a_threshold_and_names_the_cases(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", score=0.5)
    console.analyse("1.2.2", score=0.9)
    console.analyse("1.2.4", NOW - timedelta(days=40), score=0.5)
    browser = console.logged_in(Role.VIEWER)
    text = browser.get("/thresholds/outcome?threshold=0.6&days=30").text
    assert "/series/1.2.1" in text
    assert "/series/1.2.2" not in text
    assert "/series/1.2.4" not in text
    assert "2 → 1" in text
    assert "/series/1.2.4" in browser.get("/thresholds/outcome?threshold=0.6&days=90").text
    assert "Nothing changes until you apply it" in browser.get("/thresholds").text


@pytest.mark.parametrize("query", ["threshold=x", "threshold=2", "threshold=nan", "days=1000000"])
def test_a_trial_of_nonsense_is_refused(console: ConsoleUnderTest, query: str) -> None:
    browser = console.logged_in(Role.VIEWER)
    assert browser.get(f"/thresholds/outcome?{query}").status_code == 400


def test_a_threshold_is_written_into_the_file_by_name(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"# ours\n[storage]\nfolder = {tmp_path}\n")
    console.use(ini)
    browser = console.logged_in(Role.ADMIN)
    seen = re.search('name="seen" value="(.*?)"', browser.get("/thresholds").text)
    assert seen is not None
    fields = {"form_token": form_token(browser), "threshold": "0.6", "seen": seen[1]}
    assert browser.post("/thresholds/apply", data=fields).status_code == 303
    assert load(ini).analysis.threshold == 0.6
    assert ini.read_text().startswith("# ours\n[storage]")
    assert "0.6" in browser.get("/people").text
    assert "a-admin" in browser.get("/thresholds").text

    answer = browser.post("/thresholds/apply", data=fields)  # the file is another by now
    assert answer.status_code == 409
    fields["seen"], fields["threshold"] = "", "7"
    assert browser.post("/thresholds/apply", data=fields).status_code == 409
    assert load(ini).analysis.threshold == 0.6


def test_only_administrators_apply(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.READER)
    fields = {"form_token": form_token(browser), "threshold": "0.1", "seen": ""}
    assert browser.post("/thresholds/apply", data=fields).status_code == 403
