//! The whole state of an environment at once: reset to its seed, snapshot, restore.
//!
//! What a reset goes back to is kept as rows of a second environment id, so that one statement copies them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use sqlx::Row as _;

use super::environment_record::{template_id, write_record};
use super::{ClientChanges, EnvironmentRecord, Store, StoreError, clients, roles, sql};
use crate::domain::clock::{TIMES_MS, UnixMs};

/// How a column's values look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    Text,
    OptionalText,
    Integer,
    OptionalInteger,
}

/// A table of an environment's rows. Its `environment_id` is not among the columns.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Column)],
    select: &'static str,
    insert: &'static str,
    delete: &'static str,
    /// Do snapshots carry it? Keys and secrets go by another way, since they may be encrypted.
    is_in_snapshots: bool,
}

macro_rules! count {
    () => { "" };
    ($first:literal $(, $rest:literal)*) => { concat!(", $", $first, count!($($rest),*)) };
}

macro_rules! table {
    ($name:literal, $snapshot:literal, [$(($number:literal, $column:literal, $kind:ident)),+ $(,)?]) => {
        Table {
            name: $name,
            columns: &[$(($column, Column::$kind)),+],
            select: concat!("SELECT ", "environment_id", $(", ", $column),+, " FROM ", $name, " WHERE environment_id = $1"),
            insert: concat!("INSERT INTO ", $name, " (environment_id", $(", ", $column),+, ") VALUES ($1", count!($($number),+), ")"),
            delete: concat!("DELETE FROM ", $name, " WHERE environment_id = $1"),
            is_in_snapshots: $snapshot,
        }
    };
}

/// Every table that belongs to an environment but its own row, clients, secrets and keys; each behind those it refers to.
pub static TABLES: &[Table] = &[
    table!(
        "users",
        true,
        [
            (2, "id", Text),
            (3, "email", Text),
            (4, "email_key", Text),
            (5, "name", OptionalText),
            (6, "given_name", OptionalText),
            (7, "family_name", OptionalText),
            (8, "picture", OptionalText),
            (9, "locale", OptionalText),
            (10, "external_id", OptionalText),
            (11, "created_at_ms", Integer),
            (12, "updated_at_ms", Integer),
            (13, "last_sign_in_at_ms", OptionalInteger),
            (14, "version", Integer),
            (15, "details_json", Text),
            (16, "metadata_json", Text),
            (17, "email_verified_at_ms", OptionalInteger),
        ]
    ),
    table!(
        "organizations",
        true,
        [
            (2, "id", Text),
            (3, "display_name", Text),
            (4, "external_id", OptionalText),
            (5, "created_at_ms", Integer),
            (6, "updated_at_ms", Integer),
            (7, "version", Integer),
            (8, "region_code", Text),
            (9, "slug", OptionalText),
            (10, "logo_url", OptionalText),
            (11, "metadata_json", Text),
            (12, "features_json", Text),
            (13, "max_allowed_users", OptionalInteger),
            (14, "absolute_session_timeout_min", OptionalInteger),
            (15, "idle_session_timeout_min", OptionalInteger),
        ]
    ),
    table!(
        "domains",
        true,
        [
            (2, "id", Text),
            (3, "organization_id", Text),
            (4, "domain", Text),
            (5, "domain_type", Text),
            (6, "created_at_ms", Integer),
        ]
    ),
    table!(
        "organization_clients",
        true,
        [
            (2, "id", Text),
            (3, "organization_id", Text),
            (4, "version", Integer),
            (5, "name", Text),
            (6, "description", Text),
            (7, "scopes_json", Text),
            (8, "audience_json", Text),
            (9, "custom_claims_json", Text),
            (10, "expiry_s", Integer),
            (11, "secrets_json", Text),
            (12, "created_at_ms", Integer),
            (13, "updated_at_ms", Integer),
        ]
    ),
    // Good for a minute.
    table!("portal_links", false, [(2, "id", Text)]),
    table!(
        "permissions",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "name", Text),
            (5, "description", Text),
            (6, "created_at_ms", Integer),
            (7, "updated_at_ms", Integer),
        ]
    ),
    table!(
        "roles",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "name", Text),
            (5, "display_name", Text),
            (6, "is_default_creator", Integer),
            (7, "is_default_member", Integer),
            (8, "created_at_ms", Integer),
            (9, "updated_at_ms", Integer),
            (10, "organization_id", OptionalText),
            (11, "description", Text),
        ]
    ),
    table!("role_bases", true, [(2, "role_id", Text), (3, "base_role_id", Text)]),
    table!("role_permissions", true, [(2, "role_id", Text), (3, "permission_id", Text)]),
    table!("organization_default_roles", true, [(2, "organization_id", Text), (3, "role_id", Text)]),
    table!(
        "memberships",
        true,
        [
            (2, "organization_id", Text),
            (3, "user_id", Text),
            (4, "created_at_ms", Integer),
            (5, "version", Integer),
            (6, "status", Text),
            (7, "provisioning_method", Text),
            (8, "metadata_json", Text),
            (9, "invitation_digest", OptionalText),
            (10, "expires_at_ms", OptionalInteger),
            (11, "inviter_email", OptionalText),
            (12, "accepted_at_ms", OptionalInteger),
            (13, "resent_count", Integer),
            (14, "resent_at_ms", OptionalInteger),
        ]
    ),
    table!(
        "membership_roles",
        true,
        [(2, "organization_id", Text), (3, "user_id", Text), (4, "role_id", Text),]
    ),
    table!(
        "api_tokens",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "organization_id", Text),
            (5, "user_id", OptionalText),
            (6, "description", OptionalText),
            (7, "custom_claims_json", Text),
            (8, "digest", Text),
            (9, "suffix", Text),
            (10, "created_at_ms", Integer),
            (11, "expires_at_ms", OptionalInteger),
            (12, "invalidated_at_ms", OptionalInteger),
        ]
    ),
    table!(
        "auth_requests",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "stage", Text),
            (5, "authorization_json", Text),
            (6, "browser_digest", Text),
            (7, "issuer", Text),
            (8, "email", OptionalText),
            (9, "passwordless_type", OptionalText),
            (10, "generation", OptionalInteger),
            (11, "link_digest", OptionalText),
            (12, "credentials_expire_at_ms", OptionalInteger),
            (13, "attempts_at_ms", Text),
            (14, "created_at_ms", Integer),
            (15, "expires_at_ms", Integer),
            (16, "headless_json", OptionalText),
            (17, "last_guess_digest", OptionalText),
            (18, "last_guess_at_ms", OptionalInteger),
            (19, "code_length", OptionalInteger),
            (20, "static_code", OptionalText),
            (21, "sent_at_ms", OptionalInteger),
            (22, "client_id", Text),
        ]
    ),
    table!(
        "mail_budgets",
        true,
        [
            (2, "email_key", Text),
            (3, "version", Integer),
            (4, "sent_at_ms", Text),
            (5, "expires_at_ms", Integer),
        ]
    ),
    table!(
        "failed_attempts",
        true,
        [
            (2, "email_key", Text),
            (3, "version", Integer),
            (4, "failed_at_ms", Text),
            (5, "expires_at_ms", Integer),
        ]
    ),
    table!(
        "messages",
        true,
        [
            (2, "id", Text),
            (3, "to_address", Text),
            (4, "to_key", Text),
            (5, "subject", Text),
            (6, "text_body", Text),
            (7, "html_body", Text),
            (8, "code", OptionalText),
            (9, "link", OptionalText),
            (10, "auth_request_id", Text),
            (11, "kind", Text),
            (12, "recipient_kind", Text),
            (13, "created_at_ms", Integer),
            (14, "delivery_error", OptionalText),
            (15, "from_address", OptionalText),
            (16, "source_base64", OptionalText),
            (17, "read_at_ms", OptionalInteger),
        ]
    ),
    // What is sealed goes nowhere: it opens with the server secret that is replaced.
    table!("outbox", false, [(2, "id", Text)]),
    table!(
        "sessions",
        true,
        [
            (2, "id", Text),
            (3, "user_id", Text),
            (4, "cookie_digest", Text),
            (5, "authenticated_at_ms", Integer),
            (6, "last_active_at_ms", Integer),
            (7, "absolute_expires_at_ms", Integer),
            (8, "ended_at_ms", OptionalInteger),
            (9, "created_at_ms", Integer),
            (10, "ended_by", OptionalText),
            (11, "user_agent", OptionalText),
            (12, "ip_address", OptionalText),
            (13, "organization_id", OptionalText),
            (14, "idle_timeout_s", OptionalInteger),
            (15, "custom_claims_json", Text),
        ]
    ),
    table!(
        "grants",
        true,
        [
            (2, "id", Text),
            (3, "code_digest", Text),
            (4, "authorization_json", Text),
            (5, "session_id", Text),
            (6, "issuer", Text),
            (7, "authenticated_at_ms", Integer),
            (8, "code_expires_at_ms", Integer),
            (9, "code_used_at_ms", OptionalInteger),
            (10, "refresh_generation", OptionalInteger),
            (11, "refresh_rotated_at_ms", Integer),
            (12, "refresh_expires_at_ms", Integer),
            (13, "revoked_at_ms", OptionalInteger),
            (14, "created_at_ms", Integer),
            (15, "expires_at_ms", Integer),
            (16, "client_id", Text),
            (17, "organization_id", OptionalText),
            (18, "custom_claims_json", Text),
        ]
    ),
    table!(
        "session_clients",
        true,
        [
            (2, "session_id", Text),
            (3, "client_id", Text),
            (4, "issuer", Text),
            (5, "subject", Text),
            (6, "notify_at_ms", OptionalInteger),
            (7, "attempts", Integer),
            (8, "outcome", OptionalText),
            (9, "last_answer", OptionalText),
            (10, "expires_at_ms", Integer),
        ]
    ),
    table!(
        "pushed_requests",
        true,
        [
            (2, "request_digest", Text),
            (3, "client_id", Text),
            (4, "parameters_json", Text),
            (5, "used_at_ms", OptionalInteger),
            (6, "expires_at_ms", Integer),
        ]
    ),
    table!("revoked_tokens", true, [(2, "jti", Text), (3, "expires_at_ms", Integer)]),
    table!(
        "fault_rules",
        true,
        [
            (2, "id", Text),
            (3, "rule_json", Text),
            (4, "matched", Integer),
            (5, "fired", Integer),
            (6, "created_at_ms", Integer),
        ]
    ),
    table!("events", false, [(2, "id", Text)]),
    table!(
        "webhook_endpoints",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "url", Text),
            (5, "events_json", Text),
            (6, "description", Text),
            (7, "is_enabled", Integer),
            (8, "sealed_secrets", Text),
            (9, "created_at_ms", Integer),
            (10, "updated_at_ms", Integer),
        ]
    ),
    table!(
        "interceptors",
        true,
        [
            (2, "id", Text),
            (3, "version", Integer),
            (4, "display_name", Text),
            (5, "description", Text),
            (6, "trigger_point", Text),
            (7, "url", Text),
            (8, "timeout_ms", Integer),
            (9, "failure_policy", Text),
            (10, "is_enabled", Integer),
            (11, "sealed_secrets", Text),
            (12, "created_at_ms", Integer),
            (13, "updated_at_ms", Integer),
        ]
    ),
    table!("interceptor_calls", false, [(2, "id", Text)]),
    // They are as much of their time as events.
    table!("webhook_deliveries", false, [(2, "endpoint_id", Text), (3, "event_id", Text)]),
    table!(
        "flow_steps",
        false,
        [(2, "flow_id", Text), (3, "id", Text), (4, "steps_json", Text), (5, "logged_at_ms", Integer),]
    ),
    table!(
        "flows",
        false,
        [
            (2, "id", Text),
            (3, "email", OptionalText),
            (4, "client_id", OptionalText),
            (5, "user_id", OptionalText),
            (6, "status", Text),
            (7, "last_event_json", Text),
            (8, "started_at_ms", Integer),
            (9, "changed_at_ms", Integer),
            (10, "logged_at_ms", Integer),
            (11, "email_key", OptionalText),
        ]
    ),
];

/// Tables with rows that a reset goes back to.
const SEEDED: [&str; 9] = [
    "users",
    "organizations",
    "domains",
    "permissions",
    "roles",
    "role_bases",
    "role_permissions",
    "memberships",
    "membership_roles",
];

/// Makes the rows of these tables those of the template. Most are as seeded: to leave them is faster than to make them anew.
const RESET: [&str; 20] = [
    "DELETE FROM memberships WHERE environment_id = $1 AND NOT EXISTS (SELECT 1 FROM memberships t \
     WHERE t.environment_id = $2 AND t.user_id = memberships.user_id \
     AND t.organization_id = memberships.organization_id AND t.version = memberships.version \
     AND t.created_at_ms = memberships.created_at_ms)",
    "DELETE FROM domains WHERE environment_id = $1 AND id NOT IN (SELECT id FROM (\
     SELECT id, organization_id, domain, domain_type, created_at_ms FROM domains WHERE environment_id = $1 INTERSECT \
     SELECT id, organization_id, domain, domain_type, created_at_ms FROM domains WHERE environment_id = $2) \
     AS unchanged)",
    "DELETE FROM membership_roles WHERE environment_id = $1 AND NOT EXISTS (SELECT 1 FROM membership_roles t \
     WHERE t.environment_id = $2 AND t.user_id = membership_roles.user_id \
     AND t.organization_id = membership_roles.organization_id AND t.role_id = membership_roles.role_id)",
    "DELETE FROM role_permissions WHERE environment_id = $1 AND NOT EXISTS (SELECT 1 FROM role_permissions t \
     WHERE t.environment_id = $2 AND t.role_id = role_permissions.role_id \
     AND t.permission_id = role_permissions.permission_id)",
    "DELETE FROM role_bases WHERE environment_id = $1 AND NOT EXISTS (SELECT 1 FROM role_bases t \
     WHERE t.environment_id = $2 AND t.role_id = role_bases.role_id AND t.base_role_id = role_bases.base_role_id)",
    "DELETE FROM permissions WHERE environment_id = $1 AND id NOT IN (SELECT id FROM (\
     SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
     WHERE environment_id = $1 INTERSECT \
     SELECT id, version, name, description, created_at_ms, updated_at_ms FROM permissions \
     WHERE environment_id = $2) AS unchanged)",
    "DELETE FROM roles WHERE environment_id = $1 AND id NOT IN (SELECT id FROM (\
     SELECT id, version, organization_id, name, display_name, description, is_default_creator, is_default_member, \
     created_at_ms, updated_at_ms FROM roles WHERE environment_id = $1 INTERSECT \
     SELECT id, version, organization_id, name, display_name, description, is_default_creator, is_default_member, \
     created_at_ms, updated_at_ms FROM roles WHERE environment_id = $2) AS unchanged)",
    "DELETE FROM users WHERE environment_id = $1 AND id NOT IN (SELECT id FROM (\
     SELECT id, version, email, email_key, name, given_name, family_name, picture, locale, external_id, \
     details_json, metadata_json, email_verified_at_ms, created_at_ms, updated_at_ms, last_sign_in_at_ms FROM users WHERE environment_id = $1 INTERSECT \
     SELECT id, version, email, email_key, name, given_name, family_name, picture, locale, external_id, \
     details_json, metadata_json, email_verified_at_ms, created_at_ms, updated_at_ms, last_sign_in_at_ms FROM users WHERE environment_id = $2) AS unchanged)",
    "DELETE FROM organizations WHERE environment_id = $1 AND id NOT IN (SELECT id FROM (\
     SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, features_json, \
     max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, created_at_ms, updated_at_ms \
     FROM organizations \
     WHERE environment_id = $1 INTERSECT \
     SELECT id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, features_json, \
     max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, created_at_ms, updated_at_ms \
     FROM organizations \
     WHERE environment_id = $2) AS unchanged)",
    "INSERT INTO users (environment_id, id, version, email, email_key, name, given_name, family_name, picture, locale, \
     external_id, details_json, metadata_json, email_verified_at_ms, created_at_ms, updated_at_ms, \
     last_sign_in_at_ms) \
     SELECT $1, id, version, email, email_key, name, given_name, family_name, picture, locale, external_id, \
     details_json, metadata_json, email_verified_at_ms, created_at_ms, updated_at_ms, last_sign_in_at_ms FROM users WHERE environment_id = $2 \
     AND id NOT IN (SELECT id FROM users WHERE environment_id = $1)",
    "INSERT INTO organizations (environment_id, id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, features_json, \
     max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, created_at_ms, updated_at_ms) \
     SELECT $1, id, version, display_name, region_code, external_id, slug, logo_url, metadata_json, features_json, \
     max_allowed_users, absolute_session_timeout_min, idle_session_timeout_min, created_at_ms, updated_at_ms \
     FROM organizations \
     WHERE environment_id = $2 AND id NOT IN (SELECT id FROM organizations WHERE environment_id = $1)",
    "INSERT INTO domains (environment_id, id, organization_id, domain, domain_type, created_at_ms) \
     SELECT $1, id, organization_id, domain, domain_type, created_at_ms FROM domains WHERE environment_id = $2 \
     AND id NOT IN (SELECT id FROM domains WHERE environment_id = $1)",
    "INSERT INTO permissions (environment_id, id, version, name, description, created_at_ms, updated_at_ms) \
     SELECT $1, id, version, name, description, created_at_ms, updated_at_ms FROM permissions WHERE environment_id = $2 \
     AND id NOT IN (SELECT id FROM permissions WHERE environment_id = $1)",
    "INSERT INTO roles (environment_id, id, version, organization_id, name, display_name, description, \
     is_default_creator, is_default_member, created_at_ms, updated_at_ms) SELECT $1, id, version, organization_id, name, \
     display_name, description, is_default_creator, is_default_member, created_at_ms, updated_at_ms FROM roles \
     WHERE environment_id = $2 AND id NOT IN (SELECT id FROM roles WHERE environment_id = $1)",
    "INSERT INTO role_bases (environment_id, role_id, base_role_id) \
     SELECT $1, role_id, base_role_id FROM role_bases t WHERE environment_id = $2 \
     AND NOT EXISTS (SELECT 1 FROM role_bases b WHERE b.environment_id = $1 AND b.role_id = t.role_id)",
    "INSERT INTO role_permissions (environment_id, role_id, permission_id) \
     SELECT $1, role_id, permission_id FROM role_permissions t WHERE environment_id = $2 \
     AND NOT EXISTS (SELECT 1 FROM role_permissions p WHERE p.environment_id = $1 AND p.role_id = t.role_id \
     AND p.permission_id = t.permission_id)",
    "INSERT INTO memberships (environment_id, organization_id, user_id, version, status, provisioning_method, \
     metadata_json, created_at_ms) \
     SELECT $1, organization_id, user_id, version, status, provisioning_method, metadata_json, created_at_ms \
     FROM memberships t WHERE environment_id = $2 \
     AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.environment_id = $1 AND m.user_id = t.user_id \
     AND m.organization_id = t.organization_id)",
    "INSERT INTO membership_roles (environment_id, organization_id, user_id, role_id) \
     SELECT $1, organization_id, user_id, role_id FROM membership_roles t WHERE environment_id = $2 \
     AND NOT EXISTS (SELECT 1 FROM membership_roles m WHERE m.environment_id = $1 AND m.user_id = t.user_id \
     AND m.organization_id = t.organization_id AND m.role_id = t.role_id)",
    "INSERT INTO webhook_endpoints (environment_id, id, version, url, events_json, description, is_enabled, \
     sealed_secrets, created_at_ms, updated_at_ms) SELECT $1, id, version, url, events_json, description, is_enabled, \
     sealed_secrets, created_at_ms, updated_at_ms FROM webhook_endpoints WHERE environment_id = $2",
    "INSERT INTO interceptors (environment_id, id, version, display_name, description, trigger_point, url, timeout_ms, \
     failure_policy, is_enabled, sealed_secrets, created_at_ms, updated_at_ms) SELECT $1, id, version, display_name, \
     description, trigger_point, url, timeout_ms, failure_policy, is_enabled, sealed_secrets, created_at_ms, \
     updated_at_ms FROM interceptors WHERE environment_id = $2",
];

/// The statements made for every table.
pub fn table_statements() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|t| [t.select, t.insert, t.delete])
}

/// Rows by table, as a snapshot is made of them.
pub type Tables = BTreeMap<String, Vec<Map<String, Value>>>;

/// How far beyond the years that clocks can show something may end: longer than anything lives.
const LONGEST_LIFE_MS: i64 = 10 * 366 * 86_400_000;

/// What numbers of a column can be: times end with what the clock can show and something that lives on from there;
/// nothing is counted further than users could.
fn range_of(column: &str) -> RangeInclusive<i64> {
    if column.ends_with("_at_ms") {
        *TIMES_MS.start()..=*TIMES_MS.end() + LONGEST_LIFE_MS
    } else {
        0..=i64::from(i32::MAX)
    }
}

/// Is a column's number one that can be, or its text a list of such times?
fn is_possible(column: &str, value: &Value) -> bool {
    let range = range_of(column);
    match value {
        Value::Number(number) => number.as_i64().is_some_and(|n| range.contains(&n)),
        Value::String(text) if column.ends_with("_at_ms") => {
            text.is_empty() || text.split(',').all(|time| time.parse().is_ok_and(|t: i64| range.contains(&t)))
        }
        _ => true,
    }
}

/// The tables of snapshots, with their columns.
pub fn snapshot_tables() -> impl Iterator<Item = (&'static str, impl Iterator<Item = &'static str>)> {
    TABLES.iter().filter(|t| t.is_in_snapshots).map(|t| (t.name, t.columns.iter().map(|(column, _)| *column)))
}

/// Has the table a version of each row?
pub fn has_version(table: &str) -> bool {
    TABLES.iter().any(|t| t.name == table && t.columns.iter().any(|(column, _)| *column == "version"))
}

/// Checks columns, kinds of values and numbers of a row; what texts have to say is the caller's to know.
///
/// # Errors
/// The column that is wrong, and why.
pub fn check_row(table: &str, row: &Map<String, Value>) -> Result<(), (&'static str, String)> {
    let columns = TABLES.iter().find(|t| t.name == table).map(|t| t.columns).unwrap_or_default();
    for (column, kind) in columns {
        let value = row.get(*column).unwrap_or(&Value::Null);
        let expected = match kind {
            Column::Text | Column::Integer if value.is_null() => "is missing",
            Column::Text if !value.is_string() => "must be a text",
            Column::OptionalText if !value.is_string() && !value.is_null() => "must be a text or null",
            Column::Integer if value.as_i64().is_none() => "must be a whole number",
            Column::OptionalInteger if value.as_i64().is_none() && !value.is_null() => {
                "must be a whole number or null"
            }
            _ if !is_possible(column, value) => {
                let (from, to) = range_of(column).into_inner();
                return Err((column, format!("must be a whole number from {from} to {to}")));
            }
            _ => continue,
        };
        return Err((column, expected.to_owned()));
    }
    Ok(())
}

fn value_of(row: &sqlx::any::AnyRow, column: &str, kind: Column) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        Column::Text => row.try_get::<String, _>(column)?.into(),
        Column::OptionalText => row.try_get::<Option<String>, _>(column)?.into(),
        Column::Integer => row.try_get::<i64, _>(column)?.into(),
        Column::OptionalInteger => row.try_get::<Option<i64>, _>(column)?.into(),
    })
}

impl Store {
    /// Every row of an environment that snapshots carry.
    pub async fn dump(&self, environment_id: &str) -> Result<Tables, StoreError> {
        let mut tables = Tables::new();
        let mut tx = self.pool.begin().await?;
        for table in TABLES.iter().filter(|t| t.is_in_snapshots) {
            let found = sql(table.select).bind(environment_id).run(&mut tx).await?;
            let rows = found.rows.iter().map(|row| {
                let fields =
                    table.columns.iter().map(|(c, kind)| Ok(((*c).to_owned(), value_of(row, c, *kind)?)));
                fields.collect::<Result<Map<String, Value>, sqlx::Error>>()
            });
            tables.insert(table.name.to_owned(), rows.collect::<Result<_, _>>()?);
        }
        tx.commit().await?;
        Ok(tables)
    }

    /// Replaces every row of an environment by those of checked `tables`, its secret and keys by the given ones, and
    /// commits the record. `false`, and nothing written, when the record was changed meanwhile.
    pub async fn restore(
        &self,
        record: &EnvironmentRecord,
        tables: &Tables,
        clients: &ClientChanges,
        secret: (&str, &[u8]),
        keys: &[super::StoredKey],
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        delete_rows(&mut tx, &record.id).await?;
        if !clients::apply(&mut tx, &record.id, clients, now_ms).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        // Snapshots of before there were roles have none.
        if !tables.contains_key("roles") {
            roles::insert_initial(&mut tx, &record.id, now_ms).await?;
        }
        for table in TABLES {
            for row in tables.get(table.name).into_iter().flatten() {
                let mut query = sql(table.insert).bind(record.id.clone());
                for (column, kind) in table.columns {
                    let value = row.get(*column).unwrap_or(&Value::Null);
                    query = match kind {
                        Column::Text | Column::OptionalText => query.bind(value.as_str().map(str::to_owned)),
                        Column::Integer | Column::OptionalInteger => query.bind(value.as_i64()),
                    };
                }
                query.execute(&mut tx).await?;
            }
        }
        sql("UPDATE server_secrets SET value = $3 WHERE environment_id = $1 AND name = $2")
            .bind(&record.id)
            .bind(secret.0)
            .bind(secret.1.to_vec())
            .execute(&mut tx)
            .await?;
        sql("DELETE FROM signing_keys WHERE environment_id = $1").bind(&record.id).execute(&mut tx).await?;
        for key in keys {
            sql(
                "INSERT INTO signing_keys (environment_id, sequence, kid, private_key, created_at_ms, signs_from_ms) \
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(&record.id)
            .bind(key.sequence)
            .bind(&key.kid)
            .bind(key.private_key.clone())
            .bind(key.created_at_ms)
            .bind(key.signs_from_ms)
            .execute(&mut tx)
            .await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Brings an environment back to its seed, and commits the record. `false`, and nothing written, when the record
    /// was changed meanwhile. `keeps_clients` leaves clients, `keeps_faults` the fault rules.
    pub async fn reset(
        &self,
        record: &EnvironmentRecord,
        keeps_clients: bool,
        keeps_faults: bool,
        now_ms: UnixMs,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin_write().await?;
        if !write_record(&mut tx, record, now_ms).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        let is_kept =
            |table: &&Table| SEEDED.contains(&table.name) || (keeps_faults && table.name == "fault_rules");
        for table in TABLES.iter().rev().filter(|table| !is_kept(table)) {
            sql(table.delete).bind(&record.id).execute(&mut tx).await?;
        }
        if !keeps_clients {
            clients::reset(&mut tx, &record.id).await?;
        }
        for statement in RESET {
            sql(statement).bind(&record.id).bind(template_id(&record.id)).execute(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}

/// Deletes every row of an environment but its own, its clients, its secrets and its keys: first those that refer to others.
pub(super) async fn delete_rows(
    connection: &mut super::Transaction,
    environment_id: &str,
) -> Result<(), StoreError> {
    for table in TABLES.iter().rev() {
        sql(table.delete).bind(environment_id.to_owned()).execute(&mut *connection).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_made_of_the_columns() {
        let table = TABLES.iter().find(|t| t.name == "revoked_tokens").unwrap();
        assert_eq!(
            table.insert,
            "INSERT INTO revoked_tokens (environment_id, jti, expires_at_ms) VALUES ($1, $2, $3)"
        );
        for table in TABLES {
            assert!(table.insert.ends_with(&format!("${})", table.columns.len() + 1)), "{}", table.name);
        }
    }

    #[test]
    fn bad_rows_are_named() {
        let check = |table: &str, row: Value| {
            check_row(table, row.as_object().unwrap()).map_err(|(column, _)| column)
        };
        let token = |expires_at_ms: Value| {
            check("revoked_tokens", serde_json::json!({ "jti": "t", "expires_at_ms": expires_at_ms }))
        };
        assert_eq!(token(1.into()), Ok(()));
        for absurd in ["1".into(), i64::MAX.into(), i64::MIN.into(), (-1).into(), Value::Null, 1e300.into()] {
            assert_eq!(token(absurd), Err("expires_at_ms"));
        }
        let budget = |version: i64, sent_at_ms: &str| {
            check(
                "mail_budgets",
                serde_json::json!({
                    "email_key": "a@b.io", "version": version, "sent_at_ms": sent_at_ms, "expires_at_ms": 1,
                }),
            )
        };
        assert_eq!(budget(1, ""), Ok(()));
        assert_eq!(budget(1, "1,253402300799999"), Ok(()));
        assert_eq!(budget(i64::MAX, ""), Err("version"));
        for times in ["1,9223372036854775807", "soon", "1,,2"] {
            assert_eq!(budget(1, times), Err("sent_at_ms"), "{times}");
        }
    }
}
