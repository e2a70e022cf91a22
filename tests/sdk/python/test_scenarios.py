"""What an application with Scalekit's Python SDK does, against the running server.

With an http:// URL the SDK sends OAuth in plaintext and gRPC by TLS, to the same port.
"""

import base64
import hashlib
import queue
import re
import secrets
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests
from scalekit import ScalekitClient
from scalekit.common import exceptions
from scalekit.common.scalekit import AuthorizationUrlOptions, CodeAuthenticationOptions, LogoutUrlOptions

from conftest import TRANSPORT, VERSION
from server import AUTHORITY, Vestibule

CALLBACK = "http://localhost:3000/auth/callback"
PAGE = "https://app.example.com/verify"

scenario = pytest.mark.scenario


def client_of(server):
    return ScalekitClient(server.url, server.client_id, server.client_secret)


@pytest.fixture(scope="session")
def scalekit(vestibule):
    return client_of(vestibule)


def authorization_url(scalekit, address, scopes=None, **more):
    options = AuthorizationUrlOptions()
    options.login_hint = address
    options.state = "xyz"
    if scopes:
        options.scopes = scopes
    url = scalekit.get_authorization_url(CALLBACK, options)
    return requests.Request("GET", url, params=more).prepare().url


def exchange(scalekit, code, options=None):
    # 2.10 has no default for the options.
    return scalekit.authenticate_with_code(code, CALLBACK, options or CodeAuthenticationOptions())


def tokens_of(server, scalekit, address):
    scopes = ["openid", "profile", "email", "offline_access"]
    answer = server.sign_in(authorization_url(scalekit, address, scopes), address)
    return exchange(scalekit, answer["code"])


def send(server, scalekit, address, **options):
    options.setdefault("magiclink_auth_uri", PAGE)
    response, _ = scalekit.passwordless.send_passwordless_email(address, **options)
    return response, server.mail_to(address)


def verify(scalekit, **credential):
    response, _ = scalekit.passwordless.verify_passwordless_email(**credential)
    return response


def other_than(code, by):
    return f"{(int(code) + by) % 1_000_000:06}"


def refused(call, exception, error_code, words):
    """The exception and error code that an application sees."""
    with pytest.raises(exception) as caught:
        call()
    assert caught.value.error_code == error_code
    assert re.search(words, str(caught.value.message), re.IGNORECASE), caught.value.message


@scenario("client_token")
def test_a_client_token_is_fetched_and_verified(vestibule, scalekit):
    token = scalekit.generate_client_token(vestibule.client_id, vestibule.client_secret)
    assert scalekit.validate_access_token(token)
    with pytest.raises(exceptions.ScalekitUnauthorizedException):
        ScalekitClient(vestibule.url, vestibule.client_id, "wrong")


@scenario("sign_in")
def test_a_person_signs_in_and_the_code_is_exchanged(vestibule, scalekit):
    answer = vestibule.sign_in(authorization_url(scalekit, "jane@example.com"), "jane@example.com")
    assert answer["state"] == "xyz"
    result = exchange(scalekit, answer["code"])
    assert result["user"]["email"] == "jane@example.com"
    assert result["connection_id"].startswith("conn_") and result["expires_in"] > 0
    with pytest.raises(exceptions.ScalekitBadRequestException):
        exchange(scalekit, answer["code"])


@scenario("sign_in_pkce")
def test_a_person_signs_in_with_pkce(vestibule, scalekit):
    # The SDK can send the verifier; its URL has no parameters for the challenge, so the application appends them.
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    url = authorization_url(scalekit, "pkce@example.com", code_challenge=challenge, code_challenge_method="S256")
    options = CodeAuthenticationOptions()
    options.code_verifier = "x" * 64
    code = vestibule.sign_in(url, "pkce@example.com")["code"]
    with pytest.raises(exceptions.ScalekitBadRequestException):
        exchange(scalekit, code, options)
    options.code_verifier = verifier
    code = vestibule.sign_in(url, "pkce@example.com")["code"]
    assert exchange(scalekit, code, options)["user"]["email"] == "pkce@example.com"


@scenario("refresh")
def test_a_refresh_token_rotates(vestibule, scalekit):
    first = tokens_of(vestibule, scalekit, "refresh@example.com")
    second = scalekit.refresh_access_token(first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert scalekit.validate_access_token(second["access_token"])
    with pytest.raises(exceptions.ScalekitBadRequestException):
        scalekit.refresh_access_token("invented")


@scenario("validate")
def test_good_tokens_are_valid_and_tampered_ones_are_not(vestibule, scalekit):
    token = tokens_of(vestibule, scalekit, "validate@example.com")["access_token"]
    assert scalekit.validate_access_token(token)
    assert not scalekit.validate_access_token(token[:-4] + "AAAA")


@scenario("logout_url")
def test_the_logout_url_signs_out(vestibule, scalekit):
    options = LogoutUrlOptions()
    options.id_token_hint = tokens_of(vestibule, scalekit, "logout@example.com")["id_token"]
    options.post_logout_redirect_uri = "http://localhost:3000/"
    answer = requests.get(scalekit.get_logout_url(options), allow_redirects=False, timeout=20)
    assert answer.status_code < 400


@scenario("headless_code")
def test_a_code_is_sent_sent_again_and_verified(vestibule, scalekit):
    address = "code@example.com"
    variables = {"app_name": "Acme"}
    sent, mail = send(vestibule, scalekit, address, template="signup", state="st", expires_in=1800, template_variables=variables)
    assert (sent.expires_in, sent.passwordless_type) == (1800, 3)
    assert "Acme" in mail["subject"]
    again, _ = scalekit.passwordless.resend_passwordless_email(sent.auth_request_id)
    assert again.auth_request_id == sent.auth_request_id
    code = vestibule.mail_to(address)["code"]
    proof = verify(scalekit, code=code, auth_request_id=sent.auth_request_id)
    assert (proof.email, proof.state, proof.template) == (address, "st", 2)
    call = lambda: verify(scalekit, code=code, auth_request_id=sent.auth_request_id)  # noqa: E731
    refused(call, exceptions.ScalekitBadRequestException, "AUTH_REQUEST_ALREADY_USED", "already used")


@scenario("headless_link")
def test_a_link_is_sent_and_verified(vestibule, scalekit):
    sent, mail = send(vestibule, scalekit, "link@example.com", magiclink_auth_uri=f"{PAGE}?state=a")
    prefix = f"{PAGE}?state=a&link_token="
    assert mail["link"].startswith(prefix)
    token = mail["link"].removeprefix(prefix)
    alone = lambda: verify(scalekit, link_token=token)  # noqa: E731
    refused(alone, exceptions.ScalekitBadRequestException, "INVALID_ARGUMENT", "auth_request_id is required")
    assert verify(scalekit, link_token=token, auth_request_id=sent.auth_request_id).email == "link@example.com"


@scenario("wrong_code")
def test_a_wrong_code_is_a_bad_request_and_counts_once_however_often_it_is_sent(vestibule, scalekit):
    sent, mail = send(vestibule, scalekit, "wrong@example.com")
    for attempts_left in (4, 3):
        wrong = other_than(mail["code"], attempts_left)
        # 2.10 sends every failing call three times.
        call = lambda: verify(scalekit, code=wrong, auth_request_id=sent.auth_request_id)  # noqa: B023, E731
        words = f"invalid.*attempts left: {attempts_left}"
        refused(call, exceptions.ScalekitBadRequestException, "INVALID_CODE", words)


@scenario("expired_code")
def test_a_code_that_is_too_old_says_so():
    with Vestibule(TRANSPORT) as server:
        scalekit = client_of(server)
        sent, mail = send(server, scalekit, "late@example.com")
        server.move_clock(301)
        call = lambda: verify(scalekit, code=mail["code"], auth_request_id=sent.auth_request_id)  # noqa: E731
        refused(call, exceptions.ScalekitBadRequestException, "AUTH_REQUEST_EXPIRED", "auth request expired")


@scenario("too_many_attempts")
def test_the_sixth_code_is_too_many(vestibule, scalekit):
    sent, mail = send(vestibule, scalekit, "many@example.com")
    for guess in range(1, 6):
        wrong = other_than(mail["code"], guess)
        call = lambda: verify(scalekit, code=wrong, auth_request_id=sent.auth_request_id)  # noqa: B023, E731
        refused(call, exceptions.ScalekitBadRequestException, "INVALID_CODE", "invalid")
    call = lambda: verify(scalekit, code=mail["code"], auth_request_id=sent.auth_request_id)  # noqa: E731
    refused(call, exceptions.ScalekitTooManyRequestsException, "TOO_MANY_ATTEMPTS", "too many")


@scenario("unknown_request")
def test_an_unknown_auth_request_is_not_found(scalekit):
    call = lambda: verify(scalekit, code="123456", auth_request_id="nobody")  # noqa: E731
    refused(call, exceptions.ScalekitNotFoundException, "AUTH_REQUEST_NOT_FOUND", "not found")


@scenario("not_emulated")
def test_a_method_that_is_not_emulated_says_so_by_name(scalekit):
    call = lambda: scalekit.connection.enable_connection("org_1", "conn_1")  # noqa: E731
    words = "ConnectionService/EnableConnection is not emulated"
    refused(call, exceptions.ScalekitNotImplementedException, "NOT_EMULATED", words)


@scenario("concurrent")
def test_twenty_users_prove_their_addresses_at_once(vestibule, scalekit):
    def prove(number):
        address = f"concurrent{number}@example.com"
        sent, mail = send(vestibule, scalekit, address)
        return verify(scalekit, code=mail["code"], auth_request_id=sent.auth_request_id).email == address

    with ThreadPoolExecutor(20) as threads:
        assert all(threads.map(prove, range(20)))


@scenario("restart")
def test_a_restart_between_two_calls_is_not_noticed(tmp_path):
    data = tmp_path / "data"
    shutil.copytree(AUTHORITY / "tls", data / "tls")
    with Vestibule(TRANSPORT, data=data) as server:
        scalekit = client_of(server)
        token = tokens_of(server, scalekit, "restart@example.com")["access_token"]
        sent, mail = send(server, scalekit, "restarted@example.com")
        port = server.port
    with Vestibule(TRANSPORT, data=data, port=port) as server:
        assert scalekit.validate_access_token(token)
        assert client_of(server).validate_access_token(token)
        proof = verify(scalekit, code=mail["code"], auth_request_id=sent.auth_request_id)
        assert proof.email == "restarted@example.com"


@pytest.mark.skipif(VERSION.startswith("2.10."), reason="2.10 cannot read or change the settings")
def test_the_settings_of_the_connection_are_read_and_changed():
    from scalekit.v1.connections import connections_pb2 as pb

    with Vestibule(TRANSPORT) as server:
        scalekit = client_of(server)
        listed, _ = scalekit.connection.list_connections(organization_id=None)
        (connection,) = listed.connections
        config = pb.PasswordLessConfig(type=pb.PasswordlessType.OTP)
        config.validity.value = 120
        request = pb.UpdateEnvironmentConnectionRequest(
            connection_id=connection.id, connection=pb.UpdateConnection(passwordless_config=config)
        )
        stub = scalekit.connection.connection_service
        changed, _ = scalekit.core_client.grpc_exec(stub.UpdateEnvironmentConnection.with_call, request)
        assert changed.connection.passwordless_config.validity.value == 120
        sent, _ = scalekit.passwordless.send_passwordless_email("otp@example.com")
        assert (sent.expires_in, sent.passwordless_type) == (120, 1)


@pytest.fixture
def endpoint():
    """An address for webhooks, and the queue of what is posted to it: headers in small letters, and body."""
    received = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.put(({name.lower(): value for name, value in self.headers.items()}, body.decode()))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/webhooks", received
    server.shutdown()
    server.server_close()


def test_a_webhook_is_verified_and_refused_when_a_byte_or_the_time_is_off(endpoint):
    url, received = endpoint
    with Vestibule(TRANSPORT) as server:
        scalekit = client_of(server)
        control = f"{server.plain_url}/_emulator/v1"
        secret = requests.post(f"{control}/webhooks", json={"url": url}, timeout=20).json()["secret"]
        # The environment's clock is nobody's business but the environment's.
        server.move_clock(86_400)
        made = requests.post(f"{control}/api/organizations", json={"display_name": "Acme"}, timeout=20)
        assert made.status_code == 201, made.text
        headers, body = received.get(timeout=20)
    assert scalekit.verify_webhook_payload(secret, headers, body)
    off = str(int(headers["webhook-timestamp"]) - 301)
    for bad_headers, bad_body in [
        (headers, body.replace("Acme", "Acmf")),
        (headers | {"webhook-timestamp": off}, body),
        (headers | {"webhook-id": "evt_1"}, body),
    ]:
        with pytest.raises(Exception, match="(?i)signature|timestamp"):
            scalekit.verify_webhook_payload(secret, bad_headers, bad_body)


def test_a_call_of_an_interceptor_is_verified_and_refused_when_a_byte_or_the_time_is_off(endpoint):
    url, received = endpoint
    with Vestibule(TRANSPORT) as server:
        scalekit = client_of(server)
        control = f"{server.plain_url}/_emulator/v1"
        wanted = {"url": url, "trigger_point": "PRE_USER_INVITATION"}
        made = requests.post(f"{control}/interceptors", json=wanted, timeout=20).json()
        server.move_clock(86_400)
        tested = requests.post(f"{control}/interceptors/{made['id']}/test", json={}, timeout=20)
        assert tested.status_code == 200, tested.text
        headers, body = received.get(timeout=20)
    secret = made["secret"]
    assert scalekit.verify_interceptor_payload(secret, headers, body)
    off = str(int(headers["interceptor-timestamp"]) - 301)
    for bad_headers, bad_body in [
        (headers, body.replace("Sample", "Simple")),
        (headers | {"interceptor-timestamp": off}, body),
        (headers | {"interceptor-id": "icpc_1"}, body),
    ]:
        with pytest.raises(Exception, match="(?i)signature|timestamp"):
            scalekit.verify_interceptor_payload(secret, bad_headers, bad_body)
