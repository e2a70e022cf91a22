"""The sign-in pages as a test's user sees them, in Playwright's synchronous `Page`."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ._errors import VestibuleError

if TYPE_CHECKING:
    from ._client import Environment

TIMEOUT_S = 30.0
LOOK_EVERY_MS = 20

ADDRESS = "input[name=email]:not([type=hidden])"
CODE = "input[name=code]"
# One selector, so that no page that loads meanwhile is seen in part: the code page can be asked for another email, too.
RESEND = f'main:not(:has({CODE})):not(:has({ADDRESS})) form[action$="/resend"]'
# As the account picker does: at once, where the application allows instant sign-in.
PICK = """input => {
  const picked = document.createElement('input');
  picked.type = 'hidden';
  picked.name = 'picked';
  picked.value = 'true';
  input.form.append(picked);
}"""


class SignInPage(Protocol):
    """What `Environment.sign_in` needs of a page: Playwright's synchronous `Page` has it."""

    @property
    def url(self) -> str: ...

    def goto(self, url: str) -> Any: ...

    def locator(self, selector: str) -> Any: ...

    def wait_for_timeout(self, timeout: float) -> None: ...


def sign_in_on_pages(
    vestibule: Environment,
    page: SignInPage,
    email: str,
    *,
    organization: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> None:
    """Signs in on the sign-in page that `page` shows or is on its way to, until the application has taken over."""
    deadline = time.monotonic() + timeout_s
    address, code, resend = page.locator(ADDRESS), page.locator(CODE), page.locator(RESEND)
    choice = page.locator("main button[name=organization_id]").filter(has_text=organization or "").first

    def until(**states: Callable[[], bool]) -> str:
        """Looks until one of these is true, and tells which."""
        while True:
            for name, is_so in states.items():
                if is_so():
                    return name
            if time.monotonic() > deadline:
                raise _stuck(vestibule, page, email, timeout_s)
            # Playwright's own wait: its events are handled meanwhile.
            page.wait_for_timeout(LOOK_EVERY_MS)

    def left() -> bool:
        return re.search(r"/login/[^/]+", urlsplit(page.url).path) is None

    def chooses() -> bool:
        return organization is not None and bool(choice.is_visible())

    inbox = vestibule.inbox(email)
    first = state = until(address=address.is_visible, code=code.is_visible, link=resend.is_visible)
    if first == "address":
        address.fill(email)
        # An account that is picked enters its oldest organization, without a choice.
        if organization is None:
            address.evaluate(PICK)
        address.press("Enter")
        state = until(left=left, chooses=chooses, code=code.is_visible, link=resend.is_visible)
    if state in ("code", "link"):
        left_s = max(0.0, deadline - time.monotonic())
        # With a hint the email may have come before the inbox was opened.
        is_hinted = first != "address"
        if state == "code":
            code.fill(
                vestibule.wait_for_code(email, timeout_s=left_s) if is_hinted else inbox.next_code(timeout_s=left_s)
            )
            code.press("Enter")
        else:
            page.goto(
                vestibule.wait_for_link(email, timeout_s=left_s) if is_hinted else inbox.next_link(timeout_s=left_s)
            )
        state = until(left=left, chooses=chooses)
    if state == "chooses":
        choice.click()
        until(left=left)


def _stuck(vestibule: Environment, page: SignInPage, email: str, timeout_s: float) -> VestibuleError:
    """What the page shows, and what happened."""
    shown = ""
    # A page without text, or one that is going: the address and the timeline still tell enough.
    with contextlib.suppress(Exception):
        shown = re.sub(r"\s*\n\s*", " · ", page.locator("main").inner_text(timeout=1000))[:300]
    steps: list[dict[str, Any]] = []
    with contextlib.suppress(VestibuleError):
        flows = vestibule.flows(email)
        steps = vestibule.call("GET", f"/flows/{flows[0]['id']}")["steps"] if flows else []
    return VestibuleError(
        "Not signed in",
        f"{email} did not leave the sign-in pages within {timeout_s:g} s; {page.url} shows: {shown}",
        timeline=[f"{step['at']} {step['name']} {step['verdict']}: {step['text']}" for step in steps],
    )
