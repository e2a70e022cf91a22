"""Helpers for tests against Vestibule.

Start a server or attach to one, make an isolated environment for each test, wait for a code or a link, move the clock,
reset. What goes to the server or comes from it has the server's own names. Every call may raise `VestibuleError`.
"""

from ._client import Clock, Environment, Faults, Inbox, Message, Settings, SignedIn
from ._errors import VestibuleError
from ._server import Server, attach, start_server

__all__ = [
    "Clock",
    "Environment",
    "Faults",
    "Inbox",
    "Message",
    "Server",
    "Settings",
    "SignedIn",
    "VestibuleError",
    "attach",
    "start_server",
]
