"""Authlib in a Flask application, unmodified."""

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask, jsonify, session, url_for
from joserfc.errors import JoseError


@pytest.fixture
def application(environment):
    application = Flask(__name__)
    application.secret_key = "of the test"
    oauth = OAuth(application)
    oauth.register(
        "vestibule",
        client_id=environment.client_id,
        client_secret=environment.client_secret,
        server_metadata_url=f"{environment.url}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256"},
    )

    @application.route("/login")
    def login():
        return oauth.vestibule.authorize_redirect(url_for("callback", _external=True))

    @application.route("/callback")
    def callback():
        token = oauth.vestibule.authorize_access_token()
        session["user"] = token["userinfo"]
        return jsonify(oauth.vestibule.userinfo(token=token))

    @application.route("/me")
    def me():
        return jsonify(session.get("user"))

    application.testing = True
    return application


def sign_in(environment, browser, address):
    redirect = browser.get("/login")
    return browser.get(environment.sign_in(address, redirect.location).callback_url)


def test_authlib_signs_a_person_in_and_asks_who_it_is(environment, application, report):
    browser = application.test_client()
    told = sign_in(environment, browser, "jane@example.com").get_json()
    me = browser.get("/me").get_json()
    assert me["email"] == told["email"] == "jane@example.com"
    assert me["iss"] == environment.url
    assert me["sub"] == told["sub"]

    environment.faults.add({"count": 1, "effect": {"kind": "token", "fault": "bad_signature"}})
    with pytest.raises(JoseError):
        sign_in(environment, application.test_client(), "eve@example.com")
    report("authlib", ["discovery", "PKCE", "nonce", "UserInfo", "an issuer with a path", "refuses a bad signature"])
