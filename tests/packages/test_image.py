"""The container image's file system, run without a container engine."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import run, wait_for
from package.image import USER
from package.project import PACKAGING, ROOT, VERSION, Target
from sign_in import signed_in_address
from vestibule_testing import attach

TOKEN = "a-token-that-is-long-enough-for-this"
SECRET = "a-secret-that-is-long-enough-for-this"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the root folder")


@pytest.fixture
def root(made: Path, target: Target, tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    archive = made / f"image/vestibule-rootfs-{target.image}.tar"
    run("tar", "--extract", "--same-owner", "--numeric-owner", "--file", archive, cwd=folder)
    return folder


def instructions() -> dict[str, str]:
    """The Dockerfile's instructions by their names."""
    text = (PACKAGING / "image/Dockerfile").read_text().replace("\\\n", " ")
    return dict(re.findall(r"(?m)^([A-Z]+) (.*)$", text))


def in_root(root: Path, *command: str, **variables: str) -> list[str]:
    """A command as the image's user, in its work folder, with the variables of the image and these."""
    image = dict(pair.split("=", 1) for pair in instructions()["ENV"].split())
    env = [f"{name}={value}" for name, value in {**image, **variables}.items()]
    user = instructions()["USER"]
    place = [f"--root={root}", f"--wd={instructions()['WORKDIR']}", f"--setuid={user}", f"--setgid={user}"]
    return ["env", "-i", *env, "/usr/bin/unshare", *place, *command]


@contextmanager
def started(root: Path, **variables: str) -> Iterator[str]:
    """The URL of a server that runs as the image does."""
    with subprocess.Popen(
        in_root(root, "/usr/local/bin/vestibule", VESTIBULE_READY_FILE="/tmp/ready.json", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            wait_for(root / "tmp/ready.json", lambda: server.poll() is None)
            yield "http://localhost:" + variables["VESTIBULE_LISTEN"].rsplit(":", 1)[1]
        finally:
            server.terminate()
            output, _ = server.communicate(timeout=30)
        assert server.returncode == 0, output


def test_the_image_signs_in_without_root_and_is_healthy(root: Path) -> None:
    variables = {
        # The image's own port may be taken on this machine.
        "VESTIBULE_LISTEN": "0.0.0.0:46870",
        "VESTIBULE_PUBLIC_URLS": "http://localhost:46870",
        "VESTIBULE_CLIENT_SECRET": SECRET,
        "VESTIBULE_CLIENT_ID": "skc_1000000000000000001",
        "VESTIBULE_CONTROL__TOKEN": TOKEN,
    }
    with started(root, **variables) as url:
        server = attach(url, token=TOKEN)
        assert signed_in_address(server.new_environment(instant_sign_in=True)) == "ada@example.com"
        healthcheck = re.search(r"CMD \[(.*)\]", instructions()["HEALTHCHECK"])
        assert healthcheck is not None
        command = [word.strip(' "') for word in healthcheck[1].split(",")]
        here = [word.replace(":6870", ":46870") for word in command]
        subprocess.run(in_root(root, "/usr/local/bin/" + here[0], *here[1:]), check=True, timeout=30)
    kept = list((root / "data").iterdir())
    assert kept and all(path.stat().st_uid == USER for path in kept)


def test_the_image_holds_the_program_and_what_it_needs_alone(root: Path) -> None:
    assert run("chroot", root, "/usr/local/bin/vestibule", "--version", cwd=root) == f"vestibule {VERSION}\n"
    programs = [
        path.name for folder in ("bin", "sbin", "usr/bin", "usr/local/bin") for path in root.glob(f"{folder}/*")
    ]
    assert programs == ["vestibule"]
    data = (root / "data").stat()
    assert (data.st_uid, oct(data.st_mode & 0o777)) == (USER, "0o700")


def test_both_dockerfiles_run_the_server_alike() -> None:
    other = (ROOT / "Dockerfile").read_text()
    for name in ("USER", "WORKDIR", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"):
        assert f"\n{name} {instructions()[name]}\n" in other
    for setting in instructions()["ENV"].split():
        assert setting.startswith("PATH=") or setting in other
