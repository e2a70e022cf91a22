"""The crates inside a program: their licence texts, and a bill of materials."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from .program import FEATURES
from .project import REPOSITORY, ROOT, PackageError, Target, run, source_time

LICENCE_FILE = re.compile(r"(UN)?LICEN[CS]E|COPYING|COPYRIGHT|NOTICE", re.IGNORECASE)
RULE = "=" * 100


@dataclass(frozen=True)
class Crate:
    """A crate whose code is in the program."""

    id: str
    name: str
    version: str
    license: str
    folder: Path
    authors: tuple[str, ...]
    checksum: str | None
    needs: tuple[str, ...]
    is_root: bool = False

    @property
    def texts(self) -> list[tuple[str, str]]:
        """Names and contents of its licence files."""
        found = [path for path in sorted(self.folder.iterdir()) if path.is_file() and LICENCE_FILE.match(path.name)]
        return [(path.name, path.read_text(errors="replace").strip()) for path in found]


def of_program(target: Target) -> list[Crate]:
    """Every crate in the program for this target. Macros and what only the build runs are not in it."""
    shown = run("cargo", "metadata", "--format-version=1", "--locked", "--features", FEATURES,
                "--filter-platform", target.triple)  # fmt: skip
    metadata = json.loads(shown)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    checksums = read_checksums()
    root: str = metadata["resolve"]["root"]
    found: dict[str, Crate] = {}
    waiting = [root]
    while waiting:
        id = waiting.pop()
        if id in found:
            continue
        needs = sorted(needed(nodes[id], packages))
        waiting += needs
        found[id] = crate(packages[id], tuple(needs), checksums, is_root=id == root)
    return sorted(found.values(), key=lambda crate: (not crate.is_root, crate.name, crate.version))


def needed(node: dict[str, Any], packages: dict[str, Any]) -> set[str]:
    """Ids of the crates that this one links."""
    ids = {dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])}
    return {id for id in ids if not any("proc-macro" in made["kind"] for made in packages[id]["targets"])}


def crate(
    package: dict[str, Any], needs: tuple[str, ...], checksums: dict[tuple[str, str], str], is_root: bool
) -> Crate:
    name, version = package["name"], package["version"]
    # An old way to say OR.
    license = (package["license"] or "").replace("/", " OR ")
    if not license:
        raise PackageError(f"{name} {version} names no licence")
    return Crate(
        id=package["id"],
        name=name,
        version=version,
        license=license,
        folder=Path(package["manifest_path"]).parent,
        authors=tuple(package["authors"]),
        checksum=checksums.get((name, version)),
        needs=needs,
        is_root=is_root,
    )


def read_checksums() -> dict[tuple[str, str], str]:
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(p["name"], p["version"]): p["checksum"] for p in packages if "checksum" in p}


def licence_texts(crates: list[Crate]) -> str:
    """All licence texts of the crates, each text once, below the names of the crates that have it."""
    crates = [crate for crate in crates if not crate.is_root]
    users: dict[str, list[Crate]] = defaultdict(list)
    without = []
    for crate in crates:
        for _, text in crate.texts:
            users[text].append(crate)
        if not crate.texts:
            without.append(crate)
    parts = [f"Vestibule contains the software listed here, under these licences.\n\n{RULE}"]
    parts += [f"{crate.name} {crate.version}: {crate.license}" for crate in crates]
    if without:
        parts += [f"{RULE}\n\nThese packages bring no licence text of their own. Their authors:\n"]
        parts += [f"{crate.name} {crate.version}: {', '.join(crate.authors) or 'not named'}" for crate in without]
        parts += ["", *(f"{RULE}\n\n{text}\n" for text in standard_texts())]
    for text, having in sorted(users.items(), key=lambda item: item[1][0].name):
        parts += [f"{RULE}\n\n{', '.join(f'{crate.name} {crate.version}' for crate in having)}:\n\n{text}\n"]
    return "\n".join(parts)


def standard_texts() -> list[str]:
    """The licences that crates name most, for those that bring no text."""
    mit = (ROOT / "LICENSE-MIT").read_text()
    permission = mit[mit.index("Permission is hereby granted") :]
    return [f"MIT License\n\n{permission.strip()}", (ROOT / "LICENSE-APACHE").read_text().strip()]


def sbom(crates: list[Crate]) -> str:
    """A bill of materials in CycloneDX 1.6. The same crates make the same bytes."""
    components = {crate.id: component(crate) for crate in crates}
    bom = Bom(serial_number=uuid5(NAMESPACE_URL, f"{REPOSITORY}#{fingerprint(crates)}"))
    bom.metadata.timestamp = datetime.fromtimestamp(source_time(), UTC)
    for crate in crates:
        if crate.is_root:
            bom.metadata.component = components[crate.id]
        else:
            bom.components.add(components[crate.id])
    for crate in crates:
        bom.register_dependency(components[crate.id], [components[id] for id in crate.needs])
    return JsonV1Dot6(bom).output_as_string(indent=1)


def component(crate: Crate) -> Component:
    purl = PackageURL("cargo", None, crate.name, crate.version)
    return Component(
        name=crate.name,
        version=crate.version,
        type=ComponentType.APPLICATION if crate.is_root else ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        licenses=[LicenseFactory().make_from_string(crate.license)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=crate.checksum)] if crate.checksum else [],
    )


def fingerprint(crates: list[Crate]) -> str:
    listed = "".join(f"{crate.name} {crate.version}\n" for crate in crates)
    return hashlib.sha256(listed.encode()).hexdigest()
