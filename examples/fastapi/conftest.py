"""The application runs beside a Vestibule server, and learns of it by its environment variables alone."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

START_TIMEOUT_S = 60


@pytest.fixture(scope="session")
def base_url(vestibule_server):
    """The running application: what `page.goto("/")` opens."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://localhost:{port}"
    environment = os.environ | {
        "APP_URL": url,
        "SCALEKIT_ENVIRONMENT_URL": vestibule_server.url,
        "SCALEKIT_CLIENT_ID": vestibule_server.client_id,
        "SCALEKIT_CLIENT_SECRET": vestibule_server.client_secret,
    }
    command = [sys.executable, "-m", "uvicorn", "app:app", "--host", "localhost", "--port", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parent, env=environment) as app:
        try:
            wait_until_it_answers(url, app)
            yield url
        finally:
            app.terminate()


def wait_until_it_answers(url, app):
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=START_TIMEOUT_S).close()
            return
        except urllib.error.URLError:
            assert app.poll() is None, "the application ended"
            assert time.monotonic() < deadline, "the application did not answer in time"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args):
    """The system's browser, where there is one; else Playwright's own."""
    chromium = "/usr/bin/chromium"
    if not Path(chromium).exists():
        return browser_type_launch_args
    return browser_type_launch_args | {"executable_path": chromium, "args": ["--no-sandbox"]}
