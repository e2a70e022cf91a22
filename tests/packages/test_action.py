"""The GitHub Action's steps, run as a runner runs them."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import serving_files
from package.archive import write_checksums
from package.project import ROOT, VERSION, Target
from vestibule_testing import attach


@pytest.fixture
def releases(made: Path, target: Target, tmp_path: Path) -> Iterator[str]:
    """The URL of releases that have the program alone."""
    folder = tmp_path / f"releases/download/v{VERSION}"
    folder.mkdir(parents=True)
    os.link(made / f"download/{target.asset}", folder / target.asset)
    write_checksums(folder)
    with serving_files(tmp_path / "releases") as url:
        yield url


class Job:
    """A job on a runner: what its steps say to each other is in files."""

    def __init__(self, folder: Path, releases: str) -> None:
        self.folder = folder
        folder.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_ENV": str(folder / "env"),
            "RUNNER_TEMP": str(folder),
            "RELEASES": releases,
        }

    def step(self, script: str, **inputs: str) -> dict[str, str]:
        """Runs a step and gives its outputs."""
        outputs = self.folder / f"outputs-of-{script}"
        outputs.unlink(missing_ok=True)
        env = {**self.env, **inputs, "GITHUB_OUTPUT": str(outputs)}
        done = subprocess.run([ROOT / "scripts" / script], env=env, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return dict(line.split("=", 1) for line in outputs.read_text().splitlines())


@pytest.fixture
def job(tmp_path: Path, releases: str) -> Iterator[Job]:
    job = Job(tmp_path / "job", releases)
    yield job
    for ready in job.folder.glob("vestibule-*/ready.json"):
        os.kill(json.loads(ready.read_text())["pid"], 15)


def test_the_action_installs_the_release_that_it_is_of(job: Job) -> None:
    program = job.step("action-program", VERSION="", BUILD="false", BINARY="")
    assert program["version"] == VERSION
    given = {"BINARY": program["binary"], "VERSION": program["version"], "LISTEN": "localhost:0"}
    started = job.step("action-start", **given)
    assert attach(started["environment_url"]).client_id == started["client_id"]
    # What the cache brings is not downloaded again.
    job.env["RELEASES"] = "http://127.0.0.1:9"
    job.step("action-start", **given)


def test_the_action_takes_another_program_or_builds_one_when_asked(job: Job) -> None:
    assert job.step("action-program", BINARY="/opt/vestibule") == {
        "binary": "/opt/vestibule",
        "folder": "",
        "version": "",
    }
    assert job.step("action-program", BUILD="true") == {"binary": "", "folder": "", "version": ""}


def test_the_report_has_the_log_and_the_sign_ins_that_failed(job: Job) -> None:
    program = job.step("action-program")
    started = job.step("action-start", BINARY=program["binary"], VERSION=program["version"], LISTEN="localhost:0")
    environment = attach(started["environment_url"]).new_environment()
    query = urllib.parse.urlencode(
        {
            "client_id": environment.client_id,
            "response_type": "code",
            "redirect_uri": "http://localhost:3000/callback",
            "login_hint": "ada@example.com",
        }
    )
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    browser.open(f"{environment.url}/oauth/authorize?{query}", timeout=30).close()
    environment.wait_for_code("ada@example.com")
    report = Path(job.step("action-report")["folder"])
    (log,) = report.glob("*.log")
    assert started["environment_url"] in log.read_text()
    (timelines,) = report.glob("*.sign-ins.jsonl")
    (timeline,) = [json.loads(line) for line in timelines.read_text().splitlines()]
    assert (timeline["email"], timeline["status"]) == ("ada@example.com", "PENDING")
    assert timeline["steps"]
