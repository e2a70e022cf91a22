"""npm packages: the launcher, the program for one target, the test helper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .archive import tar_gz
from .project import (
    DESCRIPTION,
    LICENSE,
    LICENSE_FILES,
    NPM_SERVER,
    PACKAGING,
    REPOSITORY,
    ROOT,
    VERSION,
    Target,
    targets,
)

Files = dict[str, bytes]


def make_program(target: Target, program: Path, licences: str, output: Path) -> Path:
    """The package with the program for one target. npm installs it only on machines that its manifest names."""
    manifest = {
        "name": target.npm_package,
        "description": f"{DESCRIPTION}: the program for {target.triple}",
        "preferUnplugged": True,
        **target.npm,
    }
    readme = (PACKAGING / "npm/platform/README.md").read_text()
    readme = readme.replace("@NAME@", target.npm_package).replace("@TRIPLE@", target.triple)
    name = f"bin/{target.program_name}"
    files = {
        name: program.read_bytes(),
        "README.md": readme.encode(),
        "THIRD-PARTY-LICENSES.txt": licences.encode(),
    }
    return write(manifest, files, {name}, output)


def make_server(output: Path) -> Path:
    """The package with the command. It has every program as an optional dependency."""
    folder = PACKAGING / "npm/server"
    manifest = json.loads((folder / "package.json").read_text())
    manifest["optionalDependencies"] = {target.npm_package: VERSION for target in targets().values()}
    return write(manifest, read(folder, manifest), {"bin/vestibule.js"}, output)


def make_testing(output: Path) -> Path:
    """The test helper, which depends on the command of the same version."""
    folder = ROOT / "helpers/node"
    manifest = json.loads((folder / "package.json").read_text())
    manifest["dependencies"] = {NPM_SERVER: VERSION}
    for only_here in ("devDependencies", "scripts"):
        manifest.pop(only_here, None)
    return write(manifest, read(folder, manifest), set(), output)


def read(folder: Path, manifest: dict[str, Any]) -> Files:
    """The files that a manifest names, and its readme."""
    paths = [folder / "README.md"]
    for name in manifest["files"]:
        path = folder / name
        paths += sorted(path.iterdir()) if path.is_dir() else [path]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write(manifest: dict[str, Any], files: Files, executable: set[str], output: Path) -> Path:
    """Writes what `npm pack` writes, under the name that it gives."""
    manifest = {
        **manifest,
        "version": VERSION,
        "license": LICENSE,
        "homepage": REPOSITORY,
        "repository": {"type": "git", "url": f"git+{REPOSITORY}.git"},
        "publishConfig": {"access": "public"},
    }
    files = {
        **files,
        **{path.name: path.read_bytes() for path in LICENSE_FILES},
        "package.json": (json.dumps(manifest, indent=2) + "\n").encode(),
    }
    name = manifest["name"].removeprefix("@").replace("/", "-")
    packed = output / f"{name}-{VERSION}.tgz"
    inside = {f"package/{path}": content for path, content in files.items()}
    packed.write_bytes(tar_gz(inside, {f"package/{path}" for path in executable}))
    return packed
