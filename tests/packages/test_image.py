"""The container image's file system, run without a container engine."""

from __future__ import annotations

import json
import os
import re
import select
import socket
import socketserver
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import run, wait_for
from package.image import USER
from package.project import PACKAGING, ROOT, VERSION, Target
from sign_in import signed_in_address
from vestibule_testing import attach

PORT = "46870"
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
def started(root: Path, **variables: str) -> Iterator[None]:
    """A server that runs as the image does, on this port: the image's own may be taken on this machine."""
    with subprocess.Popen(
        in_root(root, "/usr/local/bin/vestibule", VESTIBULE_READY_FILE="/tmp/ready.json", PORT=PORT, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            wait_for(root / "tmp/ready.json", lambda: server.poll() is None)
            yield
        finally:
            server.terminate()
            output, _ = server.communicate(timeout=30)
            (root / "tmp/output").write_text(output)
        assert server.returncode == 0, output


@contextmanager
def mapped_port() -> Iterator[str]:
    """The URL of a port that a container engine would choose, which leads to the server's."""

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", int(PORT))) as inside:
                ends = {self.request: inside, inside: self.request}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Forward) as outside:
        outside.daemon_threads = True
        threading.Thread(target=outside.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://localhost:{outside.server_address[1]}"
        outside.shutdown()


def test_the_image_signs_in_without_root_and_is_healthy(root: Path) -> None:
    own = {
        "VESTIBULE_PUBLIC_URLS": f"http://localhost:{PORT}",
        "VESTIBULE_CLIENT_ID": "skc_1000000000000000001",
        "VESTIBULE_CLIENT_SECRET": SECRET,
        "VESTIBULE_CONTROL__TOKEN": TOKEN,
    }
    with started(root, **own):
        server = attach(f"http://localhost:{PORT}", token=TOKEN)
        assert server.client_id == "skc_1000000000000000001"
        assert signed_in_address(server.new_environment(instant_sign_in=True)) == "ada@example.com"
        healthcheck = re.search(r"CMD \[(.*)\]", instructions()["HEALTHCHECK"])
        assert healthcheck is not None
        name, *arguments = [word.strip(' "') for word in healthcheck[1].split(",")]
        command = in_root(root, f"/usr/local/bin/{name}", *arguments, PORT=PORT, **own)
        subprocess.run(command, check=True, timeout=30)
    kept = list((root / "data").iterdir())
    assert kept and all(path.stat().st_uid == USER for path in kept)
    assert SECRET not in (root / "tmp/output").read_text()


def test_without_any_setting_the_image_prints_credentials_and_serves_a_port_that_it_does_not_know(root: Path) -> None:
    with started(root), mapped_port() as url:
        ready = json.loads((root / "tmp/ready.json").read_text())
        assert ready["client_secret"] != "test_vestibule_local_development_secret_do_not_deploy_6870"
        server = attach(url, token=ready["control_token"])
        environment = server.new_environment(instant_sign_in=True)
        assert environment.url.startswith(f"{url}/e/")
        assert signed_in_address(environment) == "ada@example.com"
        with urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=30) as response:
            assert json.load(response)["issuer"] == url
    output = (root / "tmp/output").read_text()
    assert ready["client_secret"] in output and ready["control_token"] in output


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
