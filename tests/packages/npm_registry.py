"""A registry of npm packages that holds those of a folder, so that npm installs them by name."""

from __future__ import annotations

import base64
import hashlib
import json
import tarfile
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from package.project import VERSION, targets


def manifests(folder: Path) -> dict[str, dict[str, Any]]:
    """What a registry tells of the packages: their manifests, and where the archive is."""
    found = {}
    for path in folder.glob("*.tgz"):
        with tarfile.open(path) as archive:
            member = archive.extractfile("package/package.json")
            assert member is not None
            manifest = json.load(member)
        digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
        manifest["dist"] = {"tarball": path.name, "integrity": f"sha512-{digest}"}
        found[manifest["name"]] = manifest
    # Programs for other machines are there too, as in a release; npm must not want them.
    for target in targets().values():
        other = {"name": target.npm_package, "version": VERSION, **target.npm, "dist": {"tarball": "not-for-here.tgz"}}
        found.setdefault(target.npm_package, other)
    return found


class Registry(BaseHTTPRequestHandler):
    """Answers for one package by name, and with its archive."""

    def __init__(self, *args: Any, folder: Path) -> None:
        self.folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        name = unquote(self.path.lstrip("/"))
        if name.endswith(".tgz"):
            self.answer((self.folder / Path(name).name).read_bytes(), "application/octet-stream")
            return
        manifest = manifests(self.folder).get(name)
        if manifest is None:
            self.send_error(404)
            return
        tarball = manifest["dist"]["tarball"]
        manifest["dist"]["tarball"] = f"http://{self.headers['host']}/{tarball}"
        packument = {"name": name, "dist-tags": {"latest": VERSION}, "versions": {VERSION: manifest}}
        self.answer(json.dumps(packument).encode(), "application/json")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def registry(folder: Path) -> Any:
    return partial(Registry, folder=folder)
