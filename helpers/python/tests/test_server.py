"""Starting, stopping, attaching."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from vestibule_testing import VestibuleError, attach, start_server


def run(code: str, env: dict[str, str]) -> str:
    """Runs Python code in a process of its own, and gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stand_in(folder: Path, code: str) -> Path:
    """A program to start in place of the server."""
    program = folder / "stand-in"
    program.write_text(f"#!{sys.executable}\n{code}\n")
    program.chmod(0o755)
    return program


def test_stops_and_may_be_stopped_again() -> None:
    with start_server() as server:
        assert server.clock.get()["ahead_s"] == 0
        server.stop()
        server.stop()
    with pytest.raises(VestibuleError, match="GET http.*/clock") as gone:
        server.clock.get()
    assert (gone.value.status, gone.value.code, gone.value.title) == (0, None, "No answer")


def test_takes_arguments_and_variables(tmp_path: Path) -> None:
    config = tmp_path / "vestibule.toml"
    config.write_text('client_id = "skc_of_the_file"\nclient_secret = "test_of_the_file"\n')
    env = {"VESTIBULE_PASSWORDLESS__VALIDITY_S": "120"}
    with start_server(args=["--config", str(config)], env=env) as server:
        assert server.client_id == "skc_of_the_file"
        assert server.settings.get()["passwordless"]["validity_s"] == 120


def test_is_not_configured_by_the_variables_of_the_test_run() -> None:
    code = """if True:
        from vestibule_testing import start_server
        with start_server() as server:
            print(server.settings.get()["passwordless"]["validity_s"])
    """
    env = {
        "VESTIBULE_PASSWORDLESS__VALIDITY_S": "120",
        "VESTIBULE_OF_ANOTHER_PROGRAM": "x",
        "DATABASE_URL": "postgres://nowhere.invalid/none",
    }
    assert run(code, env) == "300\n"


def test_says_why_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(VestibuleError, match="--no-such-flag") as refused:
        start_server(args=["--no-such-flag"])
    assert refused.value.status == 0
    with pytest.raises(VestibuleError, match="(?i)no_such_setting"):
        start_server(env={"VESTIBULE_NO_SUCH_SETTING": "1"})
    with pytest.raises(VestibuleError, match="nowhere/vestibule"):
        start_server(binary=tmp_path / "nowhere" / "vestibule")


def test_says_how_to_get_a_program_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VESTIBULE_BIN")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(VestibuleError) as missing:
        start_server()
    assert missing.value.detail == (
        "No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or "
        "`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one."
    )


def test_is_given_up_when_it_is_never_ready(tmp_path: Path) -> None:
    binary = stand_in(tmp_path, "import signal\nsignal.pause()")
    with pytest.raises(VestibuleError, match="not ready within 0.2 s"):
        start_server(binary=binary, timeout_s=0.2)


def test_ends_with_a_test_run_that_forgets_it_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code = """if True:
        from vestibule_testing import start_server
        server = start_server()
        server.new_environment()
        print(server.url)
    """
    url = run(code, {"TMPDIR": str(tmp_path)}).strip()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{url}/health", timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_reports_an_end_that_is_not_a_good_one(tmp_path: Path) -> None:
    ready = {"environment_url": "http://127.0.0.1:9", "client_id": "skc_1", "client_secret": "test_1"}
    code = f"""
import pathlib, signal, sys
def end(*_):
    print("the database is on fire", file=sys.stderr)
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
pathlib.Path(sys.argv[sys.argv.index("--ready-file") + 1]).write_text({json.dumps(json.dumps(ready))})
while True:
    signal.pause()
"""
    server = start_server(binary=stand_in(tmp_path, code))
    assert server.client_id == "skc_1"
    with pytest.raises(VestibuleError, match="ended with 3\nthe database is on fire"):
        server.stop()


@contextmanager
def answering(answer: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of a server that answers so."""
    server = HTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_attaching_fails_where_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(VestibuleError) as refused:
        attach(f"http://127.0.0.1:{port}")
    assert refused.value.status == 0


def test_attaching_fails_at_another_kind_of_server() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<p>hello</p>")

        def log_message(self, *args: object) -> None:
            pass

    with answering(Page) as url, pytest.raises(VestibuleError) as refused:
        attach(url)
    assert (refused.value.status, refused.value.title) == (200, "Not JSON")


def test_attaching_sends_the_token_to_environments_too() -> None:
    calls: list[tuple[str, str, str | None]] = []

    class Guarded(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            authorization = self.headers["Authorization"]
            calls.append((self.command, self.path, authorization))
            url = f"http://{self.headers['Host']}"
            made = {"name": "made", "path_url": f"{url}/e/made", "client_id": "skc_1", "client_secret": None}
            needed = {"error": "unauthorized", "title": "Not allowed", "status": 401, "detail": "a token is needed"}
            allowed = authorization == "Bearer of-the-test"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps(made if allowed else needed).encode())

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

    with answering(Guarded) as url:
        with pytest.raises(VestibuleError) as refused:
            attach(url)
        assert (refused.value.status, refused.value.detail) == (401, "a token is needed")
        with attach(url, token="of-the-test").new_environment() as environment:
            assert environment.client_secret is None
    assert calls == [
        ("GET", "/_emulator/v1/environment", None),
        ("GET", "/_emulator/v1/environment", "Bearer of-the-test"),
        ("POST", "/_emulator/v1/environments", "Bearer of-the-test"),
        ("DELETE", "/_emulator/v1/environments/made", "Bearer of-the-test"),
    ]


def test_waits_longer_than_the_server_does_in_one_call() -> None:
    waits: list[str] = []

    class Slow(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body: dict[str, object] = {"name": None, "client_id": "skc_1", "client_secret": "test_1"}
            status = 200
            if "/messages/latest" in self.path:
                waits.append(self.path)
                status = 404
                body = {"error": "not_found", "title": "Not found", "status": 404, "detail": "no such email"}
            if len(waits) == 2:
                status = 200
                body = {field: field for field in ("id", "to", "subject", "text", "html", "auth_request_id", "code")}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: object) -> None:
            pass

    with answering(Slow) as url:
        started = time.monotonic()
        assert attach(url).wait_for_code("ada@example.com", timeout_s=90) == "code"
        assert time.monotonic() - started < 60
    assert waits == ["/_emulator/v1/messages/latest?to=ada%40example.com&unused=true&wait_ms=60000"] * 2
