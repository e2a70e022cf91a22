"""Programs and archives for download, with checksums."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from .project import LICENSE_FILES, ROOT, Target, source_time


def make(target: Target, program: Path, licences: str, bill_of_materials: str, output: Path) -> list[Path]:
    """The program alone, an archive of it, and its bill of materials."""
    raw = output / f"{target.asset}{'.exe' if target.is_windows else ''}"
    shutil.copyfile(program, raw)
    raw.chmod(0o755)
    bill = output / f"{target.asset}.cdx.json"
    bill.write_text(bill_of_materials)
    files = {
        target.program_name: program.read_bytes(),
        "README.md": (ROOT / "README.md").read_bytes(),
        "CHANGELOG.md": (ROOT / "CHANGELOG.md").read_bytes(),
        "THIRD-PARTY-LICENSES.txt": licences.encode(),
        "vestibule.example.toml": (ROOT / "vestibule.example.toml").read_bytes(),
        **{path.name: path.read_bytes() for path in LICENSE_FILES},
    }
    inside = {f"{target.asset}/{name}": content for name, content in files.items()}
    executable = {f"{target.asset}/{target.program_name}"}
    if target.is_windows:
        packed = output / f"{target.asset}.zip"
        write_zip(packed, inside)
    else:
        packed = output / f"{target.asset}.tar.gz"
        packed.write_bytes(tar_gz(inside, executable))
    return [raw, packed, bill]


def tar_gz(files: Mapping[str, bytes], executable: set[str]) -> bytes:
    """A tar archive of files that belong to root: the same files make the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            entry.mtime = source_time()
            entry.mode = 0o755 if name in executable else 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), compresslevel=9, mtime=source_time())


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(files.items()):
            # The earliest time that the format can say.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def write_checksums(folder: Path) -> Path:
    """SHA256SUMS of all files in the folder, as `sha256sum --check` reads it."""
    sums = folder / "SHA256SUMS"
    files = sorted(path for path in folder.iterdir() if path.is_file() and path != sums)
    sums.write_text("".join(f"{sha256(path)}  {path.name}\n" for path in files))
    return sums


def read_checksums(sums: Path) -> dict[str, str]:
    """Checksums by the names of the files."""
    lines = (line.split("  ", 1) for line in sums.read_text().splitlines())
    return {name: digest for digest, name in lines}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
