"""Sign-ins on the pages, in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from app import start_app
from playwright.sync_api import Browser, Page, expect, sync_playwright

from vestibule_testing import Environment, Server, VestibuleError

ADA = "ada@example.com"
CHROMIUM = Path("/usr/bin/chromium")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


# As pytest-playwright has it.
@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def app_url(vestibule: Environment) -> Iterator[str]:
    with start_app(vestibule) as url:
        yield url


def test_signs_in_at_once(page: Page, vestibule: Environment, app_url: str) -> None:
    page.goto(f"{app_url}/login")
    vestibule.sign_in(page, "ada@example.com")
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    assert vestibule.call("GET", "/messages")["messages"] == []


@pytest.mark.parametrize("credentials", ["OTP", "LINK", "LINK_OTP"])
@pytest.mark.parametrize("hint", ["", f"?login_hint={ADA}"])
def test_signs_in_on_the_pages(page: Page, vestibule_server: Server, credentials: str, hint: str) -> None:
    settings = {"passwordless": {"type": credentials}}
    with (
        vestibule_server.new_environment(instant_sign_in=False, settings=settings) as vestibule,
        start_app(vestibule) as app_url,
    ):
        for _ in range(2):  # The second time, the first one's email is there already.
            page.goto(f"{app_url}/login{hint}")
            vestibule.sign_in(page, ADA)
            expect(page.get_by_text(ADA)).to_be_visible()
            page.context.clear_cookies()
        assert len(vestibule.call("GET", f"/messages?to={ADA}")["messages"]) == 2


@pytest.mark.parametrize("credentials", ["OTP", "LINK"])
def test_takes_no_email_of_a_sign_in_that_was_left(page: Page, vestibule_server: Server, credentials: str) -> None:
    settings = {"passwordless": {"type": credentials}}
    with (
        vestibule_server.new_environment(instant_sign_in=False, settings=settings) as vestibule,
        start_app(vestibule) as app_url,
    ):
        page.goto(f"{app_url}/login?login_hint={ADA}")
        page.goto(f"{app_url}/login?login_hint={ADA}")
        vestibule.sign_in(page, ADA)
        expect(page.get_by_text(ADA)).to_be_visible()
        assert [flow["status"] for flow in vestibule.flows(ADA)] == ["SUCCESS", "PENDING"]


@pytest.mark.parametrize("instant_sign_in", [True, False])
def test_enters_the_organization_that_is_named(page: Page, vestibule_server: Server, instant_sign_in: bool) -> None:
    acme, globex = "org_100000000000000001", "org_100000000000000002"
    seed = {
        "organizations": [{"id": acme, "display_name": "Acme"}, {"id": globex, "display_name": "Globex"}],
        "users": [{"email": ADA, "organizations": [acme, globex]}],
    }
    settings = {"tokens": {"user_management": True}}
    with (
        vestibule_server.new_environment(settings=settings, seed=seed, instant_sign_in=instant_sign_in) as vestibule,
        start_app(vestibule) as app_url,
    ):
        page.goto(f"{app_url}/login")
        vestibule.sign_in(page, ADA, organization="Globex")
        expect(page.get_by_text(f"{ADA} {globex}")).to_be_visible()


def test_keeps_a_signed_in_browser_for_other_tests(
    page: Page, browser: Browser, vestibule: Environment, app_url: str
) -> None:
    page.goto(f"{app_url}/login")
    vestibule.sign_in(page, "ada@example.com")
    other = browser.new_context(storage_state=page.context.storage_state())
    signed_in = other.new_page()
    signed_in.goto(f"{app_url}/login")
    expect(signed_in.get_by_text(ADA)).to_be_visible()
    other.close()


def test_says_what_is_shown_and_what_happened_where_it_does_not_end(
    page: Page, vestibule: Environment, app_url: str
) -> None:
    with pytest.raises(VestibuleError, match="did not leave the sign-in pages within 0 s; about:blank shows") as stuck:
        vestibule.sign_in(page, ADA, timeout_s=0)
    assert stuck.value.timeline == []
    # The code has come, and nothing asks for it.
    vestibule.faults.add({"match": {"path": "/login/*"}, "effect": {"kind": "status", "status": 503, "body": {}}})
    page.goto(f"{app_url}/login?login_hint={ADA}")
    with pytest.raises(VestibuleError, match="authorize ok: "):
        vestibule.sign_in(page, ADA, timeout_s=2)
