"""The fixtures, as a project has them that installed the package."""

from __future__ import annotations

import pytest

from vestibule_testing import Server, VestibuleError

pytest_plugins = ["pytester"]

TESTS = """
    environments = []

    def test_one(vestibule_server, vestibule):
        environments.append(vestibule)
        vestibule.clock.advance(60)

    def test_other(vestibule_server, vestibule):
        assert vestibule.url.startswith(vestibule_server.url + "/e/")
        assert vestibule.clock.get()["ahead_s"] == 0
        assert environments[0].url != vestibule.url
        names = [environment["name"] for environment in vestibule_server.call("GET", "/environments")["environments"]]
        assert vestibule.name in names
        assert environments[0].name not in names
        print("at", vestibule_server.url)
"""


def test_each_test_has_an_environment_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2)


def test_a_server_that_runs_is_used_and_goes_on(pytester: pytest.Pytester, vestibule_server: Server) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-s", "-p", "no:cacheprovider", "--vestibule-url", vestibule_server.url)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"*at {vestibule_server.url}*"])
    assert vestibule_server.clock.get()["ahead_s"] == 0


def test_an_environment_is_deleted_after_a_test_that_fails(pytester: pytest.Pytester, vestibule_server: Server) -> None:
    pytester.makepyfile("def test_it(vestibule):\n    print('name', vestibule.name, '.')\n    assert False")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--vestibule-url", vestibule_server.url)
    result.assert_outcomes(failed=1)
    (line,) = (line for line in result.outlines if line.startswith("name "))
    with pytest.raises(VestibuleError) as gone:
        vestibule_server.call("GET", f"/environments/{line.split()[1]}")
    assert gone.value.status == 404
