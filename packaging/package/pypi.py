"""PyPI packages: a wheel with the program, the sources of the program, the test helper."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from .program import lowest_glibc
from .project import (
    DESCRIPTION,
    LICENSE,
    LICENSE_FILES,
    PACKAGING,
    PYPI_SERVER,
    REPOSITORY,
    ROOT,
    VERSION,
    Target,
    run,
    source_time,
)

NAME = PYPI_SERVER.replace("-", "_")


def make_program(target: Target, program: Path, licences: str, output: Path) -> Path:
    """A wheel that puts the program beside Python.

    maturin would compile the program once more; this one is the very program of the other packages.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / f"{NAME}-{VERSION}"
        scripts = wheel / f"{NAME}-{VERSION}.data/scripts"
        scripts.mkdir(parents=True)
        shutil.copyfile(program, scripts / target.program_name)
        (scripts / target.program_name).chmod(0o755)
        info = wheel / f"{NAME}-{VERSION}.dist-info"
        texts = info / "licenses"
        texts.mkdir(parents=True)
        for path in LICENSE_FILES:
            shutil.copyfile(path, texts / path.name)
        (texts / "THIRD-PARTY-LICENSES.txt").write_text(licences)
        (info / "METADATA").write_text(metadata(sorted(path.name for path in texts.iterdir())))
        tag = f"py3-none-{platform_tag(target, program)}"
        lines = ["Wheel-Version: 1.0", "Generator: scripts/package", "Root-Is-Purelib: false", f"Tag: {tag}"]
        (info / "WHEEL").write_text("\n".join(lines) + "\n")
        env = {"SOURCE_DATE_EPOCH": str(source_time())}
        run(sys.executable, "-m", "wheel", "pack", "--dest-dir", output, wheel, env=env)
    return output / f"{NAME}-{VERSION}-{tag}.whl"


def platform_tag(target: Target, program: Path) -> str:
    """The machines that the wheel is for, by what the program really needs."""
    lowest = lowest_glibc(program) if target.glibc else None
    if lowest is None or target.glibc is None:
        return target.wheel
    stated, found = target.glibc.replace(".", "_"), "_".join(lowest.split(".")[:2])
    if tuple(map(int, found.split("_"))) <= tuple(map(int, stated.split("_"))):
        return target.wheel
    return target.wheel.replace(f"_{stated}_", f"_{found}_")


def metadata(licences: list[str]) -> str:
    fields = [
        ("Metadata-Version", "2.4"),
        ("Name", PYPI_SERVER),
        ("Version", VERSION),
        ("Summary", DESCRIPTION),
        ("Project-URL", f"Repository, {REPOSITORY}"),
        ("License-Expression", LICENSE),
        *(("License-File", name) for name in licences),
        ("Requires-Python", ">=3.8"),
        ("Description-Content-Type", "text/markdown"),
    ]
    readme = (PACKAGING / "pypi/README.md").read_text()
    return "".join(f"{name}: {value}\n" for name, value in fields) + "\n" + readme


def make_sources(output: Path) -> None:
    """The sources, for machines that no wheel is for: pip builds them by maturin and Rust."""
    run("maturin", "sdist", "--out", output, cwd=PACKAGING / "pypi")


def make_testing(output: Path) -> None:
    """Wheel and sources of the test helper."""
    with tempfile.TemporaryDirectory() as folder:
        # Building writes beside the sources.
        copy = Path(folder) / "helper"
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "dist")
        shutil.copytree(ROOT / "helpers/python", copy, ignore=ignored)
        for path in LICENSE_FILES:
            shutil.copyfile(path, copy / path.name)
        manifest = copy / "pyproject.toml"
        text = manifest.read_text().replace("dependencies = []", f'dependencies = ["{PYPI_SERVER}=={VERSION}"]')
        manifest.write_text(re.sub(r'(?m)^version = ".*"$', f'version = "{VERSION}"', text))
        env = {"SOURCE_DATE_EPOCH": str(source_time()), "PYTHONDONTWRITEBYTECODE": ""}
        run(sys.executable, "-m", "build", "--outdir", output, copy, env=env)
