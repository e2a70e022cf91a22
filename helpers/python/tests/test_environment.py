"""What tests do with an environment."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from browser import Browser, authorization_url, claims, exchange, get

from vestibule_testing import Environment, Server, VestibuleError, attach

ADA = "ada@example.com"


def eventually(probe: Callable[[], Any], wanted: Callable[[Any], bool]) -> Any:
    """What a probe gives once it is as wanted, or at last."""
    deadline = time.monotonic() + 10
    while True:
        found = probe()
        if wanted(found) or time.monotonic() > deadline:
            return found


def test_signs_in_by_the_code_of_the_mail(vestibule: Environment) -> None:
    browser = Browser(authorization_url(vestibule, ADA))
    browser.submit("/code", {"code": vestibule.wait_for_code(ADA)})

    assert browser.callback["state"] == "state-1"
    status, tokens = exchange(vestibule, browser.callback["code"])
    assert status == 200
    token = claims(tokens["id_token"])
    assert (token["iss"], token["email"]) == (vestibule.url, ADA)


def test_gives_no_code_of_a_sign_in_that_is_over_and_says_what_happened(vestibule: Environment) -> None:
    browser = Browser(authorization_url(vestibule, ADA))
    browser.submit("/code", {"code": vestibule.wait_for_code(ADA)})
    assert vestibule.wait_for_message(ADA).code
    eventually(lambda: vestibule.flows(ADA), lambda flows: flows and flows[0]["status"] == "SUCCESS")
    with pytest.raises(VestibuleError, match="SUCCESS") as refused:
        vestibule.wait_for_code(ADA, timeout_s=0)
    assert refused.value.timeline[1].startswith("+0.0 s authorize ok: ")


def test_gives_an_application_its_variables(vestibule: Environment) -> None:
    assert vestibule.env() == {
        "SCALEKIT_ENVIRONMENT_URL": vestibule.url,
        "SCALEKIT_ENV_URL": vestibule.url,
        "SCALEKIT_CLIENT_ID": vestibule.client_id,
        "SCALEKIT_CLIENT_SECRET": vestibule.client_secret,
    }


def test_signs_in_by_the_link_of_the_mail(vestibule: Environment) -> None:
    browser = Browser(authorization_url(vestibule, ADA))
    browser.open(vestibule.wait_for_link(ADA))
    found = re.search(r'name="link_token" value="([^"]+)"', browser.html)
    assert found
    browser.submit("/login/link", {"link_token": found[1]})
    assert exchange(vestibule, browser.callback["code"])[0] == 200


def test_signs_in_at_once_where_the_client_allows_it(vestibule: Environment) -> None:
    signed_in = vestibule.sign_in(ADA, authorization_url(vestibule))
    assert signed_in.code is not None
    assert f"code={signed_in.code}" in signed_in.callback_url
    assert (signed_in.state, signed_in.error) == ("state-1", None)
    assert exchange(vestibule, signed_in.code)[0] == 200


def test_does_not_sign_in_at_once_where_the_client_does_not_allow_it(vestibule_server: Server) -> None:
    with vestibule_server.new_environment(instant_sign_in=False) as environment:
        with pytest.raises(VestibuleError) as refused:
            environment.sign_in(ADA, authorization_url(environment))
        assert refused.value.status == 403


def test_waits_for_the_code_after_a_resend_not_for_the_one_before(vestibule: Environment) -> None:
    browser = Browser(authorization_url(vestibule, ADA))
    first = vestibule.wait_for_message(ADA)
    assert first.to == ADA
    assert first.code is not None
    assert first.code in first.text
    assert first.raw["auth_request_id"] == first.auth_request_id

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(vestibule.wait_for_message, ADA, since=first.id)
        browser.submit("/resend", {})
        code = second.result().code
    assert second.result().id != first.id
    assert vestibule.wait_for_code(ADA, since=first.id) == code

    assert code is not None
    browser.submit("/code", {"code": code})
    assert browser.callback["code"]


def test_gives_the_code_of_the_sign_in_that_follows_though_nobody_waits_for_the_submit(
    vestibule_server: Server,
) -> None:
    with (
        vestibule_server.new_environment(settings={"limits": {"mails_per_address": 0}}) as environment,
        ThreadPoolExecutor(1) as pool,
    ):
        inbox = environment.inbox(ADA)
        for _ in range(4):
            submitted = pool.submit(Browser, authorization_url(environment, ADA))
            code = inbox.next_code()
            browser = submitted.result()
            browser.submit("/code", {"code": code})
            assert browser.callback["code"]
        with pytest.raises(VestibuleError):
            inbox.next_message(timeout_s=0)

        # Emails from before it was opened are none of its.
        later = environment.inbox(ADA)
        submitted = pool.submit(Browser, authorization_url(environment, ADA))
        link = later.next_link()
        submitted.result()
        assert link == environment.wait_for_link(ADA)


def test_expects_the_requests_that_an_application_makes(vestibule: Environment) -> None:
    code = vestibule.sign_in(ADA, authorization_url(vestibule)).code
    assert code is not None
    cursor = vestibule.requests()["cursor"]
    # The wait begins before the request is made.
    with ThreadPoolExecutor(1) as pool:
        expected = pool.submit(vestibule.expect_request, "/oauth/token", since=cursor, client_id=vestibule.client_id)
        exchange(vestibule, code)
        request = expected.result()
    assert request["status"] == 200
    assert request["parameters"]["grant_type"] == "authorization_code"
    assert request["parameters"]["code"] == request["parameters"]["client_secret"] == "[redacted]"
    assert vestibule.expect_request("/oauth/*", timeout_s=0) == request

    with pytest.raises(VestibuleError) as late:
        vestibule.expect_request("/oauth/token", since=request["id"], timeout_s=0.05)
    assert late.value.status == 404
    assert late.value.detail == "no request to /oauth/token came within 0.05 s; the last ones: POST /oauth/token 200"


def test_waits_no_longer_than_it_is_told(vestibule: Environment) -> None:
    Browser(authorization_url(vestibule, ADA))
    first = vestibule.wait_for_message(ADA, timeout_s=0)
    with pytest.raises(VestibuleError) as late:
        vestibule.wait_for_message(ADA, since=first.id, timeout_s=0.05)
    assert late.value.status == 404
    assert late.value.detail == f"no email to {ADA} arrived within 0.05 s after {first.id}"
    with pytest.raises(VestibuleError):
        vestibule.wait_for_code("bob@example.com", timeout_s=0)


def test_waits_for_an_event_whether_or_not_there_is_a_webhook(vestibule: Environment) -> None:
    def make(name: str) -> Any:
        return vestibule.call("POST", "/api/organizations", {"display_name": name})["organization"]

    make("Before")
    since = vestibule.event_cursor()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(vestibule.wait_for_event, "organization.created", since=since)
        made = make("After")
        event = waiting.result()
    assert event["data"]["id"] == made["id"]
    assert vestibule.wait_for_event("organization.created")["id"] == event["id"]
    with pytest.raises(VestibuleError) as late:
        vestibule.wait_for_event("organization.created", since=event["id"], timeout_s=0.05)
    assert late.value.status == 404
    assert late.value.detail == f"no organization.created happened within 0.05 s after {event['id']}"


def test_does_not_wait_in_an_environment_that_is_gone(vestibule: Environment) -> None:
    vestibule.delete()
    with pytest.raises(VestibuleError) as gone:
        vestibule.wait_for_code(ADA, timeout_s=3600)
    assert (gone.value.status, gone.value.code) == (404, "unknown_environment")


def test_says_what_scalekits_api_refuses(vestibule: Environment) -> None:
    with pytest.raises(VestibuleError) as refused:
        vestibule.call("POST", "/api/organizations", {})
    assert (refused.value.status, refused.value.code) == (400, "INVALID_ARGUMENT")
    assert refused.value.errors[0]["field"] == "organization.display_name"
    assert refused.value.detail
    assert refused.value.errors[0]["reason"]


def test_says_that_a_mail_carries_no_code_or_no_link(vestibule: Environment) -> None:
    vestibule.settings.change({"passwordless": {"type": "LINK"}})
    Browser(authorization_url(vestibule, ADA))
    assert vestibule.wait_for_link(ADA)
    with pytest.raises(VestibuleError, match="carries no code") as no_code:
        vestibule.wait_for_code(ADA)
    assert no_code.value.status == 0

    vestibule.settings.change({"passwordless": {"type": "OTP"}})
    Browser(authorization_url(vestibule, "bob@example.com"))
    assert vestibule.wait_for_code("bob@example.com")
    with pytest.raises(VestibuleError, match="carries no link"):
        vestibule.wait_for_link("bob@example.com")


def test_knows_nothing_of_another(vestibule: Environment, vestibule_server: Server) -> None:
    with vestibule_server.new_environment() as other:
        assert other.url != vestibule.url
        assert other.client_id != vestibule.client_id

        browser = Browser(authorization_url(vestibule, ADA))
        code = vestibule.wait_for_code(ADA)
        for elsewhere in (other, vestibule_server):
            with pytest.raises(VestibuleError, match="no email"):
                elsewhere.wait_for_code(ADA, timeout_s=0)

        other.clock.advance(3600)
        assert vestibule.clock.get()["ahead_s"] == 0

        browser.submit("/code", {"code": code})
        assert exchange(vestibule, browser.callback["code"], other.url)[0] == 401
        assert exchange(vestibule, browser.callback["code"])[0] == 200


def test_lets_codes_expire_by_its_clock(vestibule: Environment) -> None:
    browser = Browser(authorization_url(vestibule, ADA))
    code = vestibule.wait_for_code(ADA)
    vestibule.clock.advance(301)
    browser.submit("/code", {"code": code})
    assert "expired" in browser.html


def test_sets_freezes_resumes_and_resets_its_clock(vestibule: Environment) -> None:
    then = datetime(2031, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
    assert vestibule.clock.freeze()["frozen"] is True
    state = vestibule.clock.set(then.astimezone(timezone(timedelta(hours=1))))
    assert (state["now"], state["frozen"]) == ("2031-02-03T04:05:06.000Z", True)
    assert vestibule.clock.advance(-6)["now"] == "2031-02-03T04:05:00.000Z"
    assert vestibule.clock.set("2031-02-03T05:05:06+01:00")["now"] == "2031-02-03T04:05:06.000Z"
    assert vestibule.clock.resume()["frozen"] is False
    assert vestibule.clock.reset()["ahead_s"] == 0

    with pytest.raises(ValueError, match="time zone"):
        vestibule.clock.set(then.replace(tzinfo=None))
    with pytest.raises(VestibuleError) as refused:
        vestibule.clock.set("tomorrow")
    assert refused.value.errors[0]["field"] == "now"


def test_goes_back_to_its_seed(vestibule: Environment) -> None:
    assert vestibule.seed(users=[{"email": ADA}]) == {"users": 1, "organizations": 0}
    vestibule.call("POST", "/users", {"email": "bob@example.com"})
    vestibule.clock.advance(3600)
    vestibule.settings.change({"passwordless": {"code_length": 8}})
    Browser(authorization_url(vestibule, ADA))
    assert re.fullmatch(r"\d{8}", vestibule.wait_for_code(ADA))

    vestibule.reset(keep=["clock"])
    assert [user["email"] for user in vestibule.call("GET", "/api/users")["users"]] == [ADA]
    assert vestibule.settings.get()["passwordless"]["code_length"] == 6
    assert vestibule.clock.get()["ahead_s"] == 3600
    with pytest.raises(VestibuleError, match="no email"):
        vestibule.wait_for_code(ADA, timeout_s=0)

    vestibule.reset()
    assert vestibule.clock.get()["ahead_s"] == 0


def test_is_seeded_with_organizations(vestibule: Environment) -> None:
    seeded = vestibule.seed(organizations=[{"display_name": "Analytical Engines"}])
    assert seeded == {"users": 0, "organizations": 1}
    (organization,) = vestibule.call("GET", "/api/organizations")["organizations"]
    assert organization["display_name"] == "Analytical Engines"
    assert vestibule.seed() == {"users": 0, "organizations": 0}


def test_breaks_on_purpose(vestibule: Environment) -> None:
    effect = {"kind": "status", "status": 503}
    fault = vestibule.faults.add({"match": {"path": "/keys"}, "count": 1, "effect": effect})
    keys = f"{vestibule.url}/keys"
    status, headers = get(keys)
    assert (status, headers["x-vestibule-fault"]) == (503, fault["id"])
    assert get(keys)[0] == 200
    assert [(rule["fired"], rule["matched"]) for rule in vestibule.faults.list()] == [(1, 2)]

    vestibule.faults.add({"effect": {"kind": "connection_reset"}})
    with pytest.raises(OSError):
        urllib.request.urlopen(keys, timeout=30)
    vestibule.faults.clear()
    assert vestibule.faults.list() == []
    assert get(keys)[0] == 200


def test_tells_what_became_of_sign_ins(vestibule: Environment) -> None:
    vestibule.sign_in(ADA, authorization_url(vestibule))
    vestibule.sign_in("bob@example.com", authorization_url(vestibule))
    # Steps are written in batches.
    flows = eventually(lambda: vestibule.flows(ADA), lambda flows: [flow["status"] for flow in flows] == ["SUCCESS"])
    assert [(flow["email"], flow["status"]) for flow in flows] == [(ADA, "SUCCESS")]


def test_gives_all_sign_ins_however_many_pages_they_are(vestibule: Environment) -> None:
    count = 120
    for _ in range(count):
        get(authorization_url(vestibule))
    flows = eventually(vestibule.flows, lambda flows: len(flows) == count)
    assert len({flow["id"] for flow in flows}) == count


def test_says_which_fields_are_wrong(vestibule_server: Server, vestibule: Environment) -> None:
    with pytest.raises(VestibuleError, match="validity_s") as refused:
        vestibule_server.new_environment(settings={"passwordless": {"validity_s": 1}})
    error = refused.value
    assert error.status == 400
    assert error.code == "invalid_request"
    assert error.title
    assert error.detail
    assert error.errors[0]["field"].endswith("passwordless.validity_s")
    assert error.errors[0]["reason"]

    with pytest.raises(VestibuleError) as taken:
        vestibule_server.new_environment(name=vestibule.name)
    assert taken.value.status == 409


def test_changes_settings(vestibule: Environment, vestibule_server: Server) -> None:
    assert vestibule.settings.change({"passwordless": {"type": "OTP"}})["passwordless"]["type"] == "OTP"
    assert vestibule_server.settings.get()["passwordless"]["type"] == "LINK_OTP"
    with pytest.raises(VestibuleError) as refused:
        vestibule.settings.change({"passwordless": {"type": "PIGEON"}})
    assert refused.value.status == 400
    assert vestibule.settings.change({"passwordless": None})["passwordless"]["type"] == "LINK_OTP"


def test_is_made_as_wanted(vestibule_server: Server) -> None:
    with vestibule_server.new_environment(
        name="as-wanted",
        settings={"strict_redirects": True},
        seed={"users": [{"email": ADA}]},
        clock={"frozen": True},
        redirect_uris=["https://app.example.com/callback"],
        instant_sign_in=False,
    ) as environment:
        assert environment.name == "as-wanted"
        assert environment.url == f"{vestibule_server.url}/e/as-wanted"
        assert environment.settings.get()["strict_redirects"] is True
        assert [user["email"] for user in environment.call("GET", "/api/users")["users"]] == [ADA]
        assert environment.clock.get()["frozen"] is True
        (client,) = environment.call("GET", "/api/clients")["clients"]
        assert client["post_login_uris"] == ["https://app.example.com/callback"]
        assert environment.call("PATCH", f"/clients/{client['id']}", {})["instant_sign_in"] is False


def test_is_gone_when_its_context_ends(vestibule_server: Server) -> None:
    with vestibule_server.new_environment() as environment:
        environment.clock.get()
    with pytest.raises(VestibuleError) as gone:
        environment.clock.get()
    assert gone.value.status == 404
    with pytest.raises(VestibuleError):
        environment.delete()

    # Leaving a context whose environment the test deleted is no mistake.
    with vestibule_server.new_environment() as environment:
        environment.delete()


def test_is_the_default_one_as_a_server_which_is_not_deleted(vestibule_server: Server) -> None:
    assert vestibule_server.name is None
    Browser(authorization_url(vestibule_server, "default@example.com"))
    assert vestibule_server.wait_for_code("default@example.com")
    with pytest.raises(VestibuleError) as refused:
        vestibule_server.delete()
    assert refused.value.status == 0


def test_can_be_made_by_a_server_that_was_attached_to_which_goes_on(vestibule_server: Server) -> None:
    with attach(f"{vestibule_server.url}/") as attached:
        assert (attached.url, attached.client_id, attached.client_secret) == (
            vestibule_server.url,
            vestibule_server.client_id,
            vestibule_server.client_secret,
        )
        with attached.new_environment() as environment:
            assert environment.url.startswith(f"{vestibule_server.url}/e/")
    assert vestibule_server.clock.get()["ahead_s"] == 0
