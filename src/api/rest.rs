//! Scalekit's REST API, made of its gRPC services: path, query and JSON become the message of a method as
//! `google.api.http` says, the service is called in this process, and its message becomes JSON.
//!
//! Names come in snake_case or lowerCamelCase and go in snake_case, 64-bit numbers are texts, enums come by name or number
//! and go by name, what is not known is ignored.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use futures_util::StreamExt as _;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};

use super::rest_fields::{self, drop_unknown};
use super::services::{admit, admit_operator};
use crate::domain::api_error::{ApiError, ApiErrorCode, FieldViolation};
use crate::domain::request_journal::filled_path;
use crate::domain::scalekit_api::{Binding, RestRoute, by_rest};
use crate::http::api_error;
use crate::http::context::Ctx;
use crate::http::errors::Problem;
use crate::http::params::MAX_FORM_BYTES;
use crate::runtime::{Context, current_request};
use crate::service::api::{ApiRefusal, REST_PREFIX};

/// The descriptors of `proto/`. They take some MiB, so a server that nobody asks by REST does without.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let set: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/api.bin"));
    DescriptorPool::decode(set).unwrap_or_else(|error| {
        tracing::error!(%error, "the API's descriptors cannot be read");
        DescriptorPool::new()
    })
});

/// The descriptors of the API.
pub fn descriptors() -> &'static DescriptorPool {
    &POOL
}

/// Where the control API serves this API.
pub const OPERATOR_PREFIX: &str = "/_emulator/v1/api/";

/// The template of the path that was asked for, in the request's extensions, for telemetry.
#[derive(Debug, Clone, Copy)]
pub struct PathTemplate(pub &'static str);

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// Whoever has a client's token.
    ByToken,
    /// Whoever may use the control API, which was asked before.
    Operator,
}

/// Every path of Scalekit's REST API.
pub async fn call(request: HttpRequest, context: Result<Ctx, Problem>, body: web::Payload) -> HttpResponse {
    let context = match context {
        Ok(Ctx(context)) => context,
        Err(starting) => return starting.json(),
    };
    answer(&request, &context, request.uri().path(), Admission::ByToken, body).await
}

/// The same API below [`OPERATOR_PREFIX`], for those who may use the control API: no client's token is asked for.
pub async fn call_by_operator(request: HttpRequest, context: Context, body: web::Payload) -> HttpResponse {
    let path = request.uri().path().strip_prefix(OPERATOR_PREFIX).unwrap_or_default();
    answer(&request, &context, &format!("{REST_PREFIX}{path}"), Admission::Operator, body).await
}

async fn answer(
    request: &HttpRequest,
    context: &Context,
    path: &str,
    admission: Admission,
    body: web::Payload,
) -> HttpResponse {
    let verb = request.method().as_str();
    let (method, binding, fields) = match by_rest(verb, path) {
        RestRoute::Found { method, binding, fields } => (method, binding, fields),
        RestRoute::OtherVerbs(verbs) => return not_allowed(verb, &verbs),
        RestRoute::Unknown => {
            let text = format!("not found: Scalekit's API has no {verb} {path}");
            return api_error::response(&ApiError::new(ApiErrorCode::UnknownMethod, text));
        }
    };
    current_request::note(|notes| {
        notes.route = Some(binding.path.to_owned());
        notes.path = Some(filled_path(binding.path, &fields));
    });
    if method.is_emulated && admission == Admission::ByToken {
        request.extensions_mut().insert(PathTemplate(binding.path));
    }
    let answer = async {
        let admitted = match admission {
            Admission::Operator => admit_operator(context, method),
            Admission::ByToken => {
                let lines = request.headers().get_all(header::AUTHORIZATION);
                admit(context, method, lines.filter_map(|line| line.to_str().ok())).await
            }
        };
        let admitted = admitted.map_err(ApiRefusal::into_error)?;
        let (input, output) = (message(method.input)?, message(method.output)?);
        let body = if binding.body.is_empty() { vec![] } else { read(body).await? };
        let call = bind(input, binding, &fields, request.query_string(), &body)?;
        let bytes = admitted.call_with(context, &call.encode_to_vec()).await?;
        let said = DynamicMessage::decode(output, bytes).map_err(|error| broken(&error))?;
        to_json(&said)
    };
    match answer.await {
        Ok(json) => {
            let status = StatusCode::from_u16(method.success_status).unwrap_or(StatusCode::OK);
            HttpResponse::build(status)
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .content_type("application/json")
                .body(json)
        }
        Err(refused) => api_error::response(&refused),
    }
}

fn message(name: &str) -> Result<MessageDescriptor, ApiError> {
    POOL.get_message_by_name(name).ok_or_else(|| broken(&format!("{name} is not described")))
}

fn broken(error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "a REST call failed");
    ApiError::new(ApiErrorCode::Internal, "something went wrong; the server's log says what")
}

async fn read(mut payload: web::Payload) -> Result<Vec<u8>, ApiError> {
    let mut body = vec![];
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| {
            ApiError::new(ApiErrorCode::InvalidArgument, "invalid request: the body did not arrive whole")
        })?;
        if body.len() + chunk.len() > MAX_FORM_BYTES {
            let text = "invalid request: the body is larger than 64 KiB";
            return Err(ApiError::new(ApiErrorCode::RequestTooLarge, text));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The message of a call. What stands in the path outranks the query.
fn bind(
    input: MessageDescriptor,
    binding: &Binding,
    fields: &[(&'static str, Option<String>)],
    query: &str,
    body: &[u8],
) -> Result<DynamicMessage, ApiError> {
    let mut message = match (binding.body, body) {
        ("", _) | (_, []) => DynamicMessage::new(input),
        ("*", body) => from_json(input, parse(body)?)?,
        (field, body) => from_json(input, json!({ field: parse(body)? }))?,
    };
    let mut found = vec![];
    if binding.body != "*" {
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let is_elsewhere = |field: &str| name.split('.').next() == Some(field);
            if !is_elsewhere(binding.body) {
                found.extend(rest_fields::set(&mut message, &name, &value).err());
            }
        }
    }
    for (name, value) in fields {
        match value {
            Some(value) => found.extend(rest_fields::set_one(&mut message, name, value).err()),
            None => {
                found.push(FieldViolation::new(*name, "utf8", format!("{name} is invalid: it is no UTF-8")));
            }
        }
    }
    if found.is_empty() { Ok(message) } else { Err(ApiError::invalid(found)) }
}

fn parse(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).map_err(|error| {
        let text = format!("invalid request: the body is no such JSON: {error}");
        ApiError::new(ApiErrorCode::InvalidArgument, text)
    })
}

fn from_json(input: MessageDescriptor, mut json: Value) -> Result<DynamicMessage, ApiError> {
    drop_unknown(&mut json, &Kind::Message(input.clone()));
    let mut track = serde_path_to_error::Track::new();
    let json = serde_path_to_error::Deserializer::new(json, &mut track);
    DynamicMessage::deserialize(input, json).map_err(|error| {
        let text = format!("invalid request: the body is no such JSON: {error}");
        // The body itself has no name.
        let field = Some(track.path().to_string()).filter(|field| field != ".");
        let violation = field.map(|field| {
            let text = format!("{field} is invalid: {error}");
            FieldViolation::new(field, "type", text)
        });
        let violations = violation.into_iter().collect();
        ApiError { violations, ..ApiError::new(ApiErrorCode::InvalidArgument, text) }
    })
}

fn to_json(message: &DynamicMessage) -> Result<Vec<u8>, ApiError> {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    let mut json = serde_json::Serializer::new(vec![]);
    message.serialize_with_options(&mut json, &options).map_err(|error| broken(&error))?;
    Ok(json.into_inner())
}

/// 405, with the verbs that the path has (RFC 9110 §15.5.6).
fn not_allowed(verb: &str, verbs: &[&str]) -> HttpResponse {
    let mut allowed = verbs.join(", ");
    if verbs.contains(&"GET") {
        allowed.push_str(", HEAD");
    }
    let text = format!("{verb} is not allowed here: use {allowed}");
    let mut response = api_error::response(&ApiError::new(ApiErrorCode::MethodNotAllowed, text));
    if let Ok(allowed) = header::HeaderValue::from_str(&allowed) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(verb: &str, path: &str, query: &str, body: &str) -> Result<Value, ApiError> {
        let RestRoute::Found { method, binding, fields } = by_rest(verb, path) else {
            panic!("{path} is unknown")
        };
        let message = bind(message(method.input)?, binding, &fields, query, body.as_bytes())?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        Ok(message.serialize_with_options(serde_json::value::Serializer, &options).unwrap())
    }

    #[test]
    fn every_message_of_every_method_is_described() {
        for method in crate::domain::scalekit_api::methods().iter().filter(|method| !method.input.is_empty())
        {
            assert!(message(method.input).is_ok() && message(method.output).is_ok(), "{}", method.path());
        }
    }

    #[test]
    fn a_query_names_fields_inside_of_others_and_lists_by_repetition() {
        let query = "filter.status=ACTIVE&filter.status=EXPIRED&filter.startTime=2026-01-02T03:04:05Z&page_size=5\
            &unknown=1&filter.unknown=2&page_token=";
        let message = bound("GET", "/api/v1/users/usr_1/sessions", query, "").unwrap();
        assert_eq!(
            message,
            json!({
                "user_id": "usr_1",
                "page_size": 5,
                "filter": { "status": ["ACTIVE", "EXPIRED"], "start_time": "2026-01-02T03:04:05Z" },
            })
        );
        let message = bound(
            "POST",
            "/api/v1/memberships/organizations/org_1/users:external/a%2Fb",
            "send_invitation_email=false",
            r#"{"roles":[{"name":"admin"}]}"#,
        );
        assert_eq!(
            message.unwrap(),
            json!({
                "organization_id": "org_1",
                "external_id": "a/b",
                "send_invitation_email": false,
                "membership": { "roles": [{ "name": "admin" }] },
            })
        );
    }

    #[test]
    fn what_stands_in_the_path_outranks_query_and_body() {
        let message = bound("GET", "/api/v1/users/usr_1", "id=usr_2", "").unwrap();
        assert_eq!(message, json!({ "id": "usr_1" }));
        let body = r#"{"id":"usr_2","organizationId":"org_2"}"#;
        let message =
            bound("PATCH", "/api/v1/invites/organizations/org_1/users/usr_1/resend", "", body).unwrap();
        assert_eq!(message, json!({ "id": "usr_1", "organization_id": "org_1" }));
    }

    #[test]
    fn a_body_may_be_a_list_and_may_be_missing() {
        let path = "/api/v1/organizations/org_1/users/usr_1/roles";
        let message = bound("POST", path, "", r#"[{"role_name":"admin"}]"#).unwrap();
        assert_eq!(message["roles"], json!([{ "role_name": "admin" }]));
        assert_eq!(bound("PATCH", "/api/v1/users/usr_1", "", "").unwrap(), json!({ "id": "usr_1" }));
        let empty = bound("PATCH", "/api/v1/users/usr_1", "", "{}").unwrap();
        assert_eq!(empty, json!({ "id": "usr_1", "user": {} }));
    }

    #[test]
    fn values_of_a_wrong_kind_are_named() {
        for (verb, path, query, body, field) in [
            ("GET", "/api/v1/users", "page_size=many", "", "page_size"),
            ("GET", "/api/v1/users", "page_size=-1", "", "page_size"),
            ("GET", "/api/v1/users/usr_1/sessions", "filter.end_time=soon", "", "filter.end_time"),
            ("GET", "/api/v1/users/usr_1/sessions", "filter=1", "", "filter"),
            ("PATCH", "/api/v1/users/usr_1", "", r#"{"user_profile":{"name":1}}"#, "user.user_profile.name"),
            (
                "POST",
                "/api/v1/organizations/org_1/domains",
                "",
                r#"{"domain_type":"WIDE"}"#,
                "domain.domain_type",
            ),
            ("GET", "/api/v1/users/%ff", "", "", "id"),
        ] {
            let refused = bound(verb, path, query, body).unwrap_err();
            assert_eq!(refused.code, ApiErrorCode::InvalidArgument, "{path}?{query}");
            assert_eq!(refused.violations[0].field, field, "{path}?{query}");
        }
        for body in ["{", "[]", "7"] {
            assert!(bound("PATCH", "/api/v1/users/usr_1", "", body).is_err(), "{body}");
        }
    }

    #[test]
    fn wrapped_values_and_maps_are_plain_in_json() {
        let body = r#"{"settings":{"maxAllowedUsers":5,"x":{}}}"#;
        let path = "/api/v1/organizations/org_1/settings/usermanagement";
        let message = bound("PATCH", path, "", body).unwrap();
        assert_eq!(message["settings"], json!({ "max_allowed_users": 5 }));
        let message = bound("PATCH", "/api/v1/users/usr_1", "", r#"{"metadata":{"anyName":"v"}}"#).unwrap();
        assert_eq!(message["user"]["metadata"], json!({ "anyName": "v" }));
    }
}
