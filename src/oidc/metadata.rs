//! What the provider says about itself: discovery and keys.

use actix_web::HttpResponse;
use actix_web::http::header;
use serde_json::json;

use crate::domain::authorization::SUPPORTED_SCOPES;
use crate::domain::language::Language;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::http::context::Ctx;

/// `GET /keys`: the JSON Web Key Set (RFC 7517 §5).
pub async fn keys(Ctx(context): Ctx) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "public, max-age=10"))
        .json(context.runtime.keys.current().jwks())
}

/// `GET /.well-known/openid-configuration` (OpenID Connect Discovery 1.0 §3) and
/// `/.well-known/oauth-authorization-server` (RFC 8414 §2): only what is true.
pub async fn discovery(Ctx(context): Ctx) -> HttpResponse {
    let at = |path| context.public_url.join(path);
    let secrets = ["client_secret_post", "client_secret_basic"];
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "public, max-age=10")).json(json!({
        "issuer": context.issuer(),
        "authorization_endpoint": at("/oauth/authorize"),
        "pushed_authorization_request_endpoint": at("/oauth/par"),
        "require_pushed_authorization_requests": false,
        "token_endpoint": at("/oauth/token"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/keys"),
        "end_session_endpoint": at("/oidc/logout"),
        "introspection_endpoint": at("/oauth/introspect"),
        "revocation_endpoint": at("/revoke"),
        "scopes_supported": SUPPORTED_SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": SigningAlgorithm::ALL.map(SigningAlgorithm::as_str),
        "token_endpoint_auth_methods_supported": [secrets[0], secrets[1], "none"],
        "introspection_endpoint_auth_methods_supported": secrets,
        "revocation_endpoint_auth_methods_supported": [secrets[0], secrets[1], "none"],
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "create", "select_account"],
        "claims_supported": [
            "sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "c_hash", "sid",
            "client_id", "email", "email_verified", "name", "given_name", "family_name", "picture", "locale",
            "oid", "xoid"
        ],
        "claims_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "ui_locales_supported": Language::ALL.map(Language::tag),
        "display_values_supported": ["page"],
    }))
}
