"""mozilla-django-oidc in a Django project, unmodified."""

import django
import pytest
from django.conf import settings


@pytest.fixture(scope="module")
def project(server):
    environment = server.new_environment(instant_sign_in=True)
    settings.configure(
        ALLOWED_HOSTS=["localhost"],
        AUTHENTICATION_BACKENDS=["mozilla_django_oidc.auth.OIDCAuthenticationBackend"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "mozilla_django_oidc",
        ],
        LOGIN_REDIRECT_URL="/",
        LOGIN_REDIRECT_URL_FAILURE="/failed",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        OIDC_OP_AUTHORIZATION_ENDPOINT=f"{environment.url}/oauth/authorize",
        OIDC_OP_JWKS_ENDPOINT=f"{environment.url}/keys",
        OIDC_OP_TOKEN_ENDPOINT=f"{environment.url}/oauth/token",
        OIDC_OP_USER_ENDPOINT=f"{environment.url}/userinfo",
        OIDC_RP_CLIENT_ID=environment.client_id,
        OIDC_RP_CLIENT_SECRET=environment.client_secret,
        OIDC_RP_SIGN_ALGO="RS256",
        OIDC_USE_PKCE=True,
        ROOT_URLCONF="django_urls",
        SECRET_KEY="of the test",
        USE_TZ=True,
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    yield environment
    environment.delete()


def sign_in(environment, address):
    from django.test import Client

    browser = Client(headers={"host": "localhost"})
    redirect = browser.get("/oidc/authenticate/")
    back = environment.sign_in(address, redirect["location"]).callback_url
    return browser, browser.get(back.removeprefix("http://localhost"))


def test_django_signs_a_person_in_and_makes_a_user(project, report):
    browser, back = sign_in(project, "jane@example.com")
    assert back["location"] == "/"
    assert browser.get("/").json() == {"email": "jane@example.com"}

    project.faults.add({"count": 1, "effect": {"kind": "token", "fault": "bad_signature"}})
    browser, back = sign_in(project, "eve@example.com")
    assert (back.status_code, back.headers.get("location")) != (302, "/")
    assert browser.get("/").json() == {"email": None}
    report("mozilla-django-oidc", ["PKCE", "nonce", "UserInfo", "an issuer with a path", "refuses a bad signature"])
