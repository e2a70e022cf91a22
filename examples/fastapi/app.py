"""An application whose users sign in with Scalekit, or with Vestibule in its place."""

import os
import secrets
from functools import cache
from html import escape

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from scalekit import AuthorizationUrlOptions, CodeAuthenticationOptions, ScalekitClient
from scalekit.common.scalekit import LogoutUrlOptions
from starlette.middleware.sessions import SessionMiddleware

HOME = os.environ.get("APP_URL", "http://localhost:8000")
CALLBACK = f"{HOME}/auth/callback"

app = FastAPI()
app.add_middleware(
    SessionMiddleware,
    secret_key=os.environ.get("SESSION_SECRET") or secrets.token_hex(),
    https_only=HOME.startswith("https:"),
)


@cache
def scalekit() -> ScalekitClient:
    """Only these variables decide who answers. The SDK gets a token as it is made, so not before the first request."""
    return ScalekitClient(
        os.environ["SCALEKIT_ENVIRONMENT_URL"],
        os.environ["SCALEKIT_CLIENT_ID"],
        os.environ["SCALEKIT_CLIENT_SECRET"],
    )


@app.get("/", response_class=HTMLResponse)
def home(request: Request) -> str:
    if "email" not in request.session:
        return '<a href="/login">Sign in</a>'
    email = escape(request.session["email"])
    return f'<p>Signed in as {email}</p><form method="post" action="/logout"><button>Sign out</button></form>'


@app.get("/login")
def login(request: Request) -> RedirectResponse:
    options = AuthorizationUrlOptions()
    options.state = request.session["state"] = secrets.token_urlsafe()
    return RedirectResponse(scalekit().get_authorization_url(CALLBACK, options))


@app.get("/auth/callback")
def callback(
    request: Request, state: str = "", code: str = "", error_description: str = "The sign-in failed."
) -> RedirectResponse:
    # Without this check, somebody else's sign-in could be slipped to this browser.
    if not state or state != request.session.pop("state", None):
        raise HTTPException(400, "This sign-in did not begin here.")
    if not code:
        raise HTTPException(400, error_description)
    signed_in = scalekit().authenticate_with_code(code, CALLBACK, CodeAuthenticationOptions())
    request.session.update(email=signed_in["user"]["email"], id_token=signed_in["id_token"])
    return RedirectResponse("/")


@app.post("/logout")
def logout(request: Request) -> RedirectResponse:
    options = LogoutUrlOptions(request.session.get("id_token"), post_logout_redirect_uri=HOME)
    request.session.clear()
    return RedirectResponse(scalekit().get_logout_url(options), 303)
