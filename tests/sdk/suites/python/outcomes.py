"""A plug-in of pytest that writes how each test ended: `{"tests/test_a.py::TestA::test_b": "passed"}`."""

import json
import os

OUTCOMES = {}
# From good to bad: a test has a set-up, a call and a tear-down.
ORDER = ["passed", "skipped", "failed"]


def note(report):
    worst = max(OUTCOMES.get(report.nodeid, "passed"), report.outcome, key=ORDER.index)
    OUTCOMES[report.nodeid] = worst


def pytest_runtest_logreport(report):
    note(report)


def pytest_collectreport(report):
    """A file that cannot be read has no tests, and would not be missed."""
    if report.failed:
        note(report)


def pytest_sessionfinish():
    with open(os.environ["SUITE_OUTCOMES"], "w", encoding="utf-8") as file:
        json.dump(OUTCOMES, file, indent=2)
