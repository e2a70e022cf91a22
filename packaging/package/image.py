"""The root file system of the container image: the program, what it links, and nothing else."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

from .project import LICENSE_FILES, PackageError, Target, run, source_time

# The user that the server runs as. A number, so that Kubernetes can tell that it is not root.
USER = 10001
PASSWD = f"root:x:0:0:root:/:/nonexistent\nvestibule:x:{USER}:{USER}:Vestibule:/data:/nonexistent\n"
GROUP = f"root:x:0:\nvestibule:x:{USER}:\n"
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Entry:
    """A file, or a folder where there is no content."""

    mode: int
    content: bytes | None = None
    owner: int = 0


def make(target: Target, program: Path, licences: str, output: Path) -> Path:
    """Writes the file system as a tar archive for packaging/image/Dockerfile. Needs Linux of the target's processor."""
    if not CERTIFICATES.exists():
        raise PackageError(f"{CERTIFICATES} is missing: install ca-certificates")
    entries = {
        "data": Entry(0o700, owner=USER),
        "tmp": Entry(0o1777),
        "etc/passwd": Entry(0o644, PASSWD.encode()),
        "etc/group": Entry(0o644, GROUP.encode()),
        "etc/nsswitch.conf": Entry(0o644, NSSWITCH.encode()),
        str(CERTIFICATES).lstrip("/"): Entry(0o644, CERTIFICATES.read_bytes()),
        "usr/local/bin/vestibule": Entry(0o755, program.read_bytes()),
        "usr/share/doc/vestibule/THIRD-PARTY-LICENSES.txt": Entry(0o644, licences.encode()),
        **{f"usr/share/doc/vestibule/{path.name}": Entry(0o644, path.read_bytes()) for path in LICENSE_FILES},
    }
    for library in linked_libraries(program):
        entries[str(library).lstrip("/")] = Entry(0o755, library.read_bytes())
        entries.update(copyright_of(library))
    packed = output / f"vestibule-rootfs-{target.image}.tar"
    write(packed, entries)
    return packed


def linked_libraries(program: Path) -> list[Path]:
    """The loader and the libraries of this system that the program links, by the paths where the loader looks."""
    if "INTERP" not in run("readelf", "--program-headers", "--wide", program):
        return []
    return [Path(found) for found in re.findall(r"(/\S+) \(0x", run("ldd", program))]


def copyright_of(library: Path) -> dict[str, Entry]:
    """The licence of the Debian package that a library is of."""
    for path in (library, library.resolve()):
        try:
            package = run("dpkg-query", "--search", path).split(":")[0]
        except PackageError:
            # Where /lib leads to /usr/lib, dpkg knows one of both names.
            continue
        text = Path(f"/usr/share/doc/{package}/copyright")
        return {str(text).lstrip("/"): Entry(0o644, text.read_bytes())}
    raise PackageError(f"no Debian package has {library}")


def write(path: Path, entries: dict[str, Entry]) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        folders: set[str] = set()
        for name, entry in sorted(entries.items()):
            for parent in reversed(Path(name).parents[:-1]):
                if str(parent) not in folders and str(parent) not in entries:
                    add(archive, str(parent), Entry(0o755))
                folders.add(str(parent))
            add(archive, name, entry)


def add(archive: tarfile.TarFile, name: str, entry: Entry) -> None:
    info = tarfile.TarInfo(name)
    info.mode = entry.mode
    info.mtime = source_time()
    info.uid = info.gid = entry.owner
    if entry.content is None:
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    else:
        info.size = len(entry.content)
        archive.addfile(info, io.BytesIO(entry.content))
