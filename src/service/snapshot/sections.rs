//! The sections of a snapshot, and the rows that they come from. A column that is added to a table is one line here.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::api_token;
use crate::domain::authorization::AuthorizationRequest;
use crate::domain::clock::{TIMES_MS, parse_rfc3339, rfc3339};
use crate::domain::email::EmailAddress;
use crate::domain::fault::FaultRule;
use crate::domain::field_error::FieldError;
use crate::domain::headless::{Headless, MAX_EXPIRES_IN_S};
use crate::domain::interceptor::{self, FailurePolicy, TriggerPoint};
use crate::domain::membership::{MembershipStatus, ProvisioningMethod};
use crate::domain::metadata::Metadata;
use crate::domain::organization::{Features, Region};
use crate::domain::organization_client::{self, CustomClaim, MAX_SECRETS, OrganizationClientSecret};
use crate::domain::organization_domain::{DomainName, DomainType};
use crate::domain::permission;
use crate::domain::role;
use crate::domain::session::SessionEnd;
use crate::domain::settings::{Mode, PasswordlessType};
use crate::domain::user::ProfileDetails;
use crate::domain::webhook::{self, WebhookSecrets};
use crate::storage::{Tables, check_row, has_version};

pub(super) const MUST_BE_A_TIME: &str = "must be an RFC 3339 time from 1970 to 9999";

type Row = Map<String, Value>;

/// A list of objects, and the table whose rows they are.
struct Section {
    name: &'static str,
    table: &'static str,
    fields: &'static [Field],
}

/// A field of an object, and the column that it is kept in.
struct Field {
    name: &'static str,
    column: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// As it stands in the column.
    Plain,
    /// RFC 3339; milliseconds in the column.
    Time,
    /// A list of such times.
    Times,
    /// An object; text in the column.
    Json,
    /// The same, left out where it is empty.
    JsonOrEmpty,
    /// 0 or 1; left out where it is 0.
    Flag,
    /// A number, left out where it is 0.
    Count,
    /// Text, left out where it is this one.
    TextOr(&'static str),
}

const fn plain(name: &'static str) -> Field {
    Field { name, column: name, kind: Kind::Plain }
}

const fn time(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Time }
}

const fn times(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Times }
}

const fn json(name: &'static str, column: &'static str) -> Field {
    Field { name, column, kind: Kind::Json }
}

const SECTIONS: &[Section] = &[
    Section {
        name: "users",
        table: "users",
        fields: &[
            plain("id"),
            plain("email"),
            plain("name"),
            plain("given_name"),
            plain("family_name"),
            plain("picture"),
            plain("locale"),
            plain("external_id"),
            Field { name: "profile", column: "details_json", kind: Kind::JsonOrEmpty },
            Field { name: "metadata", column: "metadata_json", kind: Kind::JsonOrEmpty },
            time("email_verified_at", "email_verified_at_ms"),
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
            time("last_sign_in_at", "last_sign_in_at_ms"),
        ],
    },
    Section {
        name: "organizations",
        table: "organizations",
        fields: &[
            plain("id"),
            plain("display_name"),
            plain("external_id"),
            Field { name: "region_code", column: "region_code", kind: Kind::TextOr("US") },
            plain("slug"),
            plain("logo_url"),
            Field { name: "metadata", column: "metadata_json", kind: Kind::JsonOrEmpty },
            Field { name: "features", column: "features_json", kind: Kind::JsonOrEmpty },
            plain("max_allowed_users"),
            plain("absolute_session_timeout_min"),
            plain("idle_session_timeout_min"),
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section {
        name: "domains",
        table: "domains",
        fields: &[
            plain("id"),
            plain("organization_id"),
            plain("domain"),
            plain("domain_type"),
            time("created_at", "created_at_ms"),
        ],
    },
    Section {
        name: "organization_clients",
        table: "organization_clients",
        fields: &[
            plain("id"),
            plain("organization_id"),
            plain("name"),
            plain("description"),
            json("scopes", "scopes_json"),
            json("audience", "audience_json"),
            json("custom_claims", "custom_claims_json"),
            plain("expiry_s"),
            json("secrets", "secrets_json"),
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section {
        name: "memberships",
        table: "memberships",
        fields: &[
            plain("user_id"),
            plain("organization_id"),
            Field { name: "status", column: "status", kind: Kind::TextOr("ACTIVE") },
            Field {
                name: "provisioning_method",
                column: "provisioning_method",
                kind: Kind::TextOr("direct_provision"),
            },
            Field { name: "metadata", column: "metadata_json", kind: Kind::JsonOrEmpty },
            plain("invitation_digest"),
            time("expires_at", "expires_at_ms"),
            plain("inviter_email"),
            time("accepted_at", "accepted_at_ms"),
            Field { name: "resent_count", column: "resent_count", kind: Kind::Count },
            time("resent_at", "resent_at_ms"),
            time("created_at", "created_at_ms"),
        ],
    },
    Section {
        name: "membership_roles",
        table: "membership_roles",
        fields: &[plain("user_id"), plain("organization_id"), plain("role_id")],
    },
    Section {
        name: "api_tokens",
        table: "api_tokens",
        fields: &[
            plain("id"),
            plain("organization_id"),
            plain("user_id"),
            plain("description"),
            json("custom_claims", "custom_claims_json"),
            plain("digest"),
            plain("suffix"),
            time("created_at", "created_at_ms"),
            time("expires_at", "expires_at_ms"),
            time("invalidated_at", "invalidated_at_ms"),
        ],
    },
    Section {
        name: "permissions",
        table: "permissions",
        fields: &[
            plain("id"),
            plain("name"),
            Field { name: "description", column: "description", kind: Kind::TextOr("") },
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section {
        name: "roles",
        table: "roles",
        fields: &[
            plain("id"),
            plain("name"),
            plain("organization_id"),
            plain("display_name"),
            Field { name: "description", column: "description", kind: Kind::TextOr("") },
            Field { name: "default_creator", column: "is_default_creator", kind: Kind::Flag },
            Field { name: "default_member", column: "is_default_member", kind: Kind::Flag },
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section { name: "role_bases", table: "role_bases", fields: &[plain("role_id"), plain("base_role_id")] },
    Section {
        name: "role_permissions",
        table: "role_permissions",
        fields: &[plain("role_id"), plain("permission_id")],
    },
    Section {
        name: "organization_default_roles",
        table: "organization_default_roles",
        fields: &[plain("organization_id"), plain("role_id")],
    },
    Section {
        name: "auth_requests",
        table: "auth_requests",
        fields: &[
            plain("id"),
            plain("client_id"),
            plain("stage"),
            json("authorization", "authorization_json"),
            plain("browser_digest"),
            plain("issuer"),
            json("passwordless", "headless_json"),
            plain("email"),
            plain("passwordless_type"),
            plain("generation"),
            plain("code_length"),
            plain("static_code"),
            plain("link_digest"),
            time("sent_at", "sent_at_ms"),
            time("credentials_expire_at", "credentials_expire_at_ms"),
            times("attempts_at", "attempts_at_ms"),
            plain("last_guess_digest"),
            time("last_guess_at", "last_guess_at_ms"),
            time("created_at", "created_at_ms"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "pushed_authorization_requests",
        table: "pushed_requests",
        fields: &[
            plain("request_digest"),
            plain("client_id"),
            json("parameters", "parameters_json"),
            time("used_at", "used_at_ms"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "sessions",
        table: "sessions",
        fields: &[
            plain("id"),
            plain("user_id"),
            plain("organization_id"),
            plain("cookie_digest"),
            time("authenticated_at", "authenticated_at_ms"),
            time("last_active_at", "last_active_at_ms"),
            time("expires_at", "absolute_expires_at_ms"),
            plain("idle_timeout_s"),
            time("ended_at", "ended_at_ms"),
            plain("ended_by"),
            plain("user_agent"),
            plain("ip_address"),
            Field { name: "custom_claims", column: "custom_claims_json", kind: Kind::JsonOrEmpty },
            time("created_at", "created_at_ms"),
        ],
    },
    Section {
        name: "grants",
        table: "grants",
        fields: &[
            plain("id"),
            plain("session_id"),
            plain("client_id"),
            plain("organization_id"),
            plain("code_digest"),
            json("authorization", "authorization_json"),
            plain("issuer"),
            Field { name: "custom_claims", column: "custom_claims_json", kind: Kind::JsonOrEmpty },
            time("authenticated_at", "authenticated_at_ms"),
            time("code_expires_at", "code_expires_at_ms"),
            time("code_used_at", "code_used_at_ms"),
            plain("refresh_generation"),
            time("refresh_rotated_at", "refresh_rotated_at_ms"),
            time("refresh_expires_at", "refresh_expires_at_ms"),
            time("revoked_at", "revoked_at_ms"),
            time("created_at", "created_at_ms"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "revoked_tokens",
        table: "revoked_tokens",
        fields: &[plain("jti"), time("expires_at", "expires_at_ms")],
    },
    Section {
        name: "backchannel_logouts",
        table: "session_clients",
        fields: &[
            plain("session_id"),
            plain("client_id"),
            plain("issuer"),
            plain("subject"),
            time("notify_at", "notify_at_ms"),
            plain("attempts"),
            plain("outcome"),
            plain("last_answer"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "messages",
        table: "messages",
        fields: &[
            plain("id"),
            Field { name: "to", column: "to_address", kind: Kind::Plain },
            plain("subject"),
            Field { name: "text", column: "text_body", kind: Kind::Plain },
            Field { name: "html", column: "html_body", kind: Kind::Plain },
            plain("code"),
            plain("link"),
            plain("auth_request_id"),
            plain("kind"),
            plain("recipient_kind"),
            time("created_at", "created_at_ms"),
            plain("delivery_error"),
            Field { name: "from", column: "from_address", kind: Kind::Plain },
            plain("source_base64"),
            time("read_at", "read_at_ms"),
        ],
    },
    Section {
        name: "sent_emails",
        table: "mail_budgets",
        fields: &[
            Field { name: "to", column: "email_key", kind: Kind::Plain },
            times("sent_at", "sent_at_ms"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "failed_attempts",
        table: "failed_attempts",
        fields: &[
            Field { name: "email", column: "email_key", kind: Kind::Plain },
            times("failed_at", "failed_at_ms"),
            time("expires_at", "expires_at_ms"),
        ],
    },
    Section {
        name: "webhooks",
        table: "webhook_endpoints",
        fields: &[
            plain("id"),
            plain("url"),
            json("events", "events_json"),
            Field { name: "description", column: "description", kind: Kind::TextOr("") },
            Field { name: "enabled", column: "is_enabled", kind: Kind::Flag },
            // In the clear here, sealed in the database.
            json("secrets", "sealed_secrets"),
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section {
        name: "interceptors",
        table: "interceptors",
        fields: &[
            plain("id"),
            plain("display_name"),
            Field { name: "description", column: "description", kind: Kind::TextOr("") },
            plain("trigger_point"),
            plain("url"),
            plain("timeout_ms"),
            plain("failure_policy"),
            Field { name: "enabled", column: "is_enabled", kind: Kind::Flag },
            // In the clear here, sealed in the database.
            json("secrets", "sealed_secrets"),
            time("created_at", "created_at_ms"),
            time("updated_at", "updated_at_ms"),
        ],
    },
    Section {
        name: "faults",
        table: "fault_rules",
        fields: &[
            plain("id"),
            json("rule", "rule_json"),
            plain("matched"),
            plain("fired"),
            time("created_at", "created_at_ms"),
        ],
    },
];

/// The sections of these rows.
pub(super) fn write(tables: &Tables) -> Map<String, Value> {
    let sections = SECTIONS.iter().map(|section| {
        let rows = tables.get(section.table).into_iter().flatten();
        let mut objects: Vec<Row> = rows.map(|row| object_of(section, row)).collect();
        // The same state gives the same text on both databases.
        objects.sort_by_cached_key(|object| {
            let named =
                section.fields.iter().take(2).map(|field| object.get(field.name).map(Value::to_string));
            named.collect::<Vec<_>>()
        });
        (section.name.to_owned(), objects.into_iter().map(Value::Object).collect())
    });
    sections.collect()
}

/// Fields without a value are left out.
fn object_of(section: &Section, row: &Row) -> Row {
    let fields = section.fields.iter().filter_map(|field| {
        let value = field.kind.to_document(row.get(field.column)?);
        (!value.is_null()).then(|| (field.name.to_owned(), value))
    });
    fields.collect()
}

/// The rows of these sections. What is wrong goes to `errors`, what is not known to `ignored`.
pub(super) fn read(
    sections: &Map<String, Value>,
    errors: &mut Vec<FieldError>,
    ignored: &mut Vec<String>,
) -> Tables {
    let mut tables = Tables::new();
    for (name, value) in sections {
        let Some(section) = SECTIONS.iter().find(|section| section.name == name) else {
            ignored.push(name.clone());
            continue;
        };
        let Some(objects) = value.as_array() else {
            errors.push(FieldError::new(name, "must be a list"));
            continue;
        };
        let mut rows = vec![];
        for (index, object) in objects.iter().enumerate() {
            let place = format!("{name}[{index}]");
            match object.as_object() {
                Some(object) => rows.push(row_of(section, &place, object, errors, ignored)),
                None => errors.push(FieldError::new(place, "must be an object")),
            }
        }
        tables.insert(section.table.to_owned(), rows);
    }
    tables
}

fn row_of(
    section: &Section,
    place: &str,
    object: &Row,
    errors: &mut Vec<FieldError>,
    ignored: &mut Vec<String>,
) -> Row {
    let is_known = |name: &&String| section.fields.iter().any(|field| field.name == *name);
    ignored.extend(object.keys().filter(|name| !is_known(name)).map(|name| format!("{place}.{name}")));
    let mut row = Row::new();
    for field in section.fields {
        match field.kind.to_column(object.get(field.name).unwrap_or(&Value::Null)) {
            Ok(value) => {
                row.insert(field.column.to_owned(), value);
            }
            Err(reason) => {
                errors.push(FieldError::new(format!("{place}.{}", field.name), reason));
                return row;
            }
        }
    }
    complete(section.table, &mut row);
    let wrong = check_row(section.table, &row).err().or_else(|| check_texts(section.table, &row));
    if let Some((column, reason)) = wrong {
        let name = section.fields.iter().find(|f| f.column == column).map_or(column, |f| f.name);
        errors.push(FieldError::new(format!("{place}.{name}"), reason));
    }
    row
}

impl Kind {
    fn to_document(self, value: &Value) -> Value {
        // The years that follow 9999, in which something may end, have no RFC 3339 text.
        let shown = |ms: i64| rfc3339(ms.clamp(*TIMES_MS.start(), *TIMES_MS.end()));
        match (self, value) {
            (Self::Time, Value::Number(ms)) => ms.as_i64().map(shown).into(),
            (Self::Times, Value::String(list)) => {
                list.split(',').filter_map(|ms| ms.parse().ok()).map(shown).collect()
            }
            (Self::TextOr(usual), Value::String(text)) if text == usual => Value::Null,
            (Self::Count, value) if value == 0 => Value::Null,
            (Self::Flag, value) => {
                if value == 1 {
                    true.into()
                } else {
                    Value::Null
                }
            }
            (Self::JsonOrEmpty, Value::String(text)) if text == "{}" => Value::Null,
            (Self::Json | Self::JsonOrEmpty, Value::String(text)) => {
                serde_json::from_str(text).unwrap_or(Value::Null)
            }
            _ => value.clone(),
        }
    }

    fn to_column(self, value: &Value) -> Result<Value, &'static str> {
        let ms = |value: &Value| {
            let ms = value.as_str().and_then(parse_rfc3339).filter(|ms| TIMES_MS.contains(ms));
            ms.ok_or(MUST_BE_A_TIME)
        };
        Ok(match (self, value) {
            (Self::Times, Value::Null) => "".into(),
            (Self::Times, Value::Array(items)) => {
                let list = items.iter().map(|item| ms(item).map(|ms| ms.to_string()));
                list.collect::<Result<Vec<_>, _>>()?.join(",").into()
            }
            (Self::Times, _) => return Err("must be a list of RFC 3339 times"),
            (Self::TextOr(usual), Value::Null) => usual.into(),
            (Self::Flag | Self::Count, Value::Null) => 0.into(),
            (Self::Flag, Value::Bool(is_set)) => i64::from(*is_set).into(),
            (Self::Flag, _) => return Err("must be true or false"),
            (Self::JsonOrEmpty, Value::Null) => "{}".into(),
            (_, Value::Null) => Value::Null,
            (Self::Time, value) => ms(value)?.into(),
            (Self::Json | Self::JsonOrEmpty, value) => value.to_string().into(),
            (Self::Plain | Self::Count | Self::TextOr(_), value) => value.clone(),
        })
    }
}

/// Adds the columns that follow from others, or that say nothing beyond the database.
fn complete(table: &str, row: &mut Row) {
    let key_of = |column: &str| {
        EmailAddress::parse(text(row, column)).map(|email| email.key().to_owned()).unwrap_or_default()
    };
    let is_headless = row.get("authorization_json").is_none_or(Value::is_null);
    let derived = match table {
        "users" => Some(("email_key", key_of("email"))),
        "messages" => Some(("to_key", key_of("to_address"))),
        // One that was asked for by API.
        "auth_requests" if is_headless => Some(("authorization_json", String::new())),
        _ => None,
    };
    if let Some((column, value)) = derived {
        row.insert(column.to_owned(), value.into());
    }
    if has_version(table) {
        row.insert("version".to_owned(), 1.into());
    }
}

fn text<'r>(row: &'r Row, column: &str) -> &'r str {
    row.get(column).and_then(Value::as_str).unwrap_or_default()
}

/// A column with a text that this program could not read back, and why.
fn check_texts(table: &str, row: &Row) -> Option<(&'static str, String)> {
    let is_null = |column: &&str| row.get(*column).is_none_or(Value::is_null);
    let is_address = |column: &str| EmailAddress::parse(text(row, column)).is_ok();
    let checks: Vec<(&'static str, bool)> = match table {
        "users" => vec![
            ("email", is_address("email")),
            ("details_json", reads::<ProfileDetails>(text(row, "details_json"))),
            ("metadata_json", reads::<Metadata>(text(row, "metadata_json"))),
        ],
        "memberships" => {
            let status = MembershipStatus::parse(text(row, "status"));
            let is_pending = status == Some(MembershipStatus::PendingInvite);
            let has_link = !is_null(&"invitation_digest");
            vec![
                ("status", status.is_some()),
                (
                    "provisioning_method",
                    ProvisioningMethod::parse(text(row, "provisioning_method")).is_some(),
                ),
                ("metadata_json", reads::<Metadata>(text(row, "metadata_json"))),
                ("invitation_digest", has_link || !is_pending),
                ("expires_at_ms", has_link != is_null(&"expires_at_ms")),
            ]
        }
        "organizations" => vec![
            ("region_code", Region::parse(text(row, "region_code")).is_some()),
            ("metadata_json", reads::<Metadata>(text(row, "metadata_json"))),
            ("features_json", reads::<Features>(text(row, "features_json"))),
            (
                "idle_session_timeout_min",
                is_null(&"idle_session_timeout_min") || !is_null(&"absolute_session_timeout_min"),
            ),
        ],
        "domains" => vec![
            ("domain", is_compared_form(text(row, "domain"))),
            ("domain_type", DomainType::parse(text(row, "domain_type")).is_some()),
        ],
        "organization_clients" => check_organization_client(row),
        "api_tokens" => check_api_token(row),
        "permissions" => check_permission(row),
        "roles" => check_role(row),
        "webhook_endpoints" => check_webhook(row),
        "interceptors" => check_interceptor(row),
        "messages" => vec![("to_address", is_address("to_address"))],
        "sessions" => {
            let ended_by = (!is_null(&"ended_by")).then(|| SessionEnd::parse(text(row, "ended_by")));
            vec![
                ("ended_by", ended_by.is_none_or(|end| end.is_some())),
                ("ended_by", ended_by.is_none() == is_null(&"ended_at_ms")),
                ("custom_claims_json", reads::<Map<String, Value>>(text(row, "custom_claims_json"))),
            ]
        }
        "auth_requests" => {
            let sent = ["email", "passwordless_type", "generation", "sent_at_ms", "credentials_expire_at_ms"];
            let has_credentials = !sent.iter().any(is_null)
                && is_null(&"code_length") != is_null(&"static_code")
                && PasswordlessType::parse(text(row, "passwordless_type")).is_some();
            let stage = match text(row, "stage") {
                "awaiting_email" => sent.iter().all(is_null),
                "awaiting_proof" | "awaiting_organization" | "completed" | "dead" => has_credentials,
                _ => false,
            };
            let is_headless = !is_null(&"headless_json");
            let headless = || {
                let headless: Option<Headless> = serde_json::from_str(text(row, "headless_json")).ok();
                let is_possible = |s| (0..=i64::from(MAX_EXPIRES_IN_S)).contains(&s);
                headless.is_some_and(|h| h.expires_in_s.is_none_or(is_possible))
            };
            vec![
                ("stage", stage),
                ("email", is_null(&"email") || is_address("email")),
                ("headless_json", !is_headless || headless()),
                (
                    "authorization_json",
                    is_headless || reads::<AuthorizationRequest>(text(row, "authorization_json")),
                ),
            ]
        }
        "grants" => vec![
            ("authorization_json", reads::<AuthorizationRequest>(text(row, "authorization_json"))),
            ("custom_claims_json", reads::<Map<String, Value>>(text(row, "custom_claims_json"))),
        ],
        "pushed_requests" => {
            vec![("parameters_json", reads::<Vec<(String, String)>>(text(row, "parameters_json")))]
        }
        "fault_rules" => {
            let rule = crate::domain::json::from_stored::<FaultRule>(text(row, "rule_json"));
            vec![("rule_json", rule.is_ok_and(|rule| rule.check().is_ok()))]
        }
        _ => vec![],
    };
    let (column, _) = checks.into_iter().find(|(_, is_good)| !is_good)?;
    Some((column, "cannot be read".to_owned()))
}

/// Is it a domain as it is compared?
fn is_compared_form(domain: &str) -> bool {
    DomainName::parse(domain).is_some_and(|name| name.as_str() == domain)
}

fn check_organization_client(row: &Row) -> Vec<(&'static str, bool)> {
    let secrets: Result<Vec<OrganizationClientSecret>, _> = serde_json::from_str(text(row, "secrets_json"));
    vec![
        ("id", text(row, "id").starts_with(organization_client::ID_PREFIX)),
        ("scopes_json", reads::<Vec<String>>(text(row, "scopes_json"))),
        ("audience_json", reads::<Vec<String>>(text(row, "audience_json"))),
        ("custom_claims_json", reads::<Vec<CustomClaim>>(text(row, "custom_claims_json"))),
        ("secrets_json", secrets.is_ok_and(|s| (1..=MAX_SECRETS).contains(&s.len()))),
    ]
}

fn check_api_token(row: &Row) -> Vec<(&'static str, bool)> {
    let id = text(row, "id");
    vec![
        ("id", api_token::token_id(id).as_deref() == Some(id)),
        ("custom_claims_json", reads::<BTreeMap<String, String>>(text(row, "custom_claims_json"))),
    ]
}

fn check_permission(row: &Row) -> Vec<(&'static str, bool)> {
    let name = text(row, "name");
    vec![
        ("name", permission::is_scalekit(name) || permission::bad_name(name).is_none()),
        ("description", permission::bad_description(text(row, "description")).is_none()),
    ]
}

fn check_role(row: &Row) -> Vec<(&'static str, bool)> {
    vec![
        ("name", role::bad_name(text(row, "name")).is_none()),
        ("display_name", role::bad_display_name(text(row, "display_name")).is_none()),
        ("description", permission::bad_description(text(row, "description")).is_none()),
    ]
}

fn check_webhook(row: &Row) -> Vec<(&'static str, bool)> {
    let names: Result<Vec<String>, _> = serde_json::from_str(text(row, "events_json"));
    vec![
        // Whether it is good in production mode is seen when something is sent.
        ("url", webhook::check_url(text(row, "url"), Mode::Development).is_ok()),
        ("events_json", names.is_ok_and(|names| webhook::parse_events(&names).is_ok())),
        ("description", webhook::bad_description(text(row, "description")).is_none()),
        ("sealed_secrets", reads::<WebhookSecrets>(text(row, "sealed_secrets"))),
    ]
}

fn check_interceptor(row: &Row) -> Vec<(&'static str, bool)> {
    let timeout_ms = row.get("timeout_ms").and_then(Value::as_i64);
    vec![
        ("display_name", interceptor::bad_display_name(text(row, "display_name")).is_none()),
        ("description", interceptor::bad_description(text(row, "description")).is_none()),
        ("trigger_point", TriggerPoint::parse(text(row, "trigger_point")).is_some()),
        ("failure_policy", FailurePolicy::parse(text(row, "failure_policy")).is_some()),
        ("timeout_ms", timeout_ms.is_some_and(|ms| interceptor::TIMEOUT_MS.contains(&ms))),
        // Whether it is good in production mode is seen when it is called.
        ("url", webhook::check_url(text(row, "url"), Mode::Development).is_ok()),
        ("sealed_secrets", reads::<WebhookSecrets>(text(row, "sealed_secrets"))),
    ]
}

fn reads<T: DeserializeOwned>(text: &str) -> bool {
    serde_json::from_str::<T>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_one(section: &str, object: &Value) -> (Vec<String>, Vec<String>) {
        let (mut errors, mut ignored) = (vec![], vec![]);
        let document = json!({ section: [object] });
        read(document.as_object().unwrap(), &mut errors, &mut ignored);
        (errors.into_iter().map(|e| e.field).collect(), ignored)
    }

    #[test]
    fn every_table_of_snapshots_has_a_section_with_all_of_its_columns() {
        for (table, columns) in crate::storage::snapshot_tables() {
            let section = SECTIONS.iter().find(|s| s.table == table).unwrap_or_else(|| panic!("{table}"));
            let mut row = Row::new();
            complete(table, &mut row);
            for column in columns {
                let is_written =
                    section.fields.iter().any(|f| f.column == column) || row.contains_key(column);
                assert!(is_written, "{table}.{column} is not in snapshots");
            }
        }
    }

    #[test]
    fn fields_that_are_not_known_are_ignored_and_named() {
        let token = json!({ "jti": "t", "expires_at": "2030-01-01T00:00:00Z", "of_tomorrow": {} });
        assert_eq!(
            read_one("revoked_tokens", &token),
            (vec![], vec!["revoked_tokens[0].of_tomorrow".to_owned()])
        );
        assert_eq!(read_one("passkeys", &json!({})), (vec![], vec!["passkeys".to_owned()]));
    }

    #[test]
    fn what_cannot_be_is_named_by_its_field() {
        for (section, object, field) in [
            ("revoked_tokens", json!({ "expires_at": "2030-01-01T00:00:00Z" }), "revoked_tokens[0].jti"),
            ("revoked_tokens", json!({ "jti": "t", "expires_at": 1 }), "revoked_tokens[0].expires_at"),
            (
                "revoked_tokens",
                json!({ "jti": "t", "expires_at": "1969-01-01T00:00:00Z" }),
                "revoked_tokens[0].expires_at",
            ),
            ("revoked_tokens", json!(1), "revoked_tokens[0]"),
            (
                "sent_emails",
                json!({ "to": "a@b.io", "sent_at": ["soon"], "expires_at": "2030-01-01T00:00:00Z" }),
                "sent_emails[0].sent_at",
            ),
            ("memberships", json!({ "user_id": "usr_1" }), "memberships[0].organization_id"),
            (
                "webhooks",
                json!({ "id": "whe_1", "url": "http://a.io/", "events": [], "secrets": [{ "secret": "whsec_x" }],
                    "created_at": "2030-01-01T00:00:00Z", "updated_at": "2030-01-01T00:00:00Z" }),
                "webhooks[0].secrets",
            ),
        ] {
            assert_eq!(read_one(section, &object).0, [field]);
        }
    }
}
