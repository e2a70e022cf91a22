"""An environment and the calls of its control API."""

from __future__ import annotations

import http.client
import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar, overload

from ._errors import VestibuleError
from ._pages import TIMEOUT_S, SignInPage, sign_in_on_pages

CALL_TIMEOUT_S = 30.0
MESSAGE_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 10.0
# The server waits no longer than this in one call.
LONGEST_WAIT_MS = 60_000

E = TypeVar("E", bound="Environment")
# Where a method of the same name hides `list`.
_Records = list[dict[str, Any]]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The control API never redirects; whatever does is another server, which must not get the token."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


# Proxies are for the network, not for a server of the test's own.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


class Control:
    """The control API below one base URL."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token

    def call(self, method: str, path: str, body: object = None, *, wait_s: float = 0) -> Any:
        """Makes one call. `wait_s` is the time that the server itself may wait in it."""
        url = f"{self.url}/_emulator/v1{path}"
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(url, data=data, headers=headers, method=method)
        try:
            with _OPENER.open(request, timeout=CALL_TIMEOUT_S + wait_s) as response:
                status, answer = response.status, response.read()
        except urllib.error.HTTPError as refused:
            with refused:
                raise _refusal(refused.code, refused.read().decode(errors="replace")) from None
        except (OSError, http.client.HTTPException) as error:
            raise VestibuleError("No answer", f"{method} {url}: {error}") from error
        if not answer:
            return None
        try:
            return json.loads(answer)
        except ValueError as error:
            text = answer.decode(errors="replace")[:500]
            raise VestibuleError("Not JSON", f"{method} {url} answered: {text}", status=status) from error


def _encoded(query: Mapping[str, str | None]) -> str:
    """A query without what is None."""
    return urllib.parse.urlencode({name: value for name, value in query.items() if value is not None})


def _refusal(status: int, text: str) -> VestibuleError:
    """Makes an error of an answer of the control API. One of Scalekit's API, or as OAuth gives it, is read as well."""
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        body = {}
    details = body.get("details")
    first = details[0] if isinstance(details, list) and details else None
    info: dict[str, Any] = first if isinstance(first, dict) else {}
    violations = info.get("validation_error_info", {}).get("field_violations", [])
    code = body.get("error") or info.get("error_code")
    return VestibuleError(
        body.get("title") or code or f"HTTP {status}",
        body.get("detail") or body.get("error_description") or body.get("message") or text[:500],
        status=status,
        code=code,
        errors=body.get("errors")
        or [{"field": found["field"], "reason": found["description"]} for found in violations],
        timeline=body.get("timeline") or [],
    )


@dataclass(frozen=True)
class Message:
    """An email.

    Attributes:
        id: `msg_…`; what `since` takes.
        code: The code, where the mail carries one.
        link: The link, where the mail carries one.
        raw: All that the server said of it, such as `kind` and `created_at`.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str
    code: str | None
    link: str | None
    auth_request_id: str
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class SignedIn:
    """Where a browser would be after an instant sign-in.

    Attributes:
        callback_url: The application's callback with `code` and `state`, or with an `error`.
        session_cookie: The environment's session cookie, for those who want to go on as this browser.
    """

    callback_url: str
    code: str | None
    state: str | None
    error: str | None
    session_cookie: str | None


class Clock:
    """The time of an environment. Codes, links, sessions, tokens and limits obey it.

    All calls give the clock as it stands then: `now`, `real_now`, `frozen`, `ahead_s`, `date_tokens_ahead`.
    """

    def __init__(self, control: Control) -> None:
        self._control = control

    def get(self) -> dict[str, Any]:
        """How it stands."""
        return self._call("GET")

    def advance(self, seconds: int) -> dict[str, Any]:
        """Moves it on by whole seconds; back, when negative. Refused with 400 beyond ten years."""
        return self._call("PUT", {"advance_s": seconds})

    def set(self, now: datetime | str) -> dict[str, Any]:
        """Makes it this time now: a datetime with a time zone, or a text as RFC 3339 has it.

        Raises:
            ValueError: The datetime has no time zone.
        """
        if isinstance(now, datetime):
            if now.tzinfo is None:
                raise ValueError("the time needs a time zone, such as datetime.timezone.utc")
            now = now.isoformat()
        return self._call("PUT", {"now": now})

    def freeze(self) -> dict[str, Any]:
        """Lets it stand still."""
        return self._call("PUT", {"frozen": True})

    def resume(self) -> dict[str, Any]:
        """Lets it run on from where it stood."""
        return self._call("PUT", {"frozen": False})

    def reset(self) -> dict[str, Any]:
        """Back to real time."""
        return self._call("DELETE")

    def _call(self, method: str, body: object = None) -> dict[str, Any]:
        state: dict[str, Any] = self._control.call(method, "/clock", body)
        return state


class Faults:
    """What goes wrong on purpose in an environment."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def add(self, rule: Mapping[str, Any]) -> dict[str, Any]:
        """Adds a rule: `match`, `nth`, `count`, `probability`, `latency_ms`, `effect`. Gives it with `id` and counts.

        Refused with 400 when a field is wrong.
        """
        fault: dict[str, Any] = self._control.call("POST", "/faults", rule)
        return fault

    def list(self) -> _Records:
        """The rules with their counts, `matched` and `fired`."""
        faults: _Records = self._control.call("GET", "/faults")["faults"]
        return faults

    def clear(self) -> None:
        """Deletes all rules."""
        self._control.call("DELETE", "/faults")


class Settings:
    """The settings of an environment."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def get(self) -> dict[str, Any]:
        """As they hold now."""
        settings: dict[str, Any] = self._control.call("GET", "/settings")
        return settings

    def change(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Changes those that are named; None goes back to the configured one. Gives all of them as they hold then.

        Refused with 400, and nothing is changed, when a field is wrong.
        """
        settings: dict[str, Any] = self._control.call("PATCH", "/settings", changes)
        return settings


class Environment:
    """An environment: put `url`, `client_id` and `client_secret` where Scalekit's were.

    As a context manager it is deleted at the end.

    Attributes:
        url: Its URL, without a slash at the end.
        name: None is the default one.
        client_id: Id of its first application.
        client_secret: Secret of it; None where the server has it as a hash only.
        clock: Its time.
        faults: What goes wrong in it on purpose.
        settings: Its settings.
    """

    def __init__(self, control: Control, view: Mapping[str, Any], parent: Control | None = None) -> None:
        """Made by `Server.new_environment`, `start_server` and `attach`."""
        self._control = control
        self._parent = parent
        self.url = control.url
        self.name: str | None = view["name"]
        self.client_id: str = view["client_id"]
        self.client_secret: str | None = view["client_secret"]
        self.clock = Clock(control)
        self.faults = Faults(control)
        self.settings = Settings(control)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Any call of the control API, such as `call("POST", "/tokens", {"user": user})`.

        The path is below `/_emulator/v1`; `/api/users` there is Scalekit's API. Gives the answer, None for none.
        """
        return self._control.call(method, path, body)

    def env(self) -> dict[str, str]:
        """The variables by which an application finds this environment, by the names of Scalekit's documentation."""
        variables = {
            "SCALEKIT_ENVIRONMENT_URL": self.url,
            "SCALEKIT_ENV_URL": self.url,
            "SCALEKIT_CLIENT_ID": self.client_id,
        }
        return variables if self.client_secret is None else {**variables, "SCALEKIT_CLIENT_SECRET": self.client_secret}

    def wait_for_message(
        self, address: str, *, timeout_s: float = MESSAGE_TIMEOUT_S, since: str | None = None
    ) -> Message:
        """The newest email to an address, as soon as there is one.

        One that is there already counts, unless `since`, the id of an email, says that only a newer one does: for a
        second sign-in of the address use `inbox`. Raises `VestibuleError` with status 404 when none came within
        `timeout_s` seconds.
        """
        return self._newest_message(address, timeout_s, {} if since is None else {"since": since})

    def _usable_message(self, address: str, timeout_s: float, since: str | None) -> Message:
        """The newest email that can be used: not of a sign-in that is over, unless `since` says which."""
        return self._newest_message(address, timeout_s, {"unused": "true"} if since is None else {"since": since})

    def _newest_message(self, address: str, timeout_s: float, which: Mapping[str, str]) -> Message:
        deadline = time.monotonic() + timeout_s
        query = {"to": address, **which}
        while True:
            left_ms = max(0, math.ceil((deadline - time.monotonic()) * 1000))
            wait_ms = min(left_ms, LONGEST_WAIT_MS)
            path = "/messages/latest?" + urllib.parse.urlencode({**query, "wait_ms": wait_ms})
            try:
                raw = self._control.call("GET", path, wait_s=wait_ms / 1000)
                break
            except VestibuleError as error:
                # Any other 404 is of an environment that is gone: waiting on would not help.
                if error.code != "not_found":
                    raise
                if time.monotonic() < deadline:
                    continue
                after = f" after {which['since']}" if "since" in which else ""
                detail = f"no email to {address} arrived within {timeout_s:g} s{after}"
                raise VestibuleError(
                    "No email", detail, status=404, code="not_found", timeline=error.timeline
                ) from None
        return Message(
            id=raw["id"],
            to=raw["to"],
            subject=raw["subject"],
            text=raw["text"],
            html=raw["html"],
            code=raw.get("code"),
            link=raw.get("link"),
            auth_request_id=raw["auth_request_id"],
            raw=raw,
        )

    def wait_for_code(self, address: str, *, timeout_s: float = MESSAGE_TIMEOUT_S, since: str | None = None) -> str:
        """The code of the newest email of a sign-in that is not over, as `wait_for_message`.

        Raises `VestibuleError` with status 0 when the email carries none.
        """
        message = self._usable_message(address, timeout_s, since)
        return _part(message, "code", message.code)

    def wait_for_link(self, address: str, *, timeout_s: float = MESSAGE_TIMEOUT_S, since: str | None = None) -> str:
        """The link of the newest email of a sign-in that is not over, as `wait_for_message`.

        Raises `VestibuleError` with status 0 when the email carries none.
        """
        message = self._usable_message(address, timeout_s, since)
        return _part(message, "link", message.link)

    def inbox(self, address: str) -> Inbox:
        """Opens the inbox of an address, to read what arrives from now on."""
        path = "/messages?" + urllib.parse.urlencode({"to": address, "page_size": 1})
        return Inbox(self, address, self._control.call("GET", path)["cursor"])

    def event_cursor(self) -> str:
        """Where the events stand now: take it before a change, and `since` it only what that change causes counts."""
        cursor: str = self._control.call("GET", "/events?page_size=1")["cursor"]
        return cursor

    def wait_for_event(
        self, event_type: str, *, timeout_s: float = MESSAGE_TIMEOUT_S, since: str | None = None
    ) -> dict[str, Any]:
        """The newest event of a type, as soon as there is one, as webhooks tell it, whether or not there is a webhook.

        One that happened already counts, unless `since`, the id of an event or what `event_cursor` gave, says that only
        a newer one does. Raises `VestibuleError` with status 404 when none happened within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        query = {"type": event_type, "page_size": "1"} | ({} if since is None else {"since": since})
        while True:
            left_ms = max(0, math.ceil((deadline - time.monotonic()) * 1000))
            wait_ms = min(left_ms, LONGEST_WAIT_MS)
            path = "/events?" + urllib.parse.urlencode({**query, "wait_ms": wait_ms})
            events: _Records = self._control.call("GET", path, wait_s=wait_ms / 1000)["events"]
            if events:
                return events[0]
            if time.monotonic() >= deadline:
                after = "" if since is None else f" after {since}"
                detail = f"no {event_type} happened within {timeout_s:g} s{after}"
                raise VestibuleError("No event", detail, status=404, code="not_found")

    def requests(
        self, *, path: str | None = None, client_id: str | None = None, since: str | None = None
    ) -> dict[str, Any]:
        """The newest requests to the environment, at most 50, as `requests`, without their secrets.

        `path` may have `*` for any characters. `cursor` is what `since` takes: what is asked from now on.
        `not_emulated` is what applications asked for that is not emulated.
        """
        query = {"path": path, "client_id": client_id, "since": since}
        found: dict[str, Any] = self._control.call("GET", "/requests?" + _encoded(query))
        return found

    def expect_request(
        self,
        path: str,
        *,
        client_id: str | None = None,
        since: str | None = None,
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> dict[str, Any]:
        """The newest request to a path, as soon as there is one: `expect_request("/oauth/token")`.

        `*` stands for any characters. One that was made already counts, unless `since`, the id of a request or a
        `cursor`, says that only a newer one does. Raises `VestibuleError` with status 404, and with the last requests,
        when none came within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        query = {"path": path, "client_id": client_id, "since": since, "page_size": "1"}
        while True:
            left_ms = max(0, math.ceil((deadline - time.monotonic()) * 1000))
            wait_ms = min(left_ms, LONGEST_WAIT_MS)
            call = "/requests?" + _encoded({**query, "wait_ms": str(wait_ms)})
            found: _Records = self._control.call("GET", call, wait_s=wait_ms / 1000)["requests"]
            if found:
                return found[0]
            if time.monotonic() >= deadline:
                break
        last = self.requests()["requests"][:5]
        seen = [f"{request['method']} {request['path']} {request['status'] or 'disconnected'}" for request in last]
        detail = f"no request to {path} came within {timeout_s:g} s; the last ones: {', '.join(seen) or 'none'}"
        raise VestibuleError("No request", detail, status=404, code="not_found")

    @overload
    def sign_in(
        self, page: SignInPage, email: str, *, organization: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None: ...

    @overload
    def sign_in(self, email: str, authorization_url: str) -> SignedIn: ...

    def sign_in(self, *args: Any, **named: Any) -> SignedIn | None:
        """Signs an address in: on the sign-in pages in a browser, or without a page.

        With a page of Playwright's synchronous API, `sign_in(page, email)`: on the sign-in page that it shows or is on
        its way to, until the application has taken over. At once where the client allows instant sign-in, else by the
        code or the link of the email. `organization` is the one to enter where the user has to choose, by a part of its
        name. Raises `VestibuleError` with status 0, with what the page shows and with the sign-in's timeline, when it
        takes longer than `timeout_s` seconds.

        With an authorization URL, `sign_in(email, authorization_url)`: goes its whole way without email or page.
        Refused with 403 when the client does not allow it: environments with `instant_sign_in=False`, and servers whose
        configuration does not say so.
        """
        if "page" in named or (args and not isinstance(args[0], str)):
            sign_in_on_pages(self, *args, **named)
            return None
        return self._sign_in_at_once(*args, **named)

    def _sign_in_at_once(self, email: str, authorization_url: str) -> SignedIn:
        raw = self._control.call("POST", "/sign-in", {"email": email, "authorization_url": authorization_url})
        return SignedIn(
            callback_url=raw["callback_url"],
            code=raw.get("code"),
            state=raw.get("state"),
            error=raw.get("error"),
            session_cookie=raw.get("session_cookie"),
        )

    def reset(self, *, keep: Sequence[str] = ()) -> None:
        """Users as seeded, nobody signed in, no email, no log; settings, clock and faults as at the start.

        `keep` names those of "settings", "clock" and "faults" that stay as they are.
        """
        self._control.call("POST", "/reset", {"keep": list(keep)})

    def seed(
        self,
        *,
        users: Sequence[Mapping[str, Any]] = (),
        organizations: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, int]:
        """Adds users and organizations in the words of the configuration. Resets go back to them too.

        Gives how many records were written. Refused with 400 or 409.
        """
        given = {"users": list(users), "organizations": list(organizations)}
        # The server takes an empty list for a word that it does not know.
        body = {field: records for field, records in given.items() if records}
        seeded: dict[str, int] = self._control.call("POST", "/seed", body)
        return seeded

    def flows(self, email: str | None = None) -> list[dict[str, Any]]:
        """Sign-ins, newest first, of an address, a part of one, or all. `status` and `why` tell what became of each."""
        query = {} if email is None else {"email": email}
        flows: list[dict[str, Any]] = []
        while True:
            page = self._control.call("GET", "/flows?" + urllib.parse.urlencode(query))
            flows += page["flows"]
            if not page.get("next_page_token"):
                return flows
            query["page_token"] = page["next_page_token"]

    def delete(self) -> None:
        """Deletes the environment with everything in it.

        Raises `VestibuleError` with status 404 when it is gone; the default one stays.
        """
        if self._parent is None or self.name is None:
            raise VestibuleError("Not deleted", "the environment of a server goes when the server stops")
        self._parent.call("DELETE", "/environments/" + urllib.parse.quote(self.name, safe=""))

    def __enter__(self: E) -> E:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.delete()
        except VestibuleError as refused:
            # The test may have deleted it.
            if refused.status != 404:
                raise


class Inbox:
    """The emails to an address from a moment on.

    Open it before the sign-in, or before a resend: then no email of an earlier one can be taken for its, however late
    it is sent.

    Attributes:
        address: The address.
        cursor: What was there before; it moves on with every email that is read. `since` takes it.
    """

    def __init__(self, environment: Environment, address: str, cursor: str) -> None:
        """Made by `Environment.inbox`."""
        self._environment = environment
        self.address = address
        self.cursor = cursor

    def next_message(self, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> Message:
        """The newest email since the inbox was opened or last read, as soon as there is one.

        Raises `VestibuleError` with status 404 when none came within `timeout_s` seconds.
        """
        message = self._environment.wait_for_message(self.address, timeout_s=timeout_s, since=self.cursor)
        self.cursor = message.id
        return message

    def next_code(self, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> str:
        """The code of the next email, as `next_message`. Raises with status 0 when the email carries none."""
        message = self.next_message(timeout_s=timeout_s)
        return _part(message, "code", message.code)

    def next_link(self, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> str:
        """The link of the next email, as `next_message`. Raises with status 0 when the email carries none."""
        message = self.next_message(timeout_s=timeout_s)
        return _part(message, "link", message.link)


def _part(message: Message, name: str, value: str | None) -> str:
    if value is None:
        detail = f"the email {message.id} to {message.to} carries no {name}: see the setting passwordless.type"
        raise VestibuleError(f"No {name}", detail)
    return value
