"""A real SMTP server for tests, with a chosen behaviour.

Writes JSON lines to standard output: first {"event": "ready", "port": …, "ca_file": …}, then one
{"event": "message", …} for every email taken and one {"event": "connection"} for every connection made.
Ends when standard input is closed, so that it never outlives its test.
"""

import argparse
import asyncio
import base64
import email
import email.policy
import json
import logging
import os
import ssl
import sys
import warnings

import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

MODES = {
    "plain": "takes every email without encryption",
    "starttls": "takes email only after STARTTLS",
    "tls": "speaks TLS from the first byte",
    "auth": "takes email only after signing in",
    "auth-starttls": "takes email only after STARTTLS and signing in",
    "greylist": "answers 451 to the first attempt for each recipient",
    "refuse-recipient": "answers 550 to every recipient and repeats the address",
    "refuse-content": "answers 554 after the content and repeats subject and text",
    "refuse-connection": "greets with 554",
    "silent": "accepts connections and never says a word",
    "stall": "falls silent after the content of the first email, then answers late",
    "hang-up": "closes the connection in place of an answer to the content",
    "garbage": "greets in another protocol",
    "one-mail": "closes every connection after its first email",
}


def say(**fields):
    print(json.dumps(fields), flush=True)


class Handler:
    def __init__(self, mode):
        self.mode = mode
        self.seen = set()
        self.stalled = False

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.mode == "greylist" and address not in self.seen:
            self.seen.add(address)
            return f"451 4.7.1 <{address}>: greylisted, try again later"
        if self.mode == "refuse-recipient":
            return f"550 5.1.1 <{address}>: Recipient address rejected: User {address.split('@')[0]} unknown"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.mode == "refuse-content":
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            quoted = [mail["Subject"], *mail.get_body(("plain",)).get_content().splitlines()]
            quoted = [line.encode("ascii", "replace").decode()[:400] for line in quoted if line]
            lines = [f"554-5.7.1 looks like spam: {line}" for line in quoted]
            return "\r\n".join([*lines, "554 5.7.1 refused"])
        if self.mode == "hang-up":
            server.transport.abort()
            return "250 OK"
        if self.mode == "stall" and not self.stalled:
            self.stalled = True
            await asyncio.sleep(3)
            return "250 late"
        if self.mode == "one-mail":
            asyncio.get_running_loop().call_later(0.05, server.transport.close)
        say(
            event="message",
            mail_from=envelope.mail_from,
            rcpt_tos=envelope.rcpt_tos,
            content=base64.b64encode(envelope.original_content).decode(),
            tls=session.ssl is not None or self.mode == "tls",
            signed_in=session.authenticated or False,
        )
        return "250 OK"


def authenticator(args):
    def authenticate(server, session, envelope, mechanism, data):
        expected = LoginPassword(args.username.encode(), args.password.encode())
        # Not handled: aiosmtpd then answers 535 itself.
        return AuthResult(success=data == expected, handled=False)

    return authenticate


def tls_context(directory):
    """A certificate for localhost from a certificate authority made for this run."""
    authority = trustme.CA()
    ca_file = os.path.join(directory, "ca.pem")
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context, ca_file


class CountedSMTP(SMTP):
    def connection_made(self, transport):
        # Called a second time when STARTTLS has replaced the transport.
        if self.session is None:
            say(event="connection")
        super().connection_made(transport)


async def speak_first(reader, writer, greeting):
    say(event="connection")
    if greeting:
        writer.write(greeting)
        await writer.drain()
    await reader.read()
    writer.close()


async def main(args):
    # Failing handshakes and sign-ins over plain connections are what these tests are about.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL + 1)
    warnings.simplefilter("ignore")
    context, ca_file = None, None
    if args.mode in ("starttls", "tls", "auth-starttls"):
        context, ca_file = tls_context(args.directory)
    options = {"hostname": "localhost", "enable_SMTPUTF8": args.smtputf8, "loop": asyncio.get_running_loop()}
    if args.mode in ("starttls", "auth-starttls"):
        options.update(tls_context=context, require_starttls=True)
    if args.mode in ("auth", "auth-starttls"):
        options.update(
            authenticator=authenticator(args), auth_required=True, auth_require_tls=args.mode == "auth-starttls"
        )
    handler = Handler(args.mode)
    loop = asyncio.get_running_loop()
    greetings = {
        "silent": b"",
        "garbage": b"SSH-2.0-OpenSSH_9.2\r\n",
        "refuse-connection": b"554 5.3.2 no service for you\r\n",
    }
    if args.mode in greetings:
        greeting = greetings[args.mode]
        server = await asyncio.start_server(lambda r, w: speak_first(r, w, greeting), args.host, args.port)
    else:
        server = await loop.create_server(
            lambda: CountedSMTP(handler, **options),
            args.host,
            args.port,
            ssl=context if args.mode == "tls" else None,
        )
    say(event="ready", port=server.sockets[0].getsockname()[1], ca_file=ca_file)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="modes:\n" + "\n".join(f"  {mode:18}{text}" for mode, text in MODES.items()),
    )
    parser.add_argument("--mode", choices=MODES, required=True, metavar="MODE")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--directory", default=".", help="where the CA certificate is written")
    parser.add_argument("--username", default="mailer")
    parser.add_argument("--password", default="open sesame")
    parser.add_argument("--smtputf8", action="store_true", help="offer SMTPUTF8")
    asyncio.run(main(parser.parse_args()))
