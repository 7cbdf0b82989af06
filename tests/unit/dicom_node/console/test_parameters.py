"""Numbers, days and places in addresses and forms have one form each: all others are refused."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from dicom_node.console.access.people import Role
from dicom_node.console.language.translation import accepted
from dicom_node.console.parameters import cursor, decimal, place, plain, whole
from pipeline.encode.language.languages import Language
from storage.states import SeriesState
from tests.support.console.console_under_test import NOW, ConsoleUnderTest, form_token
from tests.unit.dicom_node.console.test_api import console as console  # noqa: PLC0414  # a fixture
from tests.unit.dicom_node.console.test_api import new_token, program

ODD = ("+5", "-5", " 5", "5 ", "5\n", "\t5", "1_0", "5e0", "٥", "５", "5٫0", "²", "0x5", "", "inf")
ODD += ("nan", "05", "9" * 6000)
ODD_DAYS = ("20260501", "2026-W18-5", "2026-05-01T00:00", "2026-5-1", " 2026-05-01", "1777593600")
ODD_DAYS += ("２０２６-05-01",)
GOOD = cursor(NOW, "1.2.3")
ODD_PLACES = (
    GOOD.replace("T", " "),
    GOOD.replace("Z", "+00:00"),
    GOOD[:-6],
    f"{GOOD}'",
    f" {GOOD}",
)


@pytest.mark.parametrize("text", ODD)
def test_other_forms_of_a_number_are_refused_everywhere(
    console: ConsoleUnderTest, text: str
) -> None:
    console.analyse("1.2.3")
    client, browser = program(console, new_token(console)), console.logged_in(Role.ADMIN)
    asked = quote(text)
    for path in ("status", "series", "senders", "quarantine"):
        assert client.get(f"/{path}?limit={asked}").status_code == 400, path
    pages = ("thresholds?days=", "thresholds/outcome?days=", "performance?days=")
    for page in pages:
        assert browser.get(f"/{page}{asked}").status_code == 400, page
    for path in ("series/1.2.3/slice/{}.png", "series/1.2.3/overlay/{}.png"):
        assert browser.get(f"/{path.format(asked)}").status_code == 404, path
    fields = {"form_token": form_token(browser), "answer": "opacities", "result": "key-1.2.3"}
    answer = browser.post("/series/1.2.3/answer", data={**fields, "missed": f"{text}x"})
    assert answer.status_code == 400


@pytest.mark.parametrize("text", [text for text in ODD if text != "05"])
def test_other_forms_of_a_share_are_refused_everywhere(
    console: ConsoleUnderTest, text: str
) -> None:
    browser = console.logged_in(Role.ADMIN)
    for page in ("thresholds?threshold=", "thresholds?prevalence=", "performance?prevalence="):
        assert browser.get(f"/{page}{quote(text)}").status_code == 400, page
    fields = {"form_token": form_token(browser), "threshold": text}
    assert browser.post("/thresholds/apply", data=fields).status_code == 400


def test_a_share_may_be_typed_without_its_zero(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    for page in ("thresholds", "performance"):
        answer = browser.get(f"/{page}?prevalence=.5")
        assert answer.status_code == 200
        assert 'value="0.5"' in answer.text
        assert browser.get(f"/{page}?prevalence=.").status_code == 400


@pytest.mark.parametrize("text", ODD_DAYS)
def test_other_forms_of_a_day_are_refused_everywhere(console: ConsoleUnderTest, text: str) -> None:
    client, browser = program(console, new_token(console)), console.logged_in(Role.VIEWER)
    assert client.get(f"/series?day={quote(text)}").status_code == 400
    for page in ("", "rows", "worklist.csv"):
        assert browser.get(f"/{page}?day={quote(text)}").status_code == 400


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have the local time of Berlin, where a day of October has 25 hours."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_day_on_which_clocks_are_changed_is_whole(console: ConsoleUnderTest) -> None:
    first, last = (
        datetime(2026, 10, at[0], *at[1:], tzinfo=UTC) for at in ((24, 22), (25, 22, 59))
    )
    console.analyse("1.2.3", first, path="a")
    console.receive("1.2.4", last, path="b")
    console.receive("1.2.5", last + timedelta(minutes=1), path="c")
    console.end("1.2.6", SeriesState.UNSUITABLE, "not-axial", first)
    client, browser = program(console, new_token(console)), console.logged_in(Role.VIEWER)
    found = client.get("/series?day=2026-10-25").json()["series"]
    assert {one["series_instance_uid"] for one in found} == {"1.2.3", "1.2.4", "1.2.6"}
    rows = browser.get("/rows?day=2026-10-25").text
    assert [f"/series/1.2.{n}" in rows for n in (3, 4, 5, 6)] == [True, True, False, True]
    console.clock.now = last
    today = re.sub(r"<[^>]*>", " ", console.logged_in(Role.VIEWER).get("/tiles").text)
    assert re.search(r"Not analysed today +1 ", today)


@pytest.mark.parametrize("text", ODD_PLACES)
def test_other_forms_of_a_place_are_refused_everywhere(
    console: ConsoleUnderTest, text: str
) -> None:
    client, browser = program(console, new_token(console)), console.logged_in(Role.VIEWER)
    assert client.get(f"/series?before={quote(text)}").status_code == 400
    assert browser.get(f"/?before={quote(text)}").status_code == 400


def test_a_parameter_that_is_given_twice_is_refused(console: ConsoleUnderTest) -> None:
    client = program(console, new_token(console))
    assert client.get("/series?limit=5&limit=6").status_code == 400


@pytest.mark.parametrize("length", ["²", "+5", "1_0", " ", "9" * 6000])
def test_a_length_that_is_no_number_is_refused(console: ConsoleUnderTest, length: str) -> None:
    headers = {"Content-Length": length.encode("latin-1")}
    answer = console.browser().post("/login", content=b"a=b", headers=headers)  # type: ignore[arg-type]  # bytes are sent as they are
    assert answer.status_code == 411


@pytest.mark.parametrize("number", [0, 1, 0.1, 1e-7, 0.30000000000000004, 1 / 3])
def test_what_is_written_is_read_again(number: float) -> None:
    assert decimal(plain(number)) == number
    assert whole(str(int(number))) == int(number)
    moment = datetime(2026, 5, 1, 1, 2, 3, 4, tzinfo=UTC)
    assert place(cursor(moment, "1.2")) == (moment, "1.2")


@pytest.mark.parametrize("weight", ["1_0", "inf", "+1", "２", "1e9", "nan"])
def test_other_forms_of_a_weight_choose_no_language(weight: str) -> None:
    assert accepted(f"fr;q={weight}, de;q=0.5") is Language.GERMAN
