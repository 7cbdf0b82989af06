"""Answers of readers at the console, and the trial of another threshold."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from sqlalchemy import update
from starlette.testclient import TestClient

from config.reader import load
from config.settings import AnalysisSettings
from dicom_node.console.access.people import Role
from dicom_node.console.feedback.truth import Labelled
from dicom_node.console.pages.thresholds import bounds_of
from dicom_node.console.trial import card_points, tried
from dicom_node.identity_key import existing_key
from dicom_node.maintenance.feedback_cases import case_rows
from pipeline.decision import Bounds
from pipeline.encode.common.segments import finding_names
from pipeline.model.manifest import BUNDLED
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Result
from storage.results.answers import answers_to, assessed_results
from tests.support.console.console_under_test import NOW, SUMMARY, ConsoleUnderTest, form_token
from tests.support.scanner_groups import (
    GROUP_HIGH,
    GROUP_LOW,
    OWN,
    manifest_with_groups,
    write_model_with_groups,
)

pytestmark = pytest.mark.database
LESION = SUMMARY["lesions"][0]
SITE = Bounds(threshold=0.6, operating_point="site")


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def answer(browser: TestClient, said: str, comment: str = "", result: str = "key-1.2.3") -> str:
    fields = {"form_token": form_token(browser), "answer": said, "comment": comment}
    answered = browser.post("/series/1.2.3/answer", data=fields | {"result": result})
    target = answered.headers.get("location")
    return browser.get(target).text if target else answered.text


def test_an_answer_is_kept_with_who_and_when(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    assert "It changes no report" in answer(console.logged_in(Role.READER), "disagree", "")
    with console.resources.sessions.reading() as session:
        (kept,) = answers_to(session, ["1.2.3"])
    assert (kept.answer, kept.observer, kept.role) == ("rejected", "a-reader", "console")
    assert (kept.said_at, kept.result_key, kept.stands) == (NOW, "key-1.2.3", True)
    shown = console.logged_in(Role.VIEWER).get("/series/1.2.3").text
    assert "The side of the threshold is wrong" in shown
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


def test_of_an_indeterminate_result_readers_are_asked_what_they_read(
    console: ConsoleUnderTest,
) -> None:
    console.analyse("1.2.3", score=0.44, threshold=0.4908, indeterminate_from=0.2059)
    browser = console.logged_in(Role.READER)
    shown = browser.get("/series/1.2.3").text
    assert 'value="positive"' in shown
    assert 'value="agree"' not in shown
    assert "Choose one of the answers." in answer(browser, "agree")
    assert "Read as negative" in answer(browser, "negative")
    with console.resources.sessions.reading() as session:
        (kept,) = answers_to(session, ["1.2.3"])
    assert (kept.answer, kept.reason_code) == ("unclear", "negative")
    assert "indeterminate: 1" in browser.get("/performance").text


def test_a_viewer_is_not_asked(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    assert "Do you agree" not in browser.get("/series/1.2.3").text
    assert "this needs the role reader" in answer(browser, "agree")


def with_patient(console: ConsoleUnderTest, tmp_path: Path) -> None:
    """Enter an analysed series whose file names Jane Doe."""
    made = make_phantom(PhantomSpec(slices=1, size=32, lesions=0))
    (path,) = write_series(phantom_datasets(made, seed=1), tmp_path / "made")
    ds = dcmread(path)
    ds.PatientName, ds.AccessionNumber = "Doe^Jane", "A17X"
    ds.save_as(tmp_path / "kept.dcm")
    console.analyse("1.2.3", path="kept.dcm")


def test_a_comment_is_shown_to_readers_alone(console: ConsoleUnderTest, tmp_path: Path) -> None:
    with_patient(console, tmp_path)
    answer(console.logged_in(Role.READER), "disagree", "dependent only, 3 of 12")
    assert "dependent only" in console.logged_in(Role.ADMIN).get("/series/1.2.3").text
    assert "dependent only" not in console.logged_in(Role.VIEWER).get("/series/1.2.3").text


@pytest.mark.parametrize(
    "comment", ["born 19550312", "born 12.03.1955", "as in jane's last CT", "DOE", "A17X again"]
)
def test_a_comment_that_names_the_patient_is_not_kept(
    console: ConsoleUnderTest, tmp_path: Path, comment: str
) -> None:
    with_patient(console, tmp_path)
    text = answer(console.logged_in(Role.READER), "agree", comment)
    assert "may name the patient" in text
    with console.resources.sessions.reading() as session:
        assert answers_to(session, ["1.2.3"]) == []


def test_a_comment_that_cannot_be_checked_is_not_kept(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")  # its images are away
    text = answer(console.logged_in(Role.READER), "agree", "basal")
    assert "nobody can tell whether the comment names the patient" in text


def test_what_was_entered_is_there_again_when_it_was_not_kept(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    with_patient(console, tmp_path)
    reader = console.logged_in(Role.READER)
    fields = {"form_token": form_token(reader), "answer": "disagree", "result": "key-1.2.3"}
    fields |= {"missed": "7", "comment": "PID-1234567"}  # and opacity 1 is unticked

    refused = reader.post("/series/1.2.3/answer", data=fields)

    assert refused.status_code == 400
    assert 'value="7"' in refused.text
    assert 'value="PID-1234567"' in refused.text
    (box,) = re.findall(r'<input type="checkbox" name="opacity-1"[^>]*>', refused.text)
    assert "checked" not in box


def test_a_summary_of_another_version_does_not_take_the_page_away(
    console: ConsoleUnderTest,
) -> None:
    console.analyse("1.2.3")
    with console.resources.sessions.begin() as session:
        session.execute(update(Result).values(summary=json.dumps({"score": 0.9, "instances": 3})))
    page = console.logged_in(Role.ADMIN).get("/series/1.2.3")
    assert page.status_code == 200
    assert "Send again" in page.text


def test_enter_in_a_field_answers_nothing(console: ConsoleUnderTest) -> None:
    """The first button of a form is what Enter presses: here it is one that sends nothing."""
    console.analyse("1.2.3")
    page = console.logged_in(Role.READER).get("/series/1.2.3").text
    (form,) = re.findall(
        r'<form method="post" action="/series/1.2.3/answer">.*?</form>', page, re.DOTALL
    )
    assert re.findall(r"<button[^>]*>", form)[0] == "<button disabled hidden>"


def test_an_answer_is_to_the_result_that_was_shown(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    text = answer(console.logged_in(Role.READER), "agree", result="key-of-before")
    assert "There is a newer result" in text


def mark(browser: TestClient, *real: int, missed: str = "", said: str = "opacities") -> str:
    """Send the form of a series with these opacities ticked."""
    fields = {"form_token": form_token(browser), "answer": said, "missed": missed}
    fields |= {f"opacity-{number}": "yes" for number in real} | {"result": "key-1.2.3"}
    answered = browser.post("/series/1.2.3/answer", data=fields)
    target = answered.headers.get("location")
    return browser.get(target).text if target else answered.text


def findings(console: ConsoleUnderTest) -> list[tuple[str, str, str]]:
    with console.resources.sessions.reading() as session:
        said = [one for one in answers_to(session, ["1.2.3"]) if one.stands]
    return sorted((one.finding_name, one.answer, one.reason_code) for one in said)


def test_opacities_are_ticked_away_and_missed_ones_marked(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    console.analyse("1.2.3", lesions=[{**LESION, "number": number} for number in (1, 2)])
    browser = console.logged_in(Role.READER)
    assert "Nothing was changed" in mark(browser, 1, 2)
    assert findings(console) == []
    shown = mark(browser, 1, missed="7, 30", said="disagree")
    assert 'name="opacity-2" value="yes">' in shown  # not ticked any more
    assert 'value="7, 30"' in shown
    false, missed = ("opacity-2", "rejected", "false-opacity"), ("modified", "missed-opacity")
    whole = ("", "rejected", "disagree")
    assert findings(console) == [
        whole,
        ("missed-slice-30", *missed),
        ("missed-slice-7", *missed),
        false,
    ]
    with console.resources.sessions.reading() as session:
        by_name = {one.finding_name: one.finding for one in answers_to(session, ["1.2.3"])}
        answers = answers_to(session)
        results = assessed_results(session, {"key-1.2.3"})
    assert finding_names("key-1.2.3")[by_name["opacity-2"]] == "opacity-2"  # as DICOM names it
    rows = case_rows(answers, results, {}, existing_key(tmp_path))
    exported = {row.get("finding", ""): row["answer"] for row in rows}
    assert exported == {
        "": "rejected",
        "opacity-2": "rejected",
        "missed-slice-7": "modified",
        "missed-slice-30": "modified",
    }

    console.clock.pass_by(minutes=1)  # second thoughts
    mark(browser, 1, 2, missed="7")
    assert findings(console) == [
        whole,
        ("missed-slice-30", "accepted", "no-missed-opacity"),
        ("missed-slice-7", *missed),
        ("opacity-2", "accepted", "opacity"),
    ]


@pytest.mark.parametrize("missed", ["0", "41", "one", "-3", " ".join(map(str, range(1, 23)))])
def test_a_missed_slice_is_one_of_the_series(console: ConsoleUnderTest, missed: str) -> None:
    console.analyse("1.2.3")
    assert "issed slices" in mark(console.logged_in(Role.READER), 1, missed=missed)
    assert findings(console) == []


def test_what_one_reader_ticks_is_not_ticked_for_another(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    mark(console.logged_in(Role.READER))
    text = console.logged_in(Role.ADMIN).get("/series/1.2.3").text
    assert 'name="opacity-1" value="yes" checked' in text
    assert "No opacity: opacity-1" in text


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
    # the product calls a score above the threshold positive, one at it negative
    scores = [0.1, 0.44, 0.5, 0.5999, 0.6, 0.9, 1.0]
    now = Bounds(threshold=0.44, operating_point="site")
    trial = tried(scores, labelled, now=now, then=SITE, days=2, prevalence=0.5)
    assert (trial.series, trial.changes, sum(trial.bars)) == (7, 3, 7)
    assert (trial.now.positives, trial.then.positives, trial.now.per_day) == (5, 2, 2.5)
    assert trial.now.sensitivity is not None
    assert trial.then.sensitivity is not None
    assert trial.then.specificity is not None
    assert (trial.now.sensitivity.value, trial.then.sensitivity.value) == (1.0, 0.5)
    assert trial.then.specificity.value == 1.0
    assert trial.then.ppv is not None
    assert trial.then.npv is not None
    assert (trial.then.ppv.value, trial.then.npv.value) == (1.0, pytest.approx(2 / 3))
    assert trial.is_few


def test_every_indeterminate_series_changes_when_a_threshold_of_the_site_is_tried() -> None:
    now = Bounds(threshold=0.5, operating_point="prediction sets", indeterminate_from=0.2)
    same = Bounds(threshold=0.5, operating_point="site")
    scores = [0.1, 0.2, 0.3, 0.5, 0.55, 0.7]
    trial = tried(scores, [], now=now, then=SITE, days=1, prevalence=0.5)
    assert (trial.now.indeterminate, trial.then.indeterminate, trial.changes) == (3, 0, 4)
    assert tried(scores, [], now=now, then=same, days=1, prevalence=0.5).changes == 3
    assert tried(scores, [], now=now, then=now, days=1, prevalence=0.5).changes == 0


def test_to_leave_three_answers_shows_what_becomes_of_the_indeterminate(
    console: ConsoleUnderTest,
) -> None:
    now = bounds_of(console.console)
    assert now.indeterminate_from is not None
    console.analyse(
        "1.2.1",
        score=(now.indeterminate_from + now.threshold) / 2,
        threshold=now.threshold,
        indeterminate_from=now.indeterminate_from,
    )
    browser = console.logged_in(Role.ADMIN)
    text = browser.get(f"/thresholds?threshold={now.threshold}").text
    assert "Indeterminate</dt><dd>1 → 0" in text
    assert "/series/1.2.1" in text
    assert 'class="primary">Write' in text


def test_a_trial_is_against_the_bounds_of_the_scanner(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    folder = write_model_with_groups(tmp_path / "model")
    chosen = {"model": folder, "bounds_by_scanner": True}
    console.settings = console.settings.model_copy(
        update={"analysis": AnalysisSettings.model_validate(chosen)}
    )
    manifest = manifest_with_groups()
    model = f"{manifest.name} {manifest.version}"
    console.analyse("1.2.1", score=0.7, scanner=OWN, model=model)
    browser = console.logged_in(Role.VIEWER)

    of_all = browser.get("/thresholds/outcome?threshold=0.9").text
    of_one = browser.get("/thresholds/outcome", params={"threshold": "0.9", "scanner": OWN}).text

    assert "Series of scanner groups with bounds of their own" in of_all
    assert "Indeterminate</dt><dd>0 → 0" in of_all
    assert "Series of scanner groups" not in of_one
    assert "Indeterminate</dt><dd>1 → 0" in of_one
    assert f"{GROUP_LOW:.3f}–{GROUP_HIGH:.3f}" in of_one
    assert "Series of scanner groups with bounds" in browser.get("/performance").text


def test_the_card_gives_the_figures_of_its_thresholds() -> None:
    # Altman and Bland, BMJ 1994;309:102: 231 of 258 and 54 of 86, prevalence 0.75
    words = "reached sensitivity 0.895 (231/258) and specificity 0.628 (54/86) on the cases"
    points = {
        "youden": {"threshold": 0.5, "from": words},
        "default": {"threshold": 0.5, "from": words},
        "by-hand": {"threshold": 0.7, "from": "chosen by a person"},
        "odd": {"threshold": 0.1, "from": words.replace("231", "999")},
    }
    (point,) = card_points(points, 258 / 344)
    assert point.ppv is not None
    assert point.npv is not None
    assert point.ppv.value == pytest.approx(231 / 263)
    assert point.npv.value == pytest.approx(54 / 81)
    assert point.ppv.low < point.ppv.value < point.ppv.high
    ours = json.loads((BUNDLED / "manifest.json").read_text())["operating_points"]
    assert [one.name for one in card_points(ours, 0.1)] == [
        "sensitivity-95",
        "default",
        "specificity-95",
    ]


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


def test_a_trial_is_of_the_model_in_use(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", score=0.5)
    console.analyse("1.2.2", score=0.5, model="earlier 1")
    browser = console.logged_in(Role.VIEWER)
    text = browser.get("/thresholds/outcome?threshold=0.6").text
    assert "/series/1.2.1" in text
    assert "/series/1.2.2" not in text


def test_positives_a_day_are_counted_since_the_first_score(console: ConsoleUnderTest) -> None:
    for number, days in enumerate((0, 1, 2, 4)):
        console.analyse(f"1.2.{number}", NOW - timedelta(days=days), score=0.9)
    browser = console.logged_in(Role.VIEWER)
    text = browser.get("/thresholds/outcome?threshold=0.6&days=30").text
    assert re.search(r"Positives a day</dt><dd>1\.0 ", text)


def test_a_trial_is_of_one_scanner_and_kernel(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", score=0.5, scanner="Ours One", kernel="B70f")
    console.analyse("1.2.2", score=0.5, scanner="Ours Two", kernel="B30f")
    browser = console.logged_in(Role.VIEWER)
    page = browser.get("/thresholds").text
    assert all(name in page for name in ("Ours One", "Ours Two", "B70f", "B30f"))
    for query in ("scanner=Ours+One", "kernel=B70f"):
        text = browser.get(f"/thresholds/outcome?threshold=0.6&{query}").text
        assert "/series/1.2.1" in text
        assert "/series/1.2.2" not in text


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
    written = browser.post("/thresholds/apply", data=fields)
    assert "Written: [analysis] threshold" in written.text
    assert load(ini).analysis.threshold == 0.6
    assert ini.read_text().startswith("# ours\n[storage]")
    assert "0.6" in browser.get("/people").text
    assert "a-admin" in browser.get("/thresholds").text

    again = browser.post("/thresholds/apply", data=fields)  # the file is another by now
    assert again.status_code == 409
    fields["seen"], fields["threshold"] = "", "7"
    assert browser.post("/thresholds/apply", data=fields).status_code == 400
    assert load(ini).analysis.threshold == 0.6


def test_a_file_that_is_away_is_no_fault_of_the_page(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    ini = tmp_path / "node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\n")
    console.use(ini)
    browser = console.logged_in(Role.ADMIN)
    ini.unlink()
    assert browser.get("/thresholds").status_code == 200
    fields = {"form_token": form_token(browser), "threshold": "0.6", "seen": ""}
    assert browser.post("/thresholds/apply", data=fields).status_code == 409


def test_only_administrators_apply(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.READER)
    fields = {"form_token": form_token(browser), "threshold": "0.1", "seen": ""}
    assert browser.post("/thresholds/apply", data=fields).status_code == 403
