"""What a release adds when all programs are there: the installer, the Homebrew formula, the checksums."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .archive import sha256, write_checksums
from .project import PACKAGING, VERSION, PackageError


def make(download: Path) -> None:
    shutil.copyfile(PACKAGING / "install.sh", download / "install.sh")
    (download / "vestibule.rb").write_text(formula(download))
    write_checksums(download)


def formula(download: Path) -> str:
    """The Homebrew formula, with the version and the checksums of its archives."""
    text = (PACKAGING / "homebrew/vestibule.rb").read_text().replace("@VERSION@", VERSION)

    def checksum(found: re.Match[str]) -> str:
        archive = download / found[1]
        if not archive.exists():
            raise PackageError(f"the Homebrew formula needs {archive}")
        return sha256(archive)

    return re.sub(r"@SHA256 (\S+)@", checksum, text)
