"""Pages of the console: worklist, series, why, destinations, senders."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom import dcmread
from starlette.testclient import TestClient

from dicom_node.console.access.people import Role
from dicom_node.console.pages.worklist import CSV_LINES
from pipeline.model.manifest import BUNDLED
from pipeline.reasons import UnsuitableReason
from pipeline.synthetic.phantom.dicom import phantom_datasets, write_series
from pipeline.synthetic.phantom.make import PhantomSpec, make_phantom
from storage.database.schema import Series
from storage.files.identity_key import IDENTITY_KEY, draw_identity_key
from storage.results.drift import enter_finding
from storage.series.quarantine_and_refusals import RefusalKind, record_quarantine, record_refusal
from storage.states import SeriesState
from tests.support.console.console_under_test import NOW, ConsoleUnderTest, form_token

pytestmark = pytest.mark.database

HOSTILE = '<script>alert("1")</script>'
ESCAPES = "\x1b[31mred"


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def with_patient(console: ConsoleUnderTest, folder: Path, name: str) -> None:
    """Enter a series whose file is there, with a patient of a name."""
    made = make_phantom(PhantomSpec(slices=1, size=32, lesions=0))
    (path,) = write_series(phantom_datasets(made, seed=1), folder / "made")
    ds = dcmread(path)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = name
    ds.AccessionNumber = "A-17"
    ds.SeriesDescription = HOSTILE
    ds.save_as(folder / "kept.dcm")
    console.receive("1.2.3", path="kept.dcm")


def test_an_empty_worklist_says_what_to_do(console: ConsoleUnderTest) -> None:
    assert "Send a chest CT to this node" in console.logged_in(Role.VIEWER).get("/").text


def test_the_worklist_shows_score_threshold_and_state(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    text = console.logged_in(Role.VIEWER).get("/").text
    for expected in ("0.75", "above 0.44", "Sending", "5.0 %", "CT1", "/series/1.2.3"):
        assert expected in text


@pytest.mark.parametrize(
    ("score", "said", "exported"),
    [
        (0.75, "above 0.49", "above"),
        (0.44, "indeterminate, 0.21 to 0.49", "indeterminate"),
        (0.1, "below 0.21", "below"),
    ],
)
def test_three_answers_stand_in_the_worklist_and_its_export(
    console: ConsoleUnderTest, score: float, said: str, exported: str
) -> None:
    console.analyse("1.2.3", score=score, threshold=0.4908, indeterminate_from=0.2059)
    client = console.logged_in(Role.ADMIN)
    assert said in client.get("/").text
    assert said in client.get("/series/1.2.3").text
    head, line = client.get("/worklist.csv").text.splitlines()
    columns = dict(zip(head.split(","), line.split(","), strict=True))
    assert (columns["decision"], columns["indeterminate_from"]) == (exported, "0.2059")


def test_a_score_near_the_threshold_is_told_from_it(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3", score=0.443, threshold=0.439)
    text = console.logged_in(Role.VIEWER).get("/").text
    assert "0.443" in text
    assert "above 0.439" in text


def test_a_score_near_the_lower_bound_is_told_from_it(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3", score=0.207, threshold=0.4908, indeterminate_from=0.2059)
    browser = console.logged_in(Role.VIEWER)
    assert "0.207" in browser.get("/").text
    assert "0.207" in browser.get("/series/1.2.3").text


@pytest.mark.parametrize(
    ("score", "low", "why"),
    [
        (0.44, 0.2059, "the score is indeterminate"),
        (0.1, 0.2059, "the score is below the indeterminate range"),
        (0.1, None, "the score is not above the threshold"),
    ],
)
def test_opacities_that_are_withheld_are_not_said_to_be_none(
    console: ConsoleUnderTest, score: float, low: float | None, why: str
) -> None:
    nothing = {"right": None, "left": None, "total": None}
    console.analyse(
        "1.2.3",
        score=score,
        threshold=0.4908,
        indeterminate_from=low,
        involvement=nothing,
        lesions=[],
    )
    browser = console.logged_in(Role.VIEWER)
    for address in ("/", "/series/1.2.3"):
        text = browser.get(address).text
        assert "none localised" not in text
        assert "not reported" in text
        assert f"Opacities are not reported: {why}." in text


def test_the_worklist_is_filtered_by_each_of_its_fields(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.1", NOW)
    console.receive("1.2.2", NOW - timedelta(days=3), sender="CT2")
    console.end("1.2.4", SeriesState.UNSUITABLE, "not-axial", NOW - timedelta(days=6))
    browser = console.logged_in(Role.VIEWER)

    def shown(query: str) -> set[str]:
        text = browser.get(f"/rows?{query}").text
        return {uid for uid in ("1.2.1", "1.2.2", "1.2.4") if f"/series/{uid}" in text}

    assert shown("") == {"1.2.1", "1.2.2", "1.2.4"}
    assert shown("state=receiving") == {"1.2.2"}
    assert shown("sender=CT2") == {"1.2.2"}
    assert shown("destination=PACS") == {"1.2.1"}
    assert shown("flag=gaps-filled") == {"1.2.1"}
    assert shown(f"day={(NOW - timedelta(days=6)).astimezone().date()}") == {"1.2.4"}
    assert shown("state=failed") == set()


@pytest.mark.parametrize(
    "query", ["state=x", "day=yesterday", "before=x", "day=2026-02-30", "day=9999-12-31"]
)
def test_a_filter_that_is_none_is_told(console: ConsoleUnderTest, query: str) -> None:
    assert console.logged_in(Role.VIEWER).get(f"/?{query}").status_code == 400


def test_older_series_are_on_the_next_page_and_none_is_left_out(
    console: ConsoleUnderTest,
) -> None:
    for number in range(120):  # two of them at each time: the order must still be whole
        console.receive(f"1.2.3.{number}", NOW - timedelta(seconds=number // 2))
    browser, found, address = console.logged_in(Role.VIEWER), list[str](), "/"
    while address:
        text = browser.get(address).text
        found += [part.partition('"')[0] for part in text.split('href="/series/')[1:]]
        rest = text.partition('href="/?before=')[2].partition('"')[0]
        address = f"/?before={rest}" if rest else ""
    assert len(found) == len(set(found)) == 120


def series_row(uid: str, at: datetime) -> Series:
    """Make the row of a series."""
    return Series(
        series_instance_uid=uid,
        study_instance_uid="1.2.8",
        modality="CT",
        sop_class_uid="1",
        calling_ae="CT1",
        first_at=at,
        last_at=at,
        since=at,
        instances=1,
        state=SeriesState.RECEIVING,
    )


def looked_for(browser: TestClient, text: str) -> str:
    """Search, and tell where that leads."""
    fields = {"form_token": form_token(browser), "q": text}
    return browser.post("/search", data=fields).headers["location"]


def test_search_goes_to_the_one_series(console: ConsoleUnderTest) -> None:
    console.receive("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    assert looked_for(browser, "1.2.3") == "/series/1.2.3"
    assert looked_for(browser, "1.2.8") == "/series/1.2.3"  # its study
    assert looked_for(browser, "1.2.3.1") == "/series/1.2.3"  # its image
    assert looked_for(browser, "9") == "/?found=no"
    assert "Nothing here has exactly this number." in browser.get("/?found=no").text
    console.receive("1.2.4")
    assert looked_for(browser, "1.2.8").startswith("/?study_of=1.2.")
    text = browser.get("/rows?study_of=1.2.4").text
    assert "/series/1.2.3" in text
    assert "/series/1.2.4" in text


def test_an_accession_number_is_found_by_everybody_and_a_patient_by_readers(
    console: ConsoleUnderTest,
) -> None:
    key = draw_identity_key(console.settings.storage.folder)
    names = {"accession_key": key.digest("A-17"), "patient_digest": key.digest("P 1")}
    console.receive("1.2.3", **names)
    console.receive("1.2.4", **names | {"accession_key": key.digest("A-18")})
    viewer, reader = console.logged_in(Role.VIEWER), console.logged_in(Role.READER)
    assert looked_for(viewer, " A-17 ") == "/series/1.2.3"
    assert looked_for(viewer, "A-1") == "/?found=no"
    assert looked_for(viewer, "P 1") == "/?found=no"
    assert looked_for(reader, "P 1") == "/?patient_of=1.2.3"
    rows = reader.get("/rows?patient_of=1.2.3").text
    assert "/series/1.2.4" in rows
    assert viewer.get("/s/A-17").headers["location"] == "/series/1.2.3"
    assert "Its images are still coming." in viewer.get("/why?accession=A-17").text
    assert "No series of this study has come here." in viewer.get("/s/P%201").text


def test_csv_names_no_patient_and_no_formula(console: ConsoleUnderTest, tmp_path: Path) -> None:
    with_patient(console, tmp_path, "Doe^Jane")
    console.receive("1.2.4", sender="=CMD()")
    answer = console.logged_in(Role.ADMIN).get("/worklist.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    assert "Doe" not in answer.text
    assert "'=CMD()" in answer.text
    assert len(answer.text.splitlines()) == 3


def test_patients_are_shown_by_role_and_by_setting(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    with_patient(console, tmp_path, "Dōe^Jane")
    for page in ("/", "/series/1.2.3"):
        seen = console.logged_in(Role.READER).get(page).text
        assert "Dōe Jane" in seen
        assert "alert(" in seen  # the description of the series: somebody typed it
        seen = console.logged_in(Role.VIEWER).get(page).text
        assert "Dōe" not in seen
        assert "alert(" not in seen
        assert "A-17" in seen
    hiding = console.settings.console.model_copy(update={"show_patients": False})
    console.settings = console.settings.model_copy(update={"console": hiding})
    assert "Dōe" not in console.logged_in(Role.ADMIN).get("/").text


def test_who_else_a_patient_has_been_is_shown_to_readers_alone(console: ConsoleUnderTest) -> None:
    console.receive("1.2.3", patient_digest="d")
    for page in ("/", "/rows", "/worklist.csv"):
        query = f"{page}?patient_of=1.2.3"
        assert console.logged_in(Role.VIEWER).get(query).status_code == 403
        assert console.logged_in(Role.READER).get(query).status_code == 200


def test_without_the_identity_key_nobody_is_told_that_nothing_came(
    console: ConsoleUnderTest,
) -> None:
    console.receive("1.2.3")
    (console.settings.storage.folder / IDENTITY_KEY).unlink()
    browser = console.logged_in(Role.VIEWER)
    for page in ("/s/A-17", "/why?accession=A-17"):
        answer = browser.get(page)
        assert answer.status_code == 503
        assert "cannot be looked for now" in answer.text
    assert "Its images are still coming." in browser.get("/why?study=1.2.8").text


def test_a_number_that_means_two_things_leads_to_no_patient(console: ConsoleUnderTest) -> None:
    key = draw_identity_key(console.settings.storage.folder)
    console.receive("1.2.3", accession_key=key.digest("17"))
    console.receive("1.2.4", patient_digest=key.digest("17"))
    browser = console.logged_in(Role.READER)
    target = looked_for(browser, "17")
    assert target == "/?accession_of=1.2.3&also_patient_of=1.2.4"
    text = browser.get(target).text
    assert "/series/1.2.3" in text
    assert 'href="/?patient_of=1.2.4"' in text
    assert looked_for(console.logged_in(Role.VIEWER), "17") == "/series/1.2.3"


def test_csv_is_whole_beyond_what_is_read_at_a_time(console: ConsoleUnderTest) -> None:
    with console.resources.sessions.begin() as session:
        for number in range(CSV_LINES + 3):
            session.add(series_row(f"1.2.{number}", NOW - timedelta(seconds=number // 3)))
    lines = console.logged_in(Role.VIEWER).get("/worklist.csv").text.splitlines()
    assert len(lines) == len(set(lines)) == CSV_LINES + 4


def test_a_refused_delivery_is_no_failed_analysis(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    console.refuse("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    told = browser.get("/why?study=1.2.8").text
    assert "There is a result: it did not arrive everywhere." in told
    assert "refused by PACS" in told
    assert "the analysis failed" not in told
    assert "Not delivered" in browser.get("/").text


def test_texts_of_others_are_shown_as_text(console: ConsoleUnderTest, tmp_path: Path) -> None:
    with_patient(console, tmp_path, f"{HOSTILE}{ESCAPES}")
    console.end("1.2.4", SeriesState.FAILED, f"{HOSTILE} {ESCAPES}")
    with console.resources.sessions.begin() as session:
        kind = RefusalKind(calling_ae=HOSTILE[:16], what=HOSTILE, reason=HOSTILE)
        record_refusal(session, NOW, kind)
        record_quarantine(session, "quarantine/x", NOW, reason=HOSTILE, calling_ae="<b>CT</b>")
    browser = console.logged_in(Role.ADMIN)
    for page in ("/", "/rows", "/series/1.2.3", "/series/1.2.4", "/senders", "/why?study=1.2.8"):
        text = browser.get(page).text
        assert "<script>alert" not in text
        assert "<b>CT" not in text
        assert "&lt;script&gt;" in text
    assert "\x1b" not in browser.get("/series/1.2.3").text


def test_senders_show_scanners_that_have_changed(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    assert "No series has come to an end." in browser.get("/senders").text
    with console.resources.sessions.begin() as session:
        enter_finding(session, "Maker One", "noise_hu", HOSTILE, "note", NOW)

    text = browser.get("/senders").text

    assert "Maker One" in text
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


def test_the_way_of_a_series_is_told_step_by_step(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    text = console.logged_in(Role.VIEWER).get("/series/1.2.3").text
    steps = ("1 image received", "Analysed", "PACS: 0 of 1 objects are there, 1 wait")
    places = [text.index(step) for step in steps]
    assert places == sorted(places)


def test_a_series_says_whose_bounds_decide(console: ConsoleUnderTest) -> None:
    said = {"group": "north", "own": True, "negatives": 40, "positives": 30, "sentence": "x"}
    console.analyse("1.2.3", scanner_bounds=said)
    browser = console.logged_in(Role.VIEWER)

    assert (
        "Bounds of the scanner group north, chosen on 40 neg" in browser.get("/series/1.2.3").text
    )
    browser.headers["accept-language"] = "de"
    assert "Grenzen der Scannergruppe north" in browser.get("/series/1.2.3").text


def test_a_viewer_is_offered_nothing_to_do(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    assert "Analyse again" not in console.logged_in(Role.READER).get("/series/1.2.3").text
    assert "Analyse again" in console.logged_in(Role.ADMIN).get("/series/1.2.3").text


def test_what_cannot_be_done_says_why(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")  # its files are not there
    browser = console.logged_in(Role.ADMIN)
    fields = {"form_token": form_token(browser)}
    answer = browser.post("/series/1.2.3/reissue", data=fields)
    assert "Refused: its instances are not kept any more." in answer.text
    answer = browser.post("/series/1.2.3/redeliver", data=fields)
    assert "Nothing is refused, or waits." in answer.text  # no destination is set


def test_there_is_no_such_series(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    fields = {"form_token": form_token(browser)}
    for uid in ("9.9", "x" * 500, "..%2f..%2fetc", "%00"):
        assert browser.get(f"/series/{uid}").status_code == 404
        assert browser.post(f"/series/{uid}/reprocess", data=fields).status_code == 404
        assert browser.get(f"/series/{uid}/slice/1.png").status_code == 404


def test_pictures_of_what_is_not_there_are_not_found(console: ConsoleUnderTest) -> None:
    console.analyse("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    for path in (
        "slice/0.png",
        "slice/41.png",
        "slice/1.png?window=x",
        "slice/1.png",
        "slice/-1.png",
    ):
        assert browser.get(f"/series/1.2.3/slice/{path}").status_code == 404


@pytest.mark.parametrize("code", [UnsuitableReason.NOT_AXIAL, UnsuitableReason.NOT_CT])
def test_why_there_is_no_result_is_a_sentence(
    console: ConsoleUnderTest, code: UnsuitableReason
) -> None:
    console.end("1.2.3", SeriesState.UNSUITABLE, str(code))
    text = console.logged_in(Role.VIEWER).get("/why?study=1.2.8").text
    assert "There is no result" in text
    assert code.sentence in text


def test_the_series_nearest_to_a_result_answers(console: ConsoleUnderTest) -> None:
    console.end("1.2.3", SeriesState.UNSUITABLE, "localizer")
    console.analyse("1.2.4")
    text = console.logged_in(Role.VIEWER).get("/why?study=1.2.8").text
    assert "There is a result: it is on its way." in text
    assert "All series of the study" in text


def test_a_study_that_never_came_is_said_so(console: ConsoleUnderTest) -> None:
    text = console.logged_in(Role.VIEWER).get("/why?study=9.9").text
    assert "No series of this study has come here." in text


def test_the_node_that_does_not_run_is_told(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    assert "the node is not running" in browser.get("/").text
    assert "the node is not running" in browser.get("/system").text


def test_a_database_that_is_away_gives_a_page(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    (console.settings.storage.folder / "unused").mkdir()
    console.resources.close()
    assert browser.get("/").status_code in {200, 503}


def test_the_condition_queue_and_model_are_shown(console: ConsoleUnderTest) -> None:
    console.receive("1.2.3")
    browser = console.logged_in(Role.VIEWER)
    assert "1.2.3" in browser.get("/queue").text
    model = browser.get("/model").text
    assert BUNDLED.name in model
    assert "not" in model
