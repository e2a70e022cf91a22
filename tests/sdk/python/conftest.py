"""One process per version and transport: the SDK reads what it trusts when it is loaded."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from server import Vestibule

TRANSPORT = os.environ.get("VESTIBULE_TRANSPORT", "https")
VERSION = version("scalekit-sdk-python")
RESULTS = {}


@pytest.fixture(scope="session")
def vestibule():
    with Vestibule(TRANSPORT) as server:
        yield server


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Tests marked as scenarios stand in the table of docs/COMPATIBILITY.md."""
    outcome = yield
    marker = item.get_closest_marker("scenario")
    if marker and (call.when == "call" or outcome.get_result().failed):
        RESULTS[marker.args[0]] = "pass" if outcome.get_result().passed else "fail"


def pytest_configure(config):
    config.addinivalue_line("markers", "scenario(name): a row of docs/COMPATIBILITY.md")


def pytest_sessionfinish():
    folder = os.environ.get("VESTIBULE_SDK_REPORT")
    if folder and RESULTS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        report = {"sdk": "Python", "version": VERSION, "transport": TRANSPORT, "results": RESULTS}
        (Path(folder) / f"python-{VERSION}-{TRANSPORT}.json").write_text(json.dumps(report, indent=2))
