"""A small application with a sign-in, to have something to test. Yours takes its place."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator

from browser import claims

from vestibule_testing import Environment


@contextlib.contextmanager
def start_app(environment: Environment) -> Iterator[str]:
    """Serves the application until the block ends, and gives its URL."""

    class App(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urllib.parse.urlsplit(self.path)
            location, page, status = None, '<a href="/login">Sign in</a>', 200
            if parts.path == "/login":
                query = {
                    "client_id": environment.client_id,
                    "response_type": "code",
                    "redirect_uri": f"{url}/callback",
                    "scope": "openid email",
                    "state": "state-1",
                    **dict(urllib.parse.parse_qsl(parts.query)),
                }
                location, status = f"{environment.url}/oauth/authorize?{urllib.parse.urlencode(query)}", 303
            elif parts.path == "/callback":
                form = {
                    "grant_type": "authorization_code",
                    "code": urllib.parse.parse_qs(parts.query)["code"][0],
                    "redirect_uri": f"{url}/callback",
                    "client_id": environment.client_id,
                    "client_secret": environment.client_secret,
                }
                data = urllib.parse.urlencode(form).encode()
                with urllib.request.urlopen(f"{environment.url}/oauth/token", data, timeout=30) as response:
                    # A real application verifies the token; its SDK does that.
                    user = claims(json.load(response)["id_token"])
                page = f"<h1>Welcome</h1><p>{user['email']} {user.get('oid', '')}</p>"
            self.send_response(status)
            if location is not None:
                self.send_header("location", location)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(page)))
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *args: object) -> None:
            """Tests stay silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), App)
    url = f"http://localhost:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
