"""The page of figures at a site, and the import of final diagnoses."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from dicom_node.cli.app import app
from dicom_node.console.access.guard import MAXIMUM_UPLOAD
from dicom_node.console.access.people import Role
from dicom_node.console.pages.thresholds import model_name
from dicom_node.identity_key import existing_key
from dicom_node.maintenance.feedback_cases import case_rows
from storage.console.changes import latest_changes
from storage.results.answers import answers_to, assessed_results
from tests.support.console.console_under_test import ConsoleUnderTest, form_token

pytestmark = pytest.mark.database


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


CSV = """accession;diagnosis;date
A 1;positive;2026-04-01
A2;0;2026-04-02
"""


def with_scores(console: ConsoleUnderTest, tmp_path: Path) -> str:
    """Enter three scored series, two with accession numbers; give the model's name."""
    key, model = existing_key(tmp_path), model_name(console.console)
    for number, score in ((1, 0.9), (2, 0.8), (3, 0.1)):
        accession = {1: "A 1", 2: "A2"}.get(number, "")
        digests = {"accession_key": key.digest(accession)} if accession else {}
        console.analyse(
            f"1.2.{number}", score=score, model=model, scanner="Ours One", digests=digests
        )
    return model


def load_up(browser: TestClient, text: str | bytes, **more: str) -> str:
    fields = {"form_token": form_token(browser), **more}
    files = {"file": ("diagnoses.csv", text, "text/csv")}
    return browser.post("/performance/import", data=fields, files=files).text


def test_diagnoses_are_imported_by_keyed_accession_and_again_in_their_place(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    with_scores(console, tmp_path)
    browser = console.logged_in(Role.READER)
    text = load_up(browser, "\ufeff" + CSV)
    assert "Diagnoses of 2 series are kept." in text
    assert "by final diagnosis: 2; by readers: 0" in text
    assert "Fewer than 30 cases" in text
    assert "Ours One" in text
    load_up(browser, CSV.replace("positive", "negative").replace(";", ","))
    with console.resources.sessions.reading() as session:
        answers = [one for one in answers_to(session) if one.stands]
        results = assessed_results(session, {one.result_key for one in answers})
        done = latest_changes(session, 1)
    said = {one.series_instance_uid: (one.answer, one.reason_code) for one in answers}
    assert said == {"1.2.1": ("rejected", "negative"), "1.2.2": ("rejected", "negative")}
    rows = case_rows(answers, results, {}, existing_key(tmp_path))
    assert [row["label"] for row in rows] == ["0", "0"]
    assert [(one.user, one.action) for one in done] == [("a-reader", "import diagnoses")]


def test_all_faults_are_listed_and_nothing_is_imported(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    with_scores(console, tmp_path)
    browser = console.logged_in(Role.READER)
    columns = "accession,series_instance_uid,diagnosis,date\n"
    rows = "A 1,,1,2026-01-01\nMUELLER,,1,2026-01-01\n,1.2.1,0,2026-01-01\n"
    shown = load_up(browser, columns + rows)
    assert "line 3: there is no series with a score of this accession" in shown
    assert "line 4: another diagnosis of a series than line 2" in shown
    assert "MUELLER" not in shown
    shown = load_up(browser, columns + "A 1,,maybe,2026-13-01\n")
    assert "line 2: expected a diagnosis of" in shown
    assert "line 2: expected a date as" in shown
    assert "Choose a file first" in load_up(browser, "")
    with console.resources.sessions.reading() as session:
        assert answers_to(session) == []


def test_what_is_not_here_may_be_passed_over(console: ConsoleUnderTest, tmp_path: Path) -> None:
    with_scores(console, tmp_path)
    text = load_up(console.logged_in(Role.READER), CSV + "B;1;2026-04-01\n", skip_unknown="yes")
    assert "Lines about nothing that is here: 1." in text


def test_a_file_is_bounded_and_for_readers(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.READER)
    assert "bytes expected" in load_up(browser, b"x" * MAXIMUM_UPLOAD)
    assert "at most 1048576 bytes" in load_up(browser, b"x" * ((1 << 20) + 1))
    viewer = console.logged_in(Role.VIEWER)
    assert "needs the role reader" in load_up(viewer, CSV)
    assert "Import" not in viewer.get("/performance").text
    for query in ("days=7", "prevalence=0", "prevalence=x", "prevalence=nan"):
        assert viewer.get(f"/performance?{query}").status_code == 400


def test_curves_are_drawn_without_styles_of_their_own(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    model, lines = model_name(console.console), ["series_instance_uid,diagnosis,date"]
    for number in range(8):
        console.analyse(f"1.2.{number + 1}", score=(number + 1) / 10, model=model)
        lines.append(f"1.2.{number + 1},{int(number > 3)},2026-04-01")
    load_up(console.logged_in(Role.READER), "\n".join(lines))
    text = console.logged_in(Role.VIEWER).get("/performance?days=365").text
    assert "<polyline" in text
    assert "style=" not in text
    assert "Brier score" in text


def test_the_command_line_imports_the_same(console: ConsoleUnderTest, tmp_path: Path) -> None:
    with_scores(console, tmp_path)
    ini, file = tmp_path / "node.ini", tmp_path / "d.csv"
    url = console.settings.database_url
    ini.write_text(f"[storage]\nfolder = {tmp_path}\ndatabase_url = {url}\n")
    file.write_text(CSV)
    cli = CliRunner()
    answer = cli.invoke(app, ["feedback", "import", str(file), "--config", str(ini)])
    assert "Diagnoses of 2 series are kept." in answer.output
    assert "Final diagnosis: positive" in cli.invoke(app, ["feedback", "--config", str(ini)]).output
    file.write_text(CSV + "B;1;2026-04-01\n")
    answer = cli.invoke(app, ["feedback", "import", str(file), "--config", str(ini)])
    assert "line 4: there is no series with a score of this accession" in str(answer.exception)
