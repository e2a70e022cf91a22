"""PyPI's packages, installed by name into an empty environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from conftest import run
from package.program import lowest_glibc, numbers
from package.project import PYPI_SERVER, PYPI_TESTING, ROOT, VERSION, Target

SIGN_IN = """
from sign_in import signed_in_address
from vestibule_testing import start_server

with start_server() as server:
    print(signed_in_address(server.new_environment(instant_sign_in=True)))
"""


@pytest.fixture
def venv(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The helper is the installed one, not that of the repository.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    run(sys.executable, "-m", "venv", home / "venv", cwd=home)
    return home / "venv"


def pip(venv: Path, *arguments: str | Path) -> str:
    return run(venv / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", *arguments, cwd=venv)


def test_the_helper_needs_nothing_else_and_leaves_nothing(made: Path, venv: Path, home: Path) -> None:
    pip(venv, "install", "--no-index", "--find-links", made / "pypi", PYPI_TESTING)
    assert run(venv / "bin/vestibule", "--version", cwd=home) == f"vestibule {VERSION}\n"
    # Neither PATH nor a variable leads to it.
    assert run(venv / "bin/python", "-c", SIGN_IN, cwd=home, path="/nonexistent") == "ada@example.com\n"
    pip(venv, "uninstall", "--yes", PYPI_TESTING, PYPI_SERVER)
    assert [path for path in venv.rglob("*vestibule*")] == []
    assert list((home / "tmp").iterdir()) == []


def test_the_wheel_is_for_systems_with_the_glibc_that_the_program_needs(made: Path, target: Target) -> None:
    (wheel,) = made.glob(f"pypi/vestibule_idp-{VERSION}-py3-none-*.whl")
    lowest = lowest_glibc(made / f"download/{target.asset}")
    assert lowest is not None
    tagged = wheel.stem.split("manylinux_")[1].split("_")[:2]
    assert numbers(".".join(tagged)) >= numbers(lowest)


def test_the_sources_on_pypi_are_those_of_the_crate(made: Path) -> None:
    names = run("tar", "-tzf", made / f"pypi/vestibule_idp-{VERSION}.tar.gz", cwd=made).splitlines()
    inside = {name.removeprefix(f"vestibule_idp-{VERSION}/") for name in names}
    crate = set(run("cargo", "package", "--list", "--locked", "--allow-dirty", cwd=ROOT).splitlines())
    written_by_cargo = {".cargo_vcs_info.json", "Cargo.toml.orig"}
    assert crate - written_by_cargo - inside == set()
    assert {"pyproject.toml", "PKG-INFO"} <= inside
