"""What the tests share: the packages, an empty home, a server of files."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from package.project import Target, this_machine


@pytest.fixture(scope="session")
def made() -> Path:
    """The folder that scripts/package filled."""
    return Path(os.environ["PACKAGES_FOLDER"])


@pytest.fixture
def target() -> Target:
    return this_machine()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home and an empty folder for temporary files, which have to be empty again at the end."""
    folder = tmp_path / "home"
    for variable, name in (("HOME", "."), ("TMPDIR", "tmp")):
        (folder / name).mkdir(parents=True, exist_ok=True)
        monkeypatch.setenv(variable, str(folder / name))
    return folder


def run(*command: str | Path, cwd: Path, path: str | None = None) -> str:
    """Runs a command and gives what it prints; what goes wrong has its errors."""
    env = {**os.environ, **({} if path is None else {"PATH": path})}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def wait_for(file: Path, is_worth_it: Callable[[], bool] = lambda: True) -> None:
    """Waits until the file is there, for 30 s and as long as it is worth it."""
    deadline = time.monotonic() + 30
    while not file.exists() and time.monotonic() < deadline and is_worth_it():
        time.sleep(0.02)
    assert file.exists(), f"there is no {file}"


class Files(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """The URL of an HTTP server that answers so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    with serving(partial(Files, directory=str(folder))) as url:
        yield url
