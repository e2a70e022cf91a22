"""A server of one's own, its inbox and clock, and a person with a browser."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlparse

import requests

BINARY = os.environ["VESTIBULE_BIN"]
# The authority that this process trusts since its start.
AUTHORITY = Path(os.environ["VESTIBULE_SDK_CA"])


def environment():
    """What the caller's shell or CI sets for a server of its own is not for these."""
    return {n: v for n, v in os.environ.items() if n != "DATABASE_URL" and not n.startswith("VESTIBULE_")}


class Vestibule:
    """A running server. With `data` it keeps everything there; `port` is where it listens again after a stop; `toml` is
    its vestibule.toml."""

    def __init__(self, transport, data=None, port=0, toml=""):
        self.folder = Path(tempfile.mkdtemp(prefix="vestibule-sdk-"))
        (self.folder / "vestibule.toml").write_text(toml)
        ready = self.folder / "ready.json"
        keep = ["--data-dir", str(data)] if data else ["--ephemeral", "--data-dir", str(AUTHORITY)]
        self.child = subprocess.Popen(
            [BINARY, "serve", *keep, "--listen", f"localhost:{port}", "--ready-file", str(ready)],
            cwd=self.folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("w"),
        )
        deadline = time.monotonic() + 30
        while not ready.exists():
            if self.child.poll() is not None or time.monotonic() > deadline:
                self.child.kill()
                raise RuntimeError(f"the server did not start: {(self.folder / 'log').read_text()}")
            time.sleep(0.01)
        says = json.loads(ready.read_text())
        self.plain_url = says["environment_url"]
        self.url = says["https_url"] if transport == "https" else self.plain_url
        self.port = urlparse(self.plain_url).port
        self.client_id, self.client_secret = says["client_id"], says["client_secret"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        code = self.child.wait(timeout=40)
        log = (self.folder / "log").read_text() if self.folder.exists() else ""
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, f"the server ended with {code}: {log}"

    def mail_to(self, address):
        """The newest email to an address, waited for."""
        answer = requests.get(f"{self.plain_url}/_emulator/v1/messages/latest", params={"to": address}, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def move_clock(self, seconds):
        requests.put(f"{self.plain_url}/_emulator/v1/clock", json={"advance_s": seconds}, timeout=20).raise_for_status()

    def sign_in(self, authorization_url, address):
        """What a person's browser does; returns the parameters at the application's callback."""
        browser = requests.Session()
        started = browser.get(authorization_url, allow_redirects=False, timeout=20)
        page = urljoin(self.url, started.headers["location"])
        assert started.status_code == 303 and "/login/" in page, (started.status_code, page)
        code = self.mail_to(address)["code"]
        done = browser.post(f"{page}/code", data={"code": code}, allow_redirects=False, timeout=20)
        assert done.status_code == 303, re.sub(r"\s+", " ", done.text)
        return {name: values[0] for name, values in parse_qs(urlparse(done.headers["location"]).query).items()}
