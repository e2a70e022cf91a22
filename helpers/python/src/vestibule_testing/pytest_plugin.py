"""Fixtures for pytest. Installed with the package, without further ado."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import Environment, Server, attach, start_server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options that say which server to use."""
    group = parser.getgroup("vestibule")
    group.addoption("--vestibule-url", help="Use the server that runs there, instead of starting one")
    group.addoption("--vestibule-token", help="The control token of that server, where it demands one")


@pytest.fixture(scope="session")
def vestibule_server(pytestconfig: pytest.Config) -> Iterator[Server]:
    """One server for the session: started here, or the one of `--vestibule-url`."""
    url = pytestconfig.getoption("--vestibule-url")
    token = pytestconfig.getoption("--vestibule-token")
    with start_server() if url is None else attach(url, token=token) as server:
        yield server


@pytest.fixture
def vestibule(vestibule_server: Server) -> Iterator[Environment]:
    """An isolated environment of the test's own, which may sign in at once; deleted after the test."""
    with vestibule_server.new_environment() as environment:
        yield environment
