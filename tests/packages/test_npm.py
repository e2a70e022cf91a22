"""npm's packages, installed by name into an empty folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import run, serving, wait_for
from npm_registry import registry
from package.project import NPM_SERVER, NPM_TESTING, VERSION, Target

SIGN_IN = """
import { startServer } from '@vestibule-idp/testing';

const server = await startServer();
const environment = await server.newEnvironment({ instant_sign_in: true });
const authorizationUrl = new URL(`${environment.url}/oauth/authorize`);
const redirect_uri = 'http://localhost:3000/callback';
const { clientId: client_id, clientSecret: client_secret } = environment;
authorizationUrl.search = new URLSearchParams({
  client_id, redirect_uri, response_type: 'code', scope: 'openid email', state: 'state-1',
});
const { code } = await environment.signIn('ada@example.com', authorizationUrl);
const response = await fetch(`${environment.url}/oauth/token`, {
  method: 'POST',
  body: new URLSearchParams({ grant_type: 'authorization_code', code, redirect_uri, client_id, client_secret }),
});
const { id_token } = await response.json();
console.log(JSON.parse(Buffer.from(id_token.split('.')[1], 'base64url')).email);
await server.stop();
"""


@pytest.fixture
def project(made: Path, home: Path) -> Iterator[Path]:
    """An empty project, for which the packages are in the registry."""
    folder = home / "project"
    folder.mkdir()
    (folder / "package.json").write_text('{ "private": true, "type": "module" }')
    with serving(registry(made / "npm")) as url:
        (folder / ".npmrc").write_text(f"@vestibule-idp:registry={url}/\ncache={home}/cache\naudit=false\nfund=false\n")
        yield folder


def installed(project: Path) -> list[str]:
    return sorted(path.name for path in project.glob("node_modules/@vestibule-idp/*"))


def test_the_helper_needs_nothing_else_and_leaves_nothing(project: Path, target: Target, home: Path) -> None:
    run("npm", "install", "--save-dev", NPM_TESTING, cwd=project)
    assert installed(project) == ["server", f"server-{target.name}", "testing"]
    (project / "sign-in.js").write_text(SIGN_IN)
    assert run("node", "sign-in.js", cwd=project) == "ada@example.com\n"
    run("npm", "uninstall", NPM_TESTING, cwd=project)
    assert installed(project) == []
    assert list((home / "tmp").iterdir()) == []


def test_npx_runs_the_program(project: Path) -> None:
    assert run("npx", "--yes", NPM_SERVER, "--version", cwd=project) == f"vestibule {VERSION}\n"
    wrong = subprocess.run(["npx", "--yes", NPM_SERVER, "--no-such-flag"], cwd=project, capture_output=True, text=True)
    assert (wrong.returncode, "--no-such-flag" in wrong.stderr) == (2, True)


def test_a_signal_to_the_command_ends_the_server(project: Path) -> None:
    run("npm", "install", NPM_SERVER, cwd=project)
    command = ["node_modules/.bin/vestibule", "--ephemeral", "--listen", "localhost:0", "--ready-file", "ready.json"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL) as started:
        wait_for(project / "ready.json", lambda: started.poll() is None)
        ready = json.loads((project / "ready.json").read_text())
        started.send_signal(signal.SIGTERM)
    assert started.returncode == 0
    host, port = ready["listen"].rsplit(":", 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=10)
    with pytest.raises(ProcessLookupError):
        os.kill(ready["pid"], 0)


def test_without_the_optional_dependency_the_command_says_what_is_missing(project: Path, target: Target) -> None:
    run("npm", "install", "--omit=optional", NPM_SERVER, cwd=project)
    done = subprocess.run(["node_modules/.bin/vestibule"], cwd=project, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"Its optional dependency {target.npm_package} is not installed" in done.stderr
