"""The program: built for old systems, and the lowest glibc that it runs on."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from .project import ROOT, PackageError, Target, run

FEATURES = "otel"
PROFILE = "dist"


def build(target: Target) -> Path:
    """Builds the program with the profile for packages.

    On Linux, Zig links it, against the glibc that targets.json states or against musl: what is built on a new system
    runs on old ones.
    """
    options = ["--profile", PROFILE, "--features", FEATURES, "--locked", "--bin", "vestibule"]
    if "linux" in target.triple:
        # A static program carries its libc; of glibc, which cannot be carried, it names the lowest version.
        triple = f"{target.triple}.{target.glibc}" if target.glibc else target.triple
        # The environment of these tools has both programs in its folder; cargo finds its subcommands in PATH.
        tools = Path(sys.executable).parent
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        run("cargo", "zigbuild", *options, "--target", triple, env={"PATH": path})
    else:
        run("cargo", "build", *options, "--target", target.triple)
    folder = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
    program = ROOT / folder / target.triple / PROFILE / target.program_name
    lowest = lowest_glibc(program)
    if target.glibc and lowest and numbers(lowest) > numbers(target.glibc):
        raise PackageError(f"{program} needs glibc {lowest}; targets.json promises {target.glibc}")
    return program


def lowest_glibc(program: Path) -> str | None:
    """The lowest glibc that has every symbol which the program takes from it; None when it takes none."""
    if program.read_bytes()[:4] != b"\x7fELF":
        return None
    versions = re.findall(r"\bGLIBC_(\d+(?:\.\d+)+)\b", run("readelf", "--version-info", "--wide", program))
    return max(versions, key=numbers, default=None)


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
