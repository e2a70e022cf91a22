"""A server, with a client that a test may sign users in for without an email."""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
from vestibule_testing import start_server


@pytest.fixture(scope="session")
def server():
    with start_server() as server:
        yield server


@pytest.fixture
def environment(server):
    with server.new_environment(instant_sign_in=True) as environment:
        yield environment


def note(library, language, version, did):
    """Notes what a library did, for tests/rp/table.mjs."""
    folder = os.environ.get("VESTIBULE_RP_REPORT")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        row = {"library": library, "language": language, "version": version, "did": did}
        Path(folder, f"{library}.json").write_text(json.dumps(row))


@pytest.fixture
def report():
    return lambda library, did: note(library, "Python", version(library), did)


@pytest.fixture
def report_c():
    """Of a Debian package: its version is that of the machine."""
    return lambda library, did: note(library, "C", "Debian's", did)
