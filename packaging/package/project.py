"""What is known of the project: its manifest, its targets, the time of its last commit."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"

MANIFEST: dict[str, Any] = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
VERSION: str = MANIFEST["version"]
DESCRIPTION: str = MANIFEST["description"]
REPOSITORY: str = MANIFEST["repository"]
LICENSE: str = MANIFEST["license"]
LICENSE_FILES = [ROOT / "LICENSE-APACHE", ROOT / "LICENSE-MIT"]

NPM_SERVER = "@vestibule-idp/server"
NPM_TESTING = "@vestibule-idp/testing"
PYPI_SERVER = "vestibule-idp"
PYPI_TESTING = "vestibule-testing"


class PackageError(Exception):
    """What keeps a package from being made."""


@dataclass(frozen=True)
class Target:
    """A machine that programs are made for: an entry of targets.json."""

    name: str
    triple: str
    wheel: str
    npm: dict[str, list[str]]
    runner: str
    tried: bool
    glibc: str | None = None
    image: str | None = None

    @property
    def is_windows(self) -> bool:
        return "windows" in self.triple

    @property
    def program_name(self) -> str:
        return "vestibule.exe" if self.is_windows else "vestibule"

    @property
    def asset(self) -> str:
        """Begins the names of its files. There is no version in them, so that links to the latest release hold."""
        return f"vestibule-{self.name}"

    @property
    def npm_package(self) -> str:
        return f"{NPM_SERVER}-{self.name}"


def targets() -> dict[str, Target]:
    entries = json.loads((PACKAGING / "targets.json").read_text())
    return {name: Target(name=name, **entry) for name, entry in entries.items()}


def this_machine() -> Target:
    """The target of this machine; on Linux the one with glibc."""
    system = {"Linux": "linux", "Darwin": "macos", "Windows": "windows"}.get(platform.system())
    processor = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64", "ARM64": "arm64"}
    name = f"{system}-{processor.get(platform.machine())}"
    if name not in targets():
        raise PackageError(f"no target of packaging/targets.json is this machine ({name})")
    return targets()[name]


def source_time() -> int:
    """The time that files in packages get, in Unix seconds: the same sources make the same packages."""
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    shown = run("git", "log", "-1", "--format=%ct")
    return int(shown.strip())


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Runs a command and gives what it prints. Its errors go to the terminal."""
    environment = None if env is None else {**os.environ, **env}
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    except FileNotFoundError as error:
        raise PackageError(f"{command[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise PackageError(f"{' '.join(map(str, command))} ended with {error.returncode}") from error
    return done.stdout
