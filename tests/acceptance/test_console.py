"""The console in Chromium, by keyboard alone: nothing of it is refused by its own policy."""

import importlib.util
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import uvicorn

from config.editing import changed_text
from config.reader import read_text
from config.versions import digest, write_settings
from dicom_node.clock_watch import utc_now
from dicom_node.console.access.people import Role
from dicom_node.console.app import make_app
from storage.results.answers import answers_to
from storage.states import SeriesState
from tests.acceptance.support.screen import chromium
from tests.support.console.console_under_test import PASSWORD, ConsoleUnderTest

if TYPE_CHECKING:
    from playwright.sync_api import Page

AXE = importlib.util.find_spec("axe_playwright_python")
SERIOUS = {"serious", "critical"}  #: impacts, of axe's four

pytestmark = [
    pytest.mark.viewer,
    pytest.mark.skipif(
        shutil.which("chromium") is None or importlib.util.find_spec("playwright") is None,
        reason="needs Chromium and Playwright: deploy/install-viewer.sh",
    ),
]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path, is_secure=False)
    ini = tmp_path / "dicom-node.ini"
    ini.write_text(f"[storage]\nfolder = {tmp_path}\n[analysis]\nthreshold = 0.3\n")
    made.use(ini)
    yield made
    made.resources.close()


@pytest.fixture
def address(console: ConsoleUnderTest) -> Iterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = make_app(console.console, hosts={"127.0.0.1"})
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def page(address: str) -> Iterator["Page"]:
    with chromium() as browser:
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda fault: complaints.append(str(fault)))
        page.goto(f"{address}/login")
        yield page
        assert [text for text in complaints if "Content Security" in text or "Error" in text] == []


def log_in(page: "Page", role: Role) -> None:
    page.wait_for_selector("input[name=name]:focus")
    page.keyboard.type(f"a-{role}")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("#rows tr")
    page.wait_for_load_state()  # keys are heard from then on


def test_a_series_is_found_read_and_answered_by_keyboard(
    console: ConsoleUnderTest, page: "Page"
) -> None:
    console.analyse("1.2.3")
    console.end("1.2.4", SeriesState.FAILED, "3 attempts: out of memory")
    log_in(page, Role.READER)
    page.keyboard.press("/")
    page.keyboard.type("1.2.4")
    page.keyboard.press("Enter")
    page.wait_for_url("**/series/1.2.4")
    assert "out of memory" in page.inner_text("main")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.wait_for_selector("#rows tr")
    page.wait_for_load_state()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/series/1.2.3")
    page.keyboard.press("y")
    page.wait_for_url("**told=answered")
    with console.resources.sessions.reading() as session:
        assert [one.answer for one in answers_to(session, ["1.2.3"])] == ["accepted"]


def test_no_key_acts_behind_a_dialog(console: ConsoleUnderTest, address: str, page: "Page") -> None:
    console.analyse("1.2.3")
    log_in(page, Role.READER)
    page.goto(f"{address}/series/1.2.3")
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")
    page.keyboard.press("y")
    page.keyboard.press("g")
    page.keyboard.press("w")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/destinations")
    with console.resources.sessions.reading() as session:
        assert answers_to(session, ["1.2.3"]) == []


def test_opacities_are_answered_to_beside_the_picture(
    console: ConsoleUnderTest, page: "Page"
) -> None:
    console.analyse("1.2.3")
    log_in(page, Role.READER)
    page.goto(page.url + "series/1.2.3")
    page.uncheck("input[name=opacity-1]")
    page.fill("#missed", "7")
    page.click("button[value=opacities]")
    page.wait_for_url("**told=answered")
    assert not page.is_checked("input[name=opacity-1]")
    with console.resources.sessions.reading() as session:
        said = {one.finding_name: one.answer for one in answers_to(session, ["1.2.3"])}
    assert said == {"opacity-1": "rejected", "missed-slice-7": "modified"}


def test_a_new_series_appears_by_itself(console: ConsoleUnderTest, page: "Page") -> None:
    log_in(page, Role.VIEWER)
    assert "No series yet" in page.inner_text("#rows")
    console.receive("1.2.3")
    page.wait_for_selector("#rows a[href='/series/1.2.3']")


def test_a_row_that_was_chosen_is_opened_after_others_have_appeared(
    console: ConsoleUnderTest, page: "Page"
) -> None:
    console.receive("1.2.3")
    log_in(page, Role.VIEWER)
    page.keyboard.press("j")
    console.receive("1.2.4")
    page.wait_for_selector("#rows a[href='/series/1.2.4']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/series/1.2.3")


def test_a_time_gets_its_date_when_its_day_has_passed(
    console: ConsoleUnderTest, page: "Page"
) -> None:
    console.receive("1.2.3", utc_now())
    log_in(page, Role.VIEWER)
    page.clock.install()
    page.reload()
    assert "-" not in page.inner_text("#rows time")
    page.clock.fast_forward("24:00:00")
    page.wait_for_function("document.querySelector('#rows time').textContent.includes('-')")


def test_settings_are_put_back_by_keyboard(console: ConsoleUnderTest, page: "Page") -> None:
    ini = console.console.ini
    assert ini is not None
    old = read_text(ini)
    new = changed_text(old, {("analysis", "threshold"): "0.6"})
    write_settings(ini, new, expected_digest=digest(old), by="root", at=console.clock())
    log_in(page, Role.ADMIN)
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url("**/settings")
    page.focus("a[href='/settings/1']")
    page.keyboard.press("Enter")
    page.wait_for_selector("main a[href='/settings']:focus")
    page.keyboard.press("Shift+Tab")
    page.wait_for_selector("button.primary:focus")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Written: [analysis] threshold: 0.6 -> 0.3")
    assert ini.read_text() == old


def test_a_threshold_is_tried_while_one_slides(console: ConsoleUnderTest, page: "Page") -> None:
    console.analyse("1.2.3", console.clock(), score=0.5)
    log_in(page, Role.VIEWER)
    page.keyboard.press("g")
    page.keyboard.press("t")
    page.wait_for_selector("input[type=range][name=threshold]")
    page.focus("input[type=range][name=threshold]")
    page.keyboard.press("End")
    page.wait_for_selector("text=1.000 instead of")
    assert "/series/1.2.3" in page.inner_html("#outcome")


@pytest.mark.skipif(AXE is None, reason="needs axe: deploy/install-viewer.sh")
@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_nothing_serious_on_any_page(
    console: ConsoleUnderTest, page: "Page", scheme: str
) -> None:
    assert AXE is not None
    assert AXE.origin is not None
    axe = Path(AXE.origin).with_name("axe.min.js").read_text()
    found: list[tuple[str, str, str]] = []

    def look() -> None:
        page.evaluate(axe)
        results = page.evaluate("axe.run({resultTypes: ['violations']})")
        found.extend(
            (page.url, one["id"], one["nodes"][0]["html"])
            for one in results["violations"]
            if one["impact"] in SERIOUS
        )

    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    console.analyse("1.2.3", console.clock())
    console.end("1.2.4", SeriesState.FAILED, "3 attempts: out of memory")
    look()
    log_in(page, Role.ADMIN)
    root = page.url.rstrip("/")
    paths = ("/", "/series/1.2.3", "/series/1.2.4", "/destinations", "/senders", "/queue")
    paths += ("/thresholds?threshold=0.6", "/performance", "/model", "/system", "/people")
    paths += ("/settings",)
    for path in (*paths, "/account", "/why", "/why?study=1.2.8", "/nothing"):
        page.goto(f"{root}{path}")
        look()
    page.keyboard.press("?")
    look()
    assert found == []


def test_enter_answers_nothing_and_images_that_are_gone_are_told_of(
    console: ConsoleUnderTest, address: str, page: "Page"
) -> None:
    console.analyse("1.2.3", path="gone.dcm")
    log_in(page, Role.READER)
    page.goto(f"{address}/series/1.2.3")

    page.wait_for_selector("#viewer.gone .empty:visible")
    page.locator("#missed").fill("5")
    page.locator("#missed").press("Enter")
    page.locator("input[name=comment]").press("Enter")
    page.wait_for_timeout(300)

    assert page.locator("#missed").input_value() == "5"
    with console.resources.sessions.reading() as session:
        assert answers_to(session, ["1.2.3"]) == []
