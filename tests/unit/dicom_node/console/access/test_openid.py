"""Log in by an OpenID provider: what it proves counts, and nothing else."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from config.errors import SettingsError
from config.reader import settings_in
from config.settings import Settings
from dicom_node.console.access.people import Role
from dicom_node.console.access.tokens import ApiLimits, RateLimit
from dicom_node.console.app import make_app
from storage.console.changes import latest_changes
from tests.support.console.console_under_test import HOST, ConsoleUnderTest

pytest.importorskip("authlib", reason="needs the extra: pip install 'dicom-node[oidc]'")
pytest.importorskip("joserfc", reason="needs the extra: pip install 'dicom-node[oidc]'")

from joserfc.jwk import RSAKey

from tests.support.console.openid_provider import CLIENT, SECRET, provider

if TYPE_CHECKING:
    from tests.support.console.openid_provider import Provider

COOKIE = "__Host-openid"


@pytest.fixture(scope="module")
def served() -> Iterator["Provider"]:
    with provider() as made:
        yield made


@pytest.fixture
def openid(served: "Provider") -> "Provider":
    served.begin_anew()
    return served


@pytest.fixture
def console(tmp_path: Path, openid: "Provider") -> Iterator[ConsoleUnderTest]:
    made = ConsoleUnderTest(tmp_path)
    outside = RateLimit(20, 0.2, lambda: made.steady)
    made.console = replace(made.console, api_limits=ApiLimits(outside=outside))
    made.app = make_app(made.console, hosts={HOST})
    (tmp_path / "secret").write_text(SECRET)
    use(made, openid.issuer, tmp_path / "secret")
    yield made
    made.resources.close()


def use(console: ConsoleUnderTest, issuer: str, secret: Path, **more: Any) -> None:  # noqa: ANN401  # of a setting
    values = {
        "oidc_issuer": issuer,
        "oidc_client_id": CLIENT,
        "oidc_password_file": secret,
        "group_roles": {"radiology": "reader", "pacs": "admin"},
        **more,
    }
    storage = console.settings.storage.model_dump()
    console.settings = Settings.model_validate({"storage": storage, "console": values})


def sent(browser: TestClient, target: str = "") -> str:
    """Go to the provider; give the address there."""
    answer = browser.get(f"/login/openid?next={target}" if target else "/login/openid")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def returned(address: str) -> str:
    """Log in at the provider; give where it leads back to."""
    back = urlsplit(httpx.get(address).headers["location"])
    assert back.netloc == HOST
    return f"{back.path}?{back.query}"


def logged_in(console: ConsoleUnderTest, target: str = "") -> tuple[TestClient, httpx.Response]:
    browser = console.browser()
    return browser, browser.get(returned(sent(browser, target)))


def test_a_user_of_the_provider_comes_in_by_groups(
    console: ConsoleUnderTest, openid: "Provider"
) -> None:
    assert "/login/openid" in console.browser().get("/login").text
    browser, answer = logged_in(console, "/queue")
    assert (answer.status_code, answer.headers["location"]) == (303, "/queue")
    assert browser.get("/queue").status_code == 200
    assert browser.get("/people").status_code == 403
    openid.begin_anew(groups=["pacs"])
    assert logged_in(console)[0].get("/people").status_code == 200
    with console.resources.sessions.reading() as session:
        changes = [(one.action, one.subject, one.after) for one in latest_changes(session, 9)]
    assert ("add user", "doe", "reader") in changes
    assert ("change user", "doe", "admin") in changes


def test_the_provider_is_asked_with_state_nonce_and_challenge(console: ConsoleUnderTest) -> None:
    browser = console.browser()
    one, other = parse_qs(urlsplit(sent(browser)).query), parse_qs(urlsplit(sent(browser)).query)
    assert one["response_type"] == ["code"]
    assert one["code_challenge_method"] == ["S256"]
    assert one["scope"] == ["openid profile email"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(one[name][0]) >= 43
        assert one[name] != other[name]
    cookie = browser.get("/login/openid").headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "secure", "samesite=lax", "max-age=600"))


NOW = int(time.time())


NOT_FOR_US: tuple[dict[str, Any], ...] = (
    {"nonce": "of another login"},
    {"nonce": None},
    {"aud": "another"},
    {"aud": ["another", "third"]},
    {"aud": [CLIENT, "another"]},  # for whom of them it is, azp must say
    {"azp": "another"},
    {"iss": "http://127.0.0.1:1"},
    {"exp": NOW - 3600},
    {"exp": None},
    {"iat": NOW + 7200},
    {"sub": None},
    {"preferred_username": None},
    {"preferred_username": "a b"},
    {"preferred_username": ["doe"]},
    {"groups": ["other"]},
    {"groups": {"radiology": "pacs"}},
    {"groups": None},
)


def test_a_word_that_is_not_for_this_login_lets_nobody_in(
    console: ConsoleUnderTest, openid: "Provider"
) -> None:
    for claims in NOT_FOR_US:
        openid.begin_anew(**claims)
        browser, answer = logged_in(console)
        assert (answer.status_code, claims) == (403, claims)
        assert "Single sign-on failed" in answer.text
        assert browser.get("/queue").status_code == 303
        console.steady += 10  # the next is another's


def test_a_word_that_the_provider_has_not_signed_lets_nobody_in(
    console: ConsoleUnderTest, openid: "Provider"
) -> None:
    for algorithm in ("none", "HS256"):
        openid.begin_anew()
        openid.signs = algorithm
        assert logged_in(console)[1].status_code == 403
    openid.begin_anew()
    openid.signing_key = RSAKey.generate_key(2048, {"kid": "one"})
    assert logged_in(console)[1].status_code == 403


def test_an_answer_to_no_login_of_this_browser_lets_nobody_in(
    console: ConsoleUnderTest, openid: "Provider"
) -> None:
    browser, other = console.browser(), console.browser()
    back = returned(sent(browser))
    assert other.get(back).status_code == 403  # no login was begun there
    sent(other)
    assert other.get(back).status_code == 403  # another one was
    for change in ("&state=x", "&iss=http://127.0.0.1:1"):  # of a code that is good
        browser = console.browser()
        assert browser.get(returned(sent(browser)) + change).status_code == 403
    browser = console.browser()
    answer = browser.get(returned(sent(browser)))
    assert answer.status_code == 303
    assert f'{COOKIE}=""' in str(answer.headers.get_list("set-cookie"))


def test_a_stolen_code_is_of_no_use_in_another_login(console: ConsoleUnderTest) -> None:
    victim, thief = console.browser(), console.browser()
    stolen = parse_qs(urlsplit(returned(sent(victim))).query)["code"][0]
    state = parse_qs(urlsplit(sent(thief)).query)["state"][0]
    answer = thief.get(f"/login/openid/callback?code={stolen}&state={state}")
    assert answer.status_code == 403
    assert thief.get("/queue").status_code == 303


def test_what_the_provider_refuses_is_told_and_nothing_is_quoted(
    console: ConsoleUnderTest,
) -> None:
    for error, told in (("access_denied", "access_denied"), ("<b>x", "no code")):
        browser = console.browser()
        state = parse_qs(urlsplit(sent(browser)).query)["state"][0]
        answer = browser.get(f"/login/openid/callback?error={error}&state={state}")
        assert (answer.status_code, told in answer.text) == (403, True)
        assert "<b>x" not in answer.text


def test_the_login_leads_to_no_other_host(console: ConsoleUnderTest) -> None:
    for target in ("//evil.example", "https://evil.example", "/a.b.c?d=e.f"):
        expected = target if target.startswith("/a") else "/"
        assert logged_in(console, target)[1].headers["location"] == expected


def test_a_provider_that_is_another_or_unsafe_is_not_gone_to(
    console: ConsoleUnderTest, openid: "Provider"
) -> None:
    for metadata in (
        {"issuer": "http://127.0.0.1:1"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": None},
    ):
        openid.metadata = metadata
        answer = console.browser().get("/login/openid")
        assert (answer.status_code, "Single sign-on failed" in answer.text) == (403, True)


def test_a_provider_that_is_away_is_told_and_asked_no_more_often_than_allowed(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    use(console, "http://127.0.0.1:1", tmp_path / "secret")
    answers = [console.browser().get("/login/openid").status_code for _ in range(21)]
    assert answers == [403] * 20 + [429]


def test_without_a_provider_there_is_no_such_login(
    console: ConsoleUnderTest, tmp_path: Path
) -> None:
    storage = console.settings.storage.model_dump()
    console.settings = Settings.model_validate({"storage": storage})
    assert console.browser().get("/login/openid").status_code == 404
    assert "/login/openid" not in console.browser().get("/login").text
    assert console.logged_in(Role.VIEWER).get("/queue").status_code == 200


def test_an_address_that_was_not_verified_names_nobody(
    console: ConsoleUnderTest, openid: "Provider", tmp_path: Path
) -> None:
    use(console, openid.issuer, tmp_path / "secret", oidc_name_claim="email")
    openid.begin_anew(email="doe@example.org", email_verified=False)
    assert logged_in(console)[1].status_code == 403
    openid.begin_anew(email="doe@example.org", email_verified=True)
    assert logged_in(console)[1].status_code == 303


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("oidc_issuer = http://login.example.org\noidc_client_id = c", "https://host/path"),
        ("oidc_issuer = https://a:b@login.example.org\noidc_client_id = c", "without user"),
        ("oidc_issuer = https://login.example.org", "where there is an oidc_issuer"),
        ("oidc_client_id = c", "where there is an oidc_issuer"),
    ],
)
def test_settings_of_half_a_provider_are_refused(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        settings_in(f"[console]\n{line}\n", tmp_path / "node.ini")
