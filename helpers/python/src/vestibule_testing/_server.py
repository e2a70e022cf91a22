"""A server: one that is started here, or one that runs."""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ._client import Control, Environment
from ._errors import VestibuleError

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 40.0
READY_POLL_S = 0.02
LOG_TAIL_CHARACTERS = 4_000
NO_PROGRAM = (
    "No vestibule program was found. Install one with `npm install --save-dev @vestibule-idp/server` or "
    "`pip install vestibule-idp`, or set VESTIBULE_BIN to the path of one."
)


class Server(Environment):
    """A server. It is its default environment, too. As a context manager it is stopped at the end."""

    def __init__(self, control: Control, view: Mapping[str, Any], process: _Process | None = None) -> None:
        """Made by `start_server` and `attach`."""
        super().__init__(control, view)
        self._process = process

    def new_environment(
        self,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
        seed: Mapping[str, Any] | None = None,
        clock: Mapping[str, Any] | None = None,
        redirect_uris: Sequence[str] = (),
        instant_sign_in: bool = True,
    ) -> Environment:
        """Makes an isolated environment with credentials, users, clock, inbox and faults of its own.

        Refused with 400 when a field is wrong, and with 409 when the name is taken.

        Args:
            name: Part of its URL; made up when left out.
            settings: Over the configured settings, in the words of the configuration, `clients` included.
            seed: `users` and `organizations`, in the words of the configuration.
            clock: Where its clock begins: `now`, `advance_s`, `frozen`, `date_tokens_ahead`.
            redirect_uris: Callbacks of the client that is made. Loopback `http` URLs need none.
            instant_sign_in: May `Environment.sign_in` sign users in for that client?
        """
        wanted: dict[str, Any] = {"redirect_uris": list(redirect_uris), "instant_sign_in": instant_sign_in}
        given = {"name": name, "settings": settings, "seed": seed, "clock": clock}
        wanted.update({field: value for field, value in given.items() if value is not None})
        view = self._control.call("POST", "/environments", wanted)
        # By path, because many resolvers do not know names below localhost.
        return Environment(Control(view["path_url"], self._control.token), view, self._control)

    def stop(self) -> None:
        """Stops a server that was started here, and waits for its end; one that was attached to goes on.

        May be called again. Raises `VestibuleError` when the server ended with anything but 0.
        """
        process, self._process = self._process, None
        if process is not None:
            process.stop()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def start_server(
    *,
    binary: str | os.PathLike[str] | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    timeout_s: float = START_TIMEOUT_S,
) -> Server:
    """Starts a server on a free port that keeps nothing. It ends with this process when it is not stopped before.

    The server reads a `vestibule.toml` in the working folder, if there is one. Raises `VestibuleError` with status 0,
    and with what the server said, when it does not start.

    Args:
        binary: Path or name of the server's program. Default: `VESTIBULE_BIN`, or else the program of the package
            `vestibule-idp`, or else `vestibule` from `PATH`.
        args: More arguments, such as `["--config", "vestibule.toml"]`.
        env: More environment variables. Those of this process are inherited, except `VESTIBULE_*` and
            `DATABASE_URL`, which would configure the server.
        timeout_s: Seconds that the start may take.
    """
    env = env or {}
    process = _Process(os.fspath(binary or _find_program()), args, env)
    ready = process.ready(timeout_s)
    view = {"name": None, "client_id": ready["client_id"], "client_secret": ready["client_secret"]}
    return Server(Control(ready["environment_url"], env.get("VESTIBULE_CONTROL__TOKEN")), view, process)


def _find_program() -> str:
    # The program that came with this package, before one in PATH that may have another version.
    found = os.environ.get("VESTIBULE_BIN") or _installed_program() or shutil.which("vestibule")
    if found is None:
        raise VestibuleError("The server did not start", NO_PROGRAM)
    return found


def _installed_program() -> str | None:
    """The program of the package `vestibule-idp`, wherever it is installed."""
    try:
        files = importlib.metadata.files("vestibule-idp") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name in ("vestibule", "vestibule.exe")), None)


def attach(url: str, *, token: str | None = None) -> Server:
    """Attaches to a server that runs, by its URL. `token` is its control token, where it demands one.

    Raises `VestibuleError` with status 0 when nothing answers there, and with status 401 when the token is wrong.
    """
    control = Control(url, token)
    return Server(control, control.call("GET", "/environment"))


class _Process:
    """A server process with the folder of its ready file and its log."""

    def __init__(self, binary: str, args: Sequence[str], env: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vestibule-testing-")
        folder = Path(self._folder.name)
        self._ready_file = folder / "ready.json"
        self._log_file = folder / "log"
        # What configures this process' other servers is not meant for this one.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("VESTIBULE_") and name != "DATABASE_URL"
        }
        command = [binary, "--ephemeral", "--listen", "localhost:0", "--ready-file", str(self._ready_file), *args]
        try:
            # A file, not a pipe: nothing has to be read for the server to go on.
            with self._log_file.open("wb") as log:
                self._child = subprocess.Popen(
                    command, env={**inherited, **env}, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
        except OSError as error:
            self._folder.cleanup()
            raise VestibuleError("The server did not start", str(error)) from error
        # A test run that forgets to stop must leave no server behind.
        atexit.register(self._end)

    def ready(self, timeout_s: float) -> dict[str, Any]:
        """What the ready file says, once it is there."""
        deadline = time.monotonic() + timeout_s
        while True:
            code = self._child.poll()
            if code is not None:
                raise self._failure("The server did not start", f"it ended with {code}")
            ready = self._read_ready_file()
            if ready is not None:
                return ready
            if time.monotonic() > deadline:
                self._child.kill()
                self._child.wait()
                raise self._failure("The server did not start", f"it was not ready within {timeout_s:g} s")
            time.sleep(READY_POLL_S)

    def stop(self) -> None:
        code = self._terminate()
        # Windows has no SIGTERM: the process is ended there and then.
        if code != 0 and os.name != "nt":
            raise self._failure("The server did not stop well", f"it ended with {code}")
        self._forget()

    def _end(self) -> None:
        self._terminate()
        self._forget()

    def _terminate(self) -> int:
        self._child.terminate()
        try:
            return self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            return self._child.wait()

    def _failure(self, title: str, what: str) -> VestibuleError:
        log = self._log_file.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()
        self._forget()
        return VestibuleError(title, f"{what}\n{log}")

    def _forget(self) -> None:
        atexit.unregister(self._end)
        self._folder.cleanup()

    def _read_ready_file(self) -> dict[str, Any] | None:
        try:
            ready: dict[str, Any] = json.loads(self._ready_file.read_text())
        except (FileNotFoundError, ValueError):
            # Not there, or not written to its end.
            return None
        return ready
