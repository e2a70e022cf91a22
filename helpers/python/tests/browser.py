"""As much of a browser and of an application as a sign-in needs, by the standard library alone."""

from __future__ import annotations

import base64
import http.cookiejar
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from vestibule_testing import Environment

CALLBACK_URL = "http://localhost:9/callback"


def authorization_url(environment: Environment, email: str | None = None) -> str:
    """The URL that an application sends browsers to."""
    query = {
        "client_id": environment.client_id,
        "response_type": "code",
        "redirect_uri": CALLBACK_URL,
        "scope": "openid email",
        "state": "state-1",
    }
    if email is not None:
        query["login_hint"] = email
    return f"{environment.url}/oauth/authorize?{urllib.parse.urlencode(query)}"


def exchange(environment: Environment, code: str | None, url: str | None = None) -> tuple[int, dict[str, Any]]:
    """What the token endpoint answers for an authorization code: status and body."""
    assert code is not None
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": CALLBACK_URL,
        "client_id": environment.client_id,
        "client_secret": environment.client_secret,
    }
    data = urllib.parse.urlencode(form).encode()
    try:
        with urllib.request.urlopen(f"{url or environment.url}/oauth/token", data, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def get(url: str) -> tuple[int, Any]:
    """Status and headers of a page."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            response.read()
            return response.status, response.headers
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers


def claims(token: str) -> dict[str, Any]:
    """The claims of a token, unchecked."""
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


class _AtCallback(Exception):
    def __init__(self, url: str) -> None:
        self.url = url


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects as far as the callback."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if newurl.startswith(CALLBACK_URL):
            fp.close()
            raise _AtCallback(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _AnyPort(http.cookiejar.DefaultCookiePolicy):
    """Cookies of `localhost`, as browsers keep them: the cookie jar would make it `localhost.local`."""

    def return_ok_secure(self, cookie: Any, request: Any) -> bool:
        return True


class Browser:
    """Cookies, redirects, forms."""

    def __init__(self, url: str) -> None:
        self.url = ""
        self.html = ""
        jar = http.cookiejar.CookieJar(_AnyPort())
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar), _Redirects)
        self.open(url)

    def open(self, url: str, form: dict[str, str] | None = None) -> None:
        """Opens a URL and follows redirects, as far as the callback."""
        data = None if form is None else urllib.parse.urlencode(form).encode()
        try:
            with self._opener.open(url, data, timeout=30) as response:
                self.url, self.html = response.url, response.read().decode()
        except _AtCallback as callback:
            self.url, self.html = callback.url, ""
        except urllib.error.HTTPError as refused:
            with refused:
                self.url, self.html = refused.url or url, refused.read().decode()

    def submit(self, action: str, form: dict[str, str]) -> None:
        """Sends the form whose action ends so."""
        found = re.search(rf'<form method="post" action="([^"]*{action})"', self.html)
        assert found, f"no form {action} in {self.html}"
        self.open(urllib.parse.urljoin(self.url, found[1]), form)

    @property
    def callback(self) -> dict[str, str]:
        """The parameters of the callback it is at."""
        assert self.url.startswith(CALLBACK_URL), f"not at the callback but at {self.url}: {self.html}"
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.url).query))
