"""Users sign in with Scalekit, or with Vestibule in its place."""

import os
import secrets
from functools import cache

from django.conf import settings
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template import engines
from django.utils.html import escape
from django.views.decorators.http import require_GET, require_POST
from scalekit import AuthorizationUrlOptions, CodeAuthenticationOptions, ScalekitClient
from scalekit.common.scalekit import LogoutUrlOptions

CALLBACK = f"{settings.HOME}/auth/callback"
PAGE = """{% if email %}<p>Signed in as {{ email }}</p>
<form method="post" action="/logout">{% csrf_token %}<button>Sign out</button></form>
{% else %}<a href="/login">Sign in</a>{% endif %}"""


@cache
def scalekit():
    """Only these variables decide who answers. The SDK gets a token as it is made, so not before the first request."""
    return ScalekitClient(
        os.environ["SCALEKIT_ENVIRONMENT_URL"],
        os.environ["SCALEKIT_CLIENT_ID"],
        os.environ["SCALEKIT_CLIENT_SECRET"],
    )


@require_GET
def home(request):
    page = engines["django"].from_string(PAGE)
    return HttpResponse(page.render({"email": request.session.get("email")}, request))


@require_GET
def login(request):
    options = AuthorizationUrlOptions()
    options.state = request.session["state"] = secrets.token_urlsafe()
    return redirect(scalekit().get_authorization_url(CALLBACK, options))


@require_GET
def callback(request):
    state, code = request.GET.get("state"), request.GET.get("code")
    # Without this check, somebody else's sign-in could be slipped to this browser.
    if not state or state != request.session.pop("state", None):
        return HttpResponseBadRequest("This sign-in did not begin here.")
    if not code:
        return HttpResponseBadRequest(escape(request.GET.get("error_description", "The sign-in failed.")))
    signed_in = scalekit().authenticate_with_code(code, CALLBACK, CodeAuthenticationOptions())
    request.session.update({"email": signed_in["user"]["email"], "id_token": signed_in["id_token"]})
    return redirect("/")


@require_POST
def logout(request):
    options = LogoutUrlOptions(request.session.get("id_token"), post_logout_redirect_uri=settings.HOME)
    request.session.flush()
    return redirect(scalekit().get_logout_url(options))
