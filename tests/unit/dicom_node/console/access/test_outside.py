"""Users whom a reverse proxy has logged in; nobody else's word counts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from config.errors import SettingsError
from config.network import ConsoleSettings
from config.reader import settings_in
from config.settings import Settings
from dicom_node.console.access.outside import (
    NO_PASSWORD,
    OutsideUser,
    enter,
    is_trusted,
    proxied_user,
    role_of,
)
from dicom_node.console.access.people import Role
from dicom_node.errors import NodeError
from storage.console.changes import latest_changes
from storage.console.users import change_user, find_user
from tests.support.console.console_under_test import HOST, NOW, ConsoleUnderTest, form_token

PROXY, OTHER = "10.9.0.1", "10.9.1.1"
SETTINGS: dict[str, Any] = {
    "trusted_proxies": ("10.9.0.0/24", "fd00::1"),
    "proxy_user_header": "x-remote-user",
    "proxy_groups_header": "x-remote-groups",
}
GROUPS = {"radiology": "reader", "pacs": "admin"}


@pytest.fixture
def console(tmp_path: Path) -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    use(made)
    yield made
    made.resources.close()


def use(console: ConsoleUnderTest, **group_roles: str) -> None:
    """Let a proxy log users in."""
    values = {
        "storage": console.settings.storage.model_dump(),
        "console": {**SETTINGS, "group_roles": group_roles},
    }
    console.settings = Settings.model_validate(values)


def browser(
    console: ConsoleUnderTest, user: str = "", groups: str = "", *, address: str = PROXY
) -> TestClient:
    """Open a browser whose requests come by an address, with what a proxy says of its user."""
    headers = {"Origin": f"https://{HOST}", "Sec-Fetch-Site": "same-origin"}
    said = {"X-Remote-User": user, "X-Remote-Groups": groups}
    headers |= {name: value for name, value in said.items() if value}
    return TestClient(
        console.app,
        base_url=f"https://{HOST}",
        headers=headers,
        follow_redirects=False,
        client=(address, 50000),
    )


def test_a_user_of_the_proxy_is_let_in_in_the_role_of_here(console: ConsoleUnderTest) -> None:
    known = browser(console, "A-Reader")
    answer = known.get("/login?next=/queue")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    assert known.get("/queue").status_code == 200
    assert known.get("/people").status_code == 403
    assert browser(console, "a-stranger").get("/login").status_code == 403


def test_groups_give_the_role_and_its_change_is_recorded(console: ConsoleUnderTest) -> None:
    use(console, **GROUPS)
    assert browser(console, "new.one", "other").get("/login").status_code == 403
    reader = browser(console, "new.one", "other, radiology")
    assert reader.get("/login").status_code == 303
    assert reader.get("/people").status_code == 403
    admin = browser(console, "new.one", "radiology,pacs")
    assert admin.get("/login").status_code == 303
    assert admin.get("/people").status_code == 200
    assert reader.get("/queue").status_code == 303  # a changed role ends sessions
    with console.resources.sessions.reading() as session:
        changes = [(one.action, one.before, one.after) for one in latest_changes(session, 9)]
    assert ("add user", "", "reader") in changes
    assert ("change user", "reader", "admin") in changes


@pytest.mark.parametrize("groups", ["radiology", "other", ""])
def test_a_role_ends_with_the_group_that_gave_it(console: ConsoleUnderTest, groups: str) -> None:
    use(console, **GROUPS)
    admin = browser(console, "new.one", "pacs")
    assert admin.get("/login").status_code == 303
    assert admin.get("/people").status_code == 200

    later = browser(console, "new.one", groups)
    later.cookies = admin.cookies

    assert later.get("/people").headers["location"].startswith("/login")


@pytest.mark.parametrize("address", [OTHER, "127.0.0.1", "testclient", ""])
def test_the_header_of_others_is_ignored(console: ConsoleUnderTest, address: str) -> None:
    stranger = browser(console, "a-admin", address=address)
    answer = stranger.get("/login")
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
    assert stranger.get("/queue").headers["location"].startswith("/login")


def test_no_forwarded_address_makes_a_stranger_a_proxy(console: ConsoleUnderTest) -> None:
    stranger = browser(console, "a-admin", address=OTHER)
    forged = {"X-Forwarded-For": PROXY, "Forwarded": f"for={PROXY}", "X-Real-IP": PROXY}
    assert "set-cookie" not in stranger.get("/login", headers=forged).headers


def test_another_user_at_the_proxy_does_not_go_on_with_the_session(
    console: ConsoleUnderTest,
) -> None:
    one = browser(console, "a-admin")
    one.get("/login")
    assert one.get("/people").status_code == 200
    other = browser(console, "a-viewer")
    other.cookies = one.cookies
    assert other.get("/people").headers["location"].startswith("/login")


def test_what_the_proxy_says_twice_or_is_no_name_counts_for_nothing(
    console: ConsoleUnderTest,
) -> None:
    client = browser(console)
    twice = [("X-Remote-User", "a-admin"), ("X-Remote-User", "a-viewer"), ("Host", HOST)]
    groups = [("X-Remote-User", "a-admin"), ("X-Remote-Groups", "a"), ("X-Remote-Groups", "pacs")]
    nobody = [("X-Remote-User", "a b"), ("Host", HOST)]
    for headers in (twice, nobody, [*groups, ("Host", HOST)]):
        answer = client.get("/login", headers=headers)  # type: ignore[arg-type]  # a list of pairs
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_forms_of_such_a_session_need_their_token_too(console: ConsoleUnderTest) -> None:
    known = browser(console, "a-admin")
    known.get("/login")
    assert known.post("/logout", data={"a": "b"}).status_code == 403
    assert known.post("/logout", data={"form_token": form_token(known)}).status_code == 303


def test_a_user_of_outside_has_no_password_and_takes_no_account_of_here(
    console: ConsoleUnderTest,
) -> None:
    use(console, **GROUPS)
    browser(console, "new.one", "radiology").get("/login")
    for password in (NO_PASSWORD, "", "a user who is not there"):
        fields = {"name": "new.one", "password": password}
        assert console.browser().post("/login", data=fields).status_code == 401
    assert browser(console, "a-admin", "pacs").get("/login").status_code == 403


def test_a_disabled_user_stays_out(console: ConsoleUnderTest) -> None:
    with console.resources.sessions.begin() as session:
        change_user(session, "a-reader", disabled=True)
        with pytest.raises(NodeError, match="disabled"):
            enter(session, OutsideUser(name="a-reader"), {}, NOW)
        assert find_user(session, "a-reader") is not None
    assert browser(console, "a-reader").get("/login").status_code == 403


@pytest.mark.parametrize(
    ("groups", "roles", "expected"),
    [
        ((), {}, None),
        (("a",), {"b": "admin"}, None),
        ((), {"*": "viewer"}, Role.VIEWER),
        (("a", "b"), {"a": "viewer", "b": "admin", "c": "reader"}, Role.ADMIN),
        (("*",), {"*": "viewer", "x": "admin"}, Role.VIEWER),
        (("A",), {"a": "admin"}, None),
    ],
)
def test_the_highest_role_of_the_groups_counts(
    groups: tuple[str, ...], roles: Mapping[str, str], expected: Role | None
) -> None:
    assert role_of(groups, roles) is expected


@pytest.mark.parametrize(
    ("address", "trusted"),
    [(PROXY, True), (OTHER, False), ("fd00::1", True), (f"::ffff:{PROXY}", True), ("x", False)],
)
def test_a_proxy_is_known_by_its_address(address: str, trusted: bool) -> None:
    assert is_trusted(ConsoleSettings.model_validate(SETTINGS), address) is trusted
    headers = Headers({"x-remote-user": "a"})
    assert (proxied_user(ConsoleSettings(), address, headers)) is None


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("proxy_user_header = X-User", "trusted_proxies besides"),
        ("trusted_proxies = proxy.example.org", "IP addresses or networks"),
        ("trusted_proxies = 0.0.0.0/0", "never all addresses"),
        ("trusted_proxies = 10.0.0.1\nproxy_user_header = X User", "name of a header"),
        ("proxy_groups_header = X-Groups", "proxy_user_header besides"),
        ("group_roles = radiology", "GROUP=ROLE"),
        ("group_roles = radiology=boss", "viewer"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(
    tmp_path: Path, line: str, expected: str
) -> None:
    with pytest.raises(SettingsError, match=expected):
        settings_in(f"[console]\n{line}\n", tmp_path / "node.ini")
