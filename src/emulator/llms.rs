//! `/llms.txt`: what a coding agent needs to use this server.

use actix_web::{HttpRequest, HttpResponse};

use crate::http::context::Ctx;
use crate::http::guard;
use crate::service::environments::view;

/// `GET /llms.txt`. Credentials are told to those who may use the control API.
pub async fn show(request: HttpRequest, Ctx(context): Ctx) -> HttpResponse {
    let url = context.issuer();
    let may_control = guard::control(&request, &context).is_ok();
    let shown = view(&context.environment, &context.public_url, None);
    let credentials = match (may_control, shown.client_id, shown.client_secret) {
        (true, Some(id), Some(secret)) => {
            let public = context.environment.first_public_client().map_or_else(String::new, |client| {
                let id = &client.client_id;
                format!(
                    "SCALEKIT_SPA_CLIENT_ID={id} (public client: no secret, PKCE; for apps in a browser)\n"
                )
            });
            format!(
                "SCALEKIT_ENVIRONMENT_URL={url}\nSCALEKIT_CLIENT_ID={id}\nSCALEKIT_CLIENT_SECRET={secret}\n{public}"
            )
        }
        _ => format!("SCALEKIT_ENVIRONMENT_URL={url}\nid and secret: as configured on the server\n"),
    };
    let control = if context.runtime.server.control.is_off() {
        "It is switched off on this server.\n".to_owned()
    } else {
        format!(
            "\
- Description (OpenAPI 3.1): {url}/_emulator/v1/openapi.json
- Read the code of a sign-in: before it starts, GET {url}/_emulator/v1/messages?to=ADDRESS&page_size=1 (field `cursor`); after it, GET {url}/_emulator/v1/messages/latest?to=ADDRESS&since=CURSOR waits for its email (fields `code`, `link`). Without `since`, an email of an earlier sign-in counts
- Wait for what a webhook would tell: GET {url}/_emulator/v1/events?type=TYPE&since=CURSOR&wait_ms=10000 (field `events`)
- Have your application asked before sign-ups, sessions, invitations and machine tokens: POST {url}/_emulator/v1/interceptors
- Isolated environment for one test: POST {url}/_emulator/v1/environments with {{}}; use its `path_url`, `client_id`, `client_secret`
- Move time: PUT {url}/_emulator/v1/clock with {{\"advance_s\": 600}}
- Start clean: POST {url}/_emulator/v1/reset
- Break something: POST {url}/_emulator/v1/faults; without it, sign in with an address that contains +vb-expired, +vb-limited, +vb-mailfail, +vb-slow or +vb-denied
- What did the application ask for: GET {url}/_emulator/v1/requests?path=/oauth/token&since=CURSOR&wait_ms=10000 (fields `requests`, `cursor`, `not_emulated`; no secrets)
- Why did a sign-in fail: GET {url}/_emulator/v1/flows?email=ADDRESS, then /flows/ID
- Users, organizations, applications, sessions: Scalekit's REST API, without a client's token. {url}/_emulator/v1/api/users is /api/v1/users
- For people: {url}/dashboard
"
        )
    };
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!(
        "\
# Vestibule

> A self-hosted, passwordless OpenID Provider that stands in for Scalekit: its URL, client id and secret go where
> Scalekit's were, and nothing else changes. Sign-in is by a code or a link in a mail; there are no passwords.

## Start

`vestibule --ephemeral` serves http://localhost:6870 and keeps nothing; `--listen localhost:0 --ready-file ready.json`
takes a free port and writes URL and credentials there. `vestibule exec -- COMMAND` runs a command with a server of its own;
`vestibule env` prints the credentials of the server that runs; `vestibule mcp` offers the control API as tools (MCP).

## Credentials

{credentials}
## Endpoints

- Discovery: {url}/.well-known/openid-configuration
- Authorization: {url}/oauth/authorize
- Token: {url}/oauth/token
- User info: {url}/userinfo
- Keys: {url}/keys
- Logout: {url}/oidc/logout
- Headless passwordless: POST {url}/api/v1/passwordless/email/send, resend, verify
- What is emulated: {url}/compatibility

Loopback http callbacks need no registration in development. Addresses with `+sktest` sign in with the code 424242.

## Control API

{control}"
    ))
}
