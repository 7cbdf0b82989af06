"""Log in and out of the console; sessions; who may do what."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote_plus

import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from dicom_node.console.access import passwords
from dicom_node.console.access.failed_logins import Failure, note_failure
from dicom_node.console.access.guard import COOKIE, Guard
from dicom_node.console.access.login_limit import FREE, Try
from dicom_node.console.access.people import Role
from storage.console import login_tries
from storage.console.login_tries import (
    KEPT,
    MOST_KEYS,
    failed_logins,
    lock_tries,
    record_failed_login,
)
from storage.console.users import User, add_user, change_user, count_enabled
from storage.database.console_tables import ConsoleTries
from tests.support.console.console_under_test import (
    HASHED,
    HOST,
    NOW,
    PASSWORD,
    ConsoleUnderTest,
    form_token,
)

PAGES = ("/", "/rows", "/tiles", "/worklist.csv", "/why", "/series/1.2.3")
PAGES += ("/destinations", "/senders", "/queue", "/system", "/model", "/account", "/people")
PAGES += ("/series/1.2.3/slice/1.png", "/series/1.2.3/overlay/1.png", "/events")
ACTS = ("/series/1.2.3/reissue", "/series/1.2.3/reprocess", "/series/1.2.3/redeliver")
ACTS += ("/destinations/PACS/echo", "/destinations/PACS/probe", "/destinations/PACS/pause")
ACTS += ("/destinations/PACS/resume", "/people/add", "/people/change", "/series/1.2.3/export")
ACTS += ("/settings/1/restore", "/thresholds/apply")
OPEN = ("/login", "/login/openid", "/login/openid/callback")  #: pages before a login
PARTS = {"uid": "1.2.3", "number": "1", "name": "PACS", "accession": "A1"}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    yield made
    made.resources.close()


def login(browser: TestClient, name: str, password: str, **more: str) -> int:
    return browser.post("/login", data={"name": name, "password": password, **more}).status_code


@pytest.mark.parametrize("page", PAGES)
def test_nobody_sees_a_page_without_a_session(console: ConsoleUnderTest, page: str) -> None:
    answer = console.browser().get(page)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")


def test_no_page_at_all_is_shown_and_no_form_taken_without_a_session(
    console: ConsoleUnderTest,
) -> None:
    assert isinstance(console.app, Guard)
    assert isinstance(console.app.app, Starlette)
    known = console.app.app.routes
    routes = [one for one in known if isinstance(one, Route) and one.path not in OPEN]
    assert len(routes) > 40
    for route in routes:
        path = re.sub(r"{(\w+)[^}]*}", lambda found: PARTS[found[1]], route.path)
        for method in {"GET", "POST"} & (route.methods or set()):
            answer = console.browser().request(method, path, data={"a": "b"})
            assert answer.status_code == (303 if method == "GET" else 401), (method, path)


@pytest.mark.parametrize("act", [*ACTS, "/logout", "/account/password", "/account/end-session"])
def test_nobody_acts_without_a_session(console: ConsoleUnderTest, act: str) -> None:
    assert console.browser().post(act, data={"a": "b"}).status_code == 401


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("role", [Role.VIEWER, Role.READER])
def test_only_administrators_act(console: ConsoleUnderTest, role: Role, act: str) -> None:
    browser = console.logged_in(role)
    answer = browser.post(act, data={"form_token": form_token(browser)})
    assert answer.status_code == 403
    assert "needs the role admin" in answer.text


def test_the_cookie_is_for_this_host_over_tls_and_not_for_scripts(
    console: ConsoleUnderTest,
) -> None:
    fields = {"name": "a-viewer", "password": PASSWORD}
    cookie = console.browser().post("/login", data=fields).headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"):
        assert part.lower() in cookie.lower()
    assert "domain" not in cookie.lower()


def test_a_wrong_password_and_an_unknown_name_are_answered_alike(
    console: ConsoleUnderTest,
) -> None:
    browser = console.browser()
    wrong = browser.post("/login", data={"name": "a-admin", "password": "x" * 12})
    unknown = browser.post("/login", data={"name": "a-nobody", "password": "x" * 12})
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert wrong.text.replace("a-admin", "") == unknown.text.replace("a-nobody", "")


def test_guessing_is_slowed_down_by_name_and_by_address(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    answers = [login(browser, "a-admin", f"wrong number {n}") for n in range(7)]
    assert answers == [401] * 5 + [429] * 2
    assert login(browser, "a-admin", PASSWORD) == 429
    assert login(browser, "a-viewer", PASSWORD) == 429  # from the same address
    console.clock.pass_by(seconds=6)
    assert login(browser, "a-admin", PASSWORD) == 303


def from_address(console: ConsoleUnderTest, address: str) -> TestClient:
    headers = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    return TestClient(
        console.app,
        base_url=f"https://{HOST}",
        headers=headers,
        follow_redirects=False,
        client=(address, 50000),
    )


def guess(console: ConsoleUnderTest, name: str) -> None:
    """Try passwords from ever new addresses, as fast as they are looked at."""
    for number in range(40):
        login(from_address(console, f"10.1.0.{number}"), name, f"wrong number {number}")
        console.clock.pass_by(seconds=1)


def test_a_restart_and_a_second_console_forget_no_wait(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    for number in range(5):
        login(console.browser(), "a-admin", f"wrong number {number}")
    other = console.beside(tmp_path)
    assert login(other.browser(), "a-admin", PASSWORD) == 429
    console.clock.pass_by(seconds=6)
    assert login(other.browser(), "a-admin", PASSWORD) == 303
    assert login(console.browser(), "a-admin", "wrong again") == 401  # it was forgotten here too
    other.resources.close()


def counted(console: ConsoleUnderTest) -> list[tuple[str, int, datetime]]:
    row = ConsoleTries
    with console.resources.sessions.reading() as session:
        found = session.execute(select(row.key, row.count, row.last_at).order_by(row.key))
        return [tuple(one) for one in found]


def test_whoever_has_to_wait_writes_nothing_by_trying_on(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    for number in range(FREE):
        login(browser, "a-admin", f"wrong number {number}")
    before = counted(console)
    console.clock.pass_by(seconds=1)
    assert {login(browser, f"junk-{number}", "wrong") for number in range(20)} == {429}
    assert counted(console) == before


@pytest.mark.database
def test_many_keys_tried_once_push_out_none_that_makes_wait(console: ConsoleUnderTest) -> None:
    limit, waiting = console.console.limit, Try(keys=("address 10.0.0.7",))
    assert {limit.begin(waiting) for _ in range(FREE)} == {0.0}
    console.clock.pass_by(seconds=1)
    with console.resources.sessions.begin() as session:
        lock_tries(session, list(map(str, range(MOST_KEYS))), console.clock())
    assert limit.begin(Try(keys=("address 10.0.0.8",))) == 0
    assert limit.begin(waiting) > 0
    assert len(counted(console)) <= MOST_KEYS + 1


@pytest.mark.database
def test_a_success_forgets_what_was_counted_and_others_may_try_meanwhile(
    console: ConsoleUnderTest,
) -> None:
    one_try, limit = Try(keys=("user a-admin", "address 10.0.0.7")), console.console.limit

    def try_and_succeed(_: int) -> float:
        wait = limit.begin(one_try)
        limit.succeeded(one_try)
        return wait

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(try_and_succeed, range(60))) == {0.0}
    assert counted(console) == []


def test_a_name_that_is_typed_is_counted_as_no_other(console: ConsoleUnderTest) -> None:
    usual = "10.0.0.7"
    assert login(from_address(console, usual), "a-admin", PASSWORD) == 303
    guess(console, f"a-admin from {usual}")
    assert login(from_address(console, usual), "a-admin", PASSWORD) == 303


def test_a_try_whose_password_was_not_looked_at_is_not_counted(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.0)
    browser = console.logged_in(Role.VIEWER)
    fields = {"form_token": form_token(browser), "old": PASSWORD}
    with ExitStack() as taken:
        for _ in range(passwords.AT_A_TIME):
            taken.enter_context(passwords._turns)
        for _ in range(FREE + 1):
            assert login(console.browser(), "a-admin", PASSWORD) == 503
            assert browser.post("/account/password", data=fields).status_code == 503
    assert login(console.browser(), "a-admin", PASSWORD) == 303


@pytest.mark.database
def test_tries_at_the_same_time_are_no_more_than_one_after_the_other(
    console: ConsoleUnderTest,
) -> None:
    one_try = Try(keys=("user a-admin", "address 10.0.0.7"))
    with ThreadPoolExecutor(12) as pool:
        waits = list(pool.map(console.console.limit.begin, [one_try] * 12))
    assert waits.count(0.0) == FREE


def test_a_clock_that_was_set_back_makes_no_wait_longer(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    for number in range(5):
        login(browser, "a-admin", f"wrong number {number}")
    console.clock.pass_by(days=-300)
    assert "wait 5 seconds" in browser.post("/login", data={"name": "a-admin"}).text


def test_administrators_see_who_failed_to_log_in_and_never_what_was_typed(
    console: ConsoleUnderTest,
) -> None:
    browser = console.logged_in(Role.ADMIN)
    stranger = from_address(console, "10.0.0.8")
    login(stranger, "a-reader", "a wrong password")
    login(stranger, "a-reader", "another wrong password")
    login(from_address(console, "10.0.0.9"), "hunter2-hunter2", "a wrong password")
    with console.resources.sessions.begin() as session:
        change_user(session, "a-viewer", disabled=True)
    login(from_address(console, "10.0.0.10"), "a-viewer", PASSWORD)
    fields = {"form_token": form_token(browser), "old": "not mine", "new": "n" * 12, "again": "n"}
    browser.post("/account/password", data=fields)

    shown = browser.get("/people").text
    table = shown.partition("Failed logins")[2].partition("What was done")[0]
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in table.split("<tr>")[2:]]
    assert [row[2:] for row in rows] == [
        ["a-admin", "testclient", "wrong", "present", "password", "1"],
        ["a-viewer", "10.0.0.10", "may", "not", "log", "in", "1"],
        ["not", "kept", "10.0.0.9", "unknown", "name", "1"],
        ["a-reader", "10.0.0.8", "wrong", "password", "2"],
    ]
    for typed in ("hunter2", "a wrong password", "not mine"):
        assert typed not in shown


@pytest.mark.database
@pytest.mark.parametrize(
    "name", ["", "a\0b", "<b>&'\"", "\x1b[31mred", "x" * 3000, "😀" * 64, "A-ADMIN' --", "\ud83d"]
)
def test_whatever_is_typed_as_a_name_fails_to_log_in(console: ConsoleUnderTest, name: str) -> None:
    typed = name.encode(errors="surrogatepass")
    content = b"name=" + quote_plus(typed).encode() + b"&password=long-enough-to-try"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = console.browser().post("/login", content=content, headers=headers)
    assert answer.status_code == 401
    shown = console.logged_in(Role.ADMIN).get("/people").text
    assert "unknown name" in shown
    assert "<b>&" not in answer.text


@pytest.mark.database
def test_failed_logins_do_not_grow_without_end(console: ConsoleUnderTest) -> None:
    with console.resources.sessions.begin() as session:
        for day in range(100):
            record_failed_login(
                session, NOW + timedelta(days=day), user="", address="10.0.0.8", reason="r"
            )
    with console.resources.sessions.reading() as session:
        kept = failed_logins(session, 10_000, NOW + timedelta(days=99))
        assert len(kept) == KEPT.days + 1
        assert kept[0].last_at == NOW + timedelta(days=99)
        assert len(failed_logins(session, 10_000, NOW + timedelta(days=180))) == 10


@pytest.mark.database
def test_failures_of_passwords_outlast_those_of_tokens(
    console: ConsoleUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_tries, "MOST_FAILED", 3)
    sessions = console.resources.sessions
    note_failure(sessions, Failure.PASSWORD, NOW, address="10.0.0.1", user="a-admin")
    for number in range(5):
        note_failure(sessions, Failure.TOKEN, NOW, address=f"10.0.1.{number}")
    with sessions.reading() as session:
        kept = [(one.address, one.reason) for one in failed_logins(session, 10, NOW)]
    assert kept == [("10.0.1.4", "token"), ("10.0.1.3", "token"), ("10.0.0.1", "wrong password")]


def test_a_stranger_keeps_nobody_out_where_he_has_logged_in_before(
    console: ConsoleUnderTest,
) -> None:
    usual, new = "10.0.0.7", "10.0.0.8"
    assert login(from_address(console, usual), "a-admin", PASSWORD) == 303
    guess(console, "a-admin")
    assert login(from_address(console, usual), "a-admin", PASSWORD) == 303
    assert login(from_address(console, new), "a-admin", PASSWORD) == 429
    assert login(from_address(console, new), "a-reader", PASSWORD) == 303

    console.clock.pass_by(days=91)  # what was so long ago does not count
    guess(console, "a-admin")
    assert login(from_address(console, usual), "a-admin", PASSWORD) == 429


def test_guessing_is_slowed_down_where_the_user_has_logged_in_before_as_well(
    console: ConsoleUnderTest,
) -> None:
    usual = from_address(console, "2001:db8::1")
    neighbour = from_address(console, "2001:db8::2")  # the same user, says the first half
    assert login(usual, "a-admin", PASSWORD) == 303
    tried = 0
    for number in range(600):  # one try a second
        tried += login(neighbour, "a-admin", f"wrong number {number}") == 401
        console.clock.pass_by(seconds=1)
    assert 20 <= tried <= 30
    console.clock.pass_by(seconds=31)  # the longest wait of its user
    assert login(usual, "a-admin", PASSWORD) == 303


def test_a_session_ends_idle_and_after_a_working_day(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    for _ in range(24):  # a request every 29 minutes keeps it
        console.clock.pass_by(minutes=29)
        assert browser.get("/queue").status_code == 200
    console.clock.pass_by(minutes=29)
    assert browser.get("/queue").status_code == 303

    browser = console.logged_in(Role.VIEWER)
    console.clock.pass_by(minutes=31)
    assert browser.get("/queue").status_code == 303


def test_logging_out_makes_the_token_worthless(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.VIEWER)
    stolen = browser.cookies[COOKIE]
    assert browser.post("/logout", data={"form_token": form_token(browser)}).status_code == 303
    thief = console.browser()
    thief.cookies.set(COOKIE, stolen, domain=HOST)
    assert thief.get("/queue").status_code == 303


def test_a_session_cannot_be_fixed_before_the_login(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    browser.cookies.set(COOKIE, "chosen-by-somebody-else", domain=HOST)
    answer = browser.post("/login", data={"name": "a-admin", "password": PASSWORD})
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    other = console.browser()
    other.cookies.set(COOKIE, "chosen-by-somebody-else", domain=HOST)
    assert other.get("/queue").status_code == 303


def test_a_changed_password_ends_all_sessions(console: ConsoleUnderTest) -> None:
    one, other = console.logged_in(Role.READER), console.logged_in(Role.READER)
    fields = {
        "form_token": form_token(one),
        "old": PASSWORD,
        "new": "a new and longer one",
        "again": "a new and longer one",
    }
    assert one.post("/account/password", data=fields).status_code == 303
    assert one.get("/queue").status_code == 303
    assert other.get("/queue").status_code == 303
    assert login(console.browser(), "a-reader", "a new and longer one") == 303


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("wrong", "a new and longer one", "a new and longer one"),
        (PASSWORD, "a new and longer one", "another long one"),
        (PASSWORD, "short", "short"),
        (PASSWORD, "x" * 300, "x" * 300),
    ],
)
def test_a_password_that_cannot_be_is_refused(
    console: ConsoleUnderTest, old: str, new: str, again: str
) -> None:
    browser = console.logged_in(Role.READER)
    fields = {"form_token": form_token(browser), "old": old, "new": new, "again": again}
    assert browser.post("/account/password", data=fields).status_code in {400, 403}
    assert login(console.browser(), "a-reader", PASSWORD) == 303


def test_a_disabled_user_is_out_at_once(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.READER)
    with console.resources.sessions.begin() as session:
        change_user(session, "a-reader", disabled=True)
    assert browser.get("/queue").status_code == 303
    assert login(console.browser(), "a-reader", PASSWORD) == 401


def test_nobody_ends_the_session_of_another_but_an_administrator(
    console: ConsoleUnderTest,
) -> None:
    victim, thief = console.logged_in(Role.ADMIN), console.logged_in(Role.VIEWER)
    digest = victim.get("/account").text.partition('name="session" value="')[2].partition('"')[0]
    fields = {"form_token": form_token(thief), "session": digest}
    assert thief.post("/account/end-session", data=fields).status_code == 404
    assert victim.get("/queue").status_code == 200

    digest = thief.get("/account").text.partition('name="session" value="')[2].partition('"')[0]
    fields = {"form_token": form_token(victim), "session": digest}
    assert victim.post("/account/end-session", data=fields).status_code == 303
    assert thief.get("/queue").status_code == 303


def test_the_last_administrator_stays(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    token = form_token(browser)
    for fields in ({"role": "viewer"}, {"role": "admin", "disabled": "yes"}):
        answer = browser.post(
            "/people/change", data={"form_token": token, "name": "a-admin", **fields}
        )
        assert answer.status_code == 409
    assert browser.get("/people").status_code == 200


@pytest.mark.database
def test_of_two_administrators_who_are_demoted_at_the_same_time_one_stays(
    console: ConsoleUnderTest,
) -> None:
    boss = User(name="boss", role=Role.ADMIN, password=HASHED, created_at=NOW)
    with console.resources.sessions.begin() as session:
        add_user(session, boss)
    browser = console.logged_in(Role.ADMIN)
    fields = {"form_token": form_token(browser), "before": "admin", "role": "viewer"}
    with ThreadPoolExecutor(1) as pool:
        with console.resources.sessions.begin() as session:
            change_user(session, "boss", role=Role.VIEWER)
            fields |= {"name": "a-admin"}
            answer = pool.submit(browser.post, "/people/change", data=fields)
            wait([answer], timeout=0.5)  # it waits for us, or has not looked at us
        assert answer.result().status_code == 409
    with console.resources.sessions.reading() as session:
        assert count_enabled(session, Role.ADMIN) == 1


def test_users_are_added_and_what_was_done_is_shown(console: ConsoleUnderTest) -> None:
    browser = console.logged_in(Role.ADMIN)
    new = {"name": "New.One", "role": "reader", "password": "long enough for this"}
    fields = {"form_token": form_token(browser), **new}
    assert browser.post("/people/add", data=fields).status_code == 303
    assert browser.post("/people/add", data=fields).status_code == 400  # there is one
    assert login(console.browser(), "new.one", "long enough for this") == 303
    shown = browser.get("/people").text
    assert "add user" in shown
    assert "new.one" in shown


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example"])
def test_the_login_leads_to_no_other_host(console: ConsoleUnderTest, target: str) -> None:
    fields = {"name": "a-viewer", "password": PASSWORD, "next": target}
    assert console.browser().post("/login", data=fields).headers["location"] == "/"


def test_the_login_leads_to_where_one_was_going(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    assert browser.get("/why?study=1.2").headers["location"] == "/login?next=%2Fwhy%3Fstudy%3D1.2"
    fields = {"name": "a-viewer", "password": PASSWORD, "next": "/why?study=1.2"}
    assert browser.post("/login", data=fields).headers["location"] == "/why?study=1.2"
