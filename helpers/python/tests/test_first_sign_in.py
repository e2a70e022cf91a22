"""The sample of docs/TESTING.md."""

from __future__ import annotations

from browser import Browser, authorization_url

from vestibule_testing import Environment


def test_signs_in(vestibule: Environment) -> None:
    inbox = vestibule.inbox("ada@example.com")  # what arrives from now on
    browser = Browser(authorization_url(vestibule, "ada@example.com"))
    browser.submit("/code", {"code": inbox.next_code()})
    assert browser.callback["state"] == "state-1"
