"""The command line of scripts/package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import archive, dependencies, image, npm, program, pypi, release
from .project import ROOT, VERSION, PackageError, Target, targets, this_machine


def main() -> None:
    arguments = parse()
    output: Path = arguments.output.absolute()
    try:
        if arguments.command in (None, "program"):
            target = targets()[arguments.target] if arguments.target else this_machine()
            make_program_packages(target, arguments.program, output)
        if arguments.command in (None, "common"):
            make_common_packages(output)
        if arguments.command == "release":
            release.make(output / "download")
    except PackageError as error:
        sys.exit(f"package: {error}")
    show_sizes(output)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/package", description=f"Makes the packages of Vestibule {VERSION}.")
    parser.add_argument(
        "command",
        nargs="?",
        choices=["program", "common", "release"],
        help="program: the packages that hold the program of one target; common: those that are the same for all; "
        "release: checksums, installer and Homebrew formula, once the archives of all targets are there; "
        "default: program and common",
    )
    parser.add_argument(
        "--target", choices=targets(), metavar="NAME", help="of packaging/targets.json (default: this machine)"
    )
    parser.add_argument("--program", type=Path, metavar="PATH", help="pack this program instead of building one")
    parser.add_argument("--output", type=Path, metavar="FOLDER", default=ROOT / "target/package")
    return parser.parse_args()


def make_program_packages(target: Target, built: Path | None, output: Path) -> None:
    built = built or program.build(target)
    crates = dependencies.of_program(target)
    licences = dependencies.licence_texts(crates)
    archive.make(target, built, licences, dependencies.sbom(crates), folder(output, "download"))
    npm.make_program(target, built, licences, folder(output, "npm"))
    pypi.make_program(target, built, licences, folder(output, "pypi"))
    if target.image and target == this_machine():
        image.make(target, built, licences, folder(output, "image"))
    if lowest := program.lowest_glibc(built):
        print(f"{target.asset} runs on glibc {lowest} and newer")


def make_common_packages(output: Path) -> None:
    npm.make_server(folder(output, "npm"))
    npm.make_testing(folder(output, "npm"))
    pypi.make_testing(folder(output, "pypi"))
    pypi.make_sources(folder(output, "pypi"))


def folder(output: Path, name: str) -> Path:
    path = output / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def show_sizes(output: Path) -> None:
    for path in sorted(path for path in output.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:>12,} bytes  {path.relative_to(output)}")


if __name__ == "__main__":
    main()
