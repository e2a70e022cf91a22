//! Records of Scalekit's API, in the words of the configuration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::cli::seed_file::{Application, Organization, Passwordless, Permission, Role, User};

/// A text that says something.
fn text(record: &Value, field: &str) -> Option<String> {
    record[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn required(record: &Value, field: &str) -> String {
    text(record, field).unwrap_or_default()
}

fn texts(record: &Value, field: &str) -> Vec<String> {
    record[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn flag(record: &Value, field: &str) -> bool {
    record[field].as_bool().unwrap_or_default()
}

/// A number, which is a text where it may have 64 bits.
fn number(record: &Value, field: &str) -> Option<i64> {
    record[field].as_i64().or_else(|| record[field].as_str()?.parse().ok())
}

/// `None`: one of Scalekit's own, which is there anyway.
pub(super) fn permission(record: &Value) -> Option<Permission> {
    let is_scalekits = flag(record, "is_scalekit_permission");
    (!is_scalekits)
        .then(|| Permission { name: required(record, "name"), description: required(record, "description") })
}

pub(super) fn role(record: &Value) -> Role {
    let permissions = record["permissions"].as_array().into_iter().flatten();
    Role {
        name: required(record, "name"),
        display_name: required(record, "display_name"),
        description: required(record, "description"),
        extends: text(record, "extends"),
        permissions: permissions.filter_map(|permission| text(permission, "name")).collect(),
        default_creator: flag(record, "default_creator"),
        default_member: flag(record, "default_member"),
    }
}

pub(super) fn organization(record: &Value, domains: &[Value]) -> Organization {
    let of_type = |domain_type: &str| -> Vec<String> {
        let of_type = domains.iter().filter(|domain| domain["domain_type"] == domain_type);
        of_type.filter_map(|domain| text(domain, "domain")).collect()
    };
    let metadata = record["metadata"].as_object().into_iter().flatten();
    Organization {
        id: required(record, "id"),
        display_name: required(record, "display_name"),
        external_id: text(record, "external_id"),
        slug: text(record, "slug"),
        domains: of_type("ORGANIZATION_DOMAIN"),
        allowed_email_domains: of_type("ALLOWED_EMAIL_DOMAIN"),
        metadata: metadata
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect(),
    }
}

pub(super) fn client(record: &Value) -> Application {
    let kind = match record["client_type"].as_str() {
        Some("SPA") => "spa",
        Some("NTV") => "native",
        _ => "web",
    };
    let mut told = texts(record, "back_channel_logout_uris").into_iter();
    Application {
        client_id: required(record, "id"),
        name: required(record, "name"),
        client_secrets: (kind == "web").then_some([]),
        redirect_uris: texts(record, "post_login_uris"),
        post_logout_redirect_uris: texts(record, "post_logout_redirect_uris"),
        initiate_login_uri: text(record, "initiate_login_uri"),
        backchannel_logout_uri: told.next(),
        more_backchannel_logout_uris: told.collect(),
        enforce_pkce: kind == "web" && flag(record, "enforce_pkce"),
        access_token_lifetime_s: number(record, "access_token_expiry").filter(|seconds| *seconds > 0),
        disallow_scalekit_api_access: flag(record, "disallow_scalekit_api_access"),
        kind,
    }
}

/// Settings of the connection for sign-in by email.
pub(super) fn passwordless(connection: &Value) -> Passwordless {
    let config = &connection["passwordless_config"];
    let is_known = |kind: &String| ["LINK", "OTP", "LINK_OTP"].contains(&kind.as_str());
    Passwordless {
        enabled: flag(connection, "enabled"),
        kind: text(config, "type").filter(is_known),
        validity_s: number(config, "validity"),
        enforce_same_browser_origin: config["enforce_same_browser_origin"].as_bool(),
        regenerate_passwordless_credentials_on_resend:
            config["regenerate_passwordless_credentials_on_resend"].as_bool(),
        code_length: number(config, "code_challenge_length"),
    }
}

/// Users with their memberships, and what of these a seed cannot say.
pub(super) struct ImportedUsers {
    pub(super) users: Vec<User>,
    invitations: usize,
    unknown_roles: BTreeSet<String>,
}

impl ImportedUsers {
    /// `roles` are those of the environment; organizations may have more of their own.
    pub(super) fn of(records: &[Value], roles: &[Role], organizations: &[Value]) -> Self {
        let known_roles: BTreeSet<&str> = roles.iter().map(|role| role.name.as_str()).collect();
        let known: BTreeSet<&str> = organizations.iter().filter_map(|record| record["id"].as_str()).collect();
        let mut all = Self { users: vec![], invitations: 0, unknown_roles: BTreeSet::new() };
        for record in records {
            let mut user = user(record);
            for membership in record["memberships"].as_array().into_iter().flatten() {
                let id = required(membership, "organization_id");
                if membership["membership_status"] != "ACTIVE" {
                    all.invitations += 1;
                } else if known.contains(id.as_str()) {
                    let (names, unknown): (Vec<String>, Vec<String>) =
                        role_names(membership).partition(|name| known_roles.contains(name.as_str()));
                    all.unknown_roles.extend(unknown);
                    if !names.is_empty() {
                        user.roles.insert(id.clone(), names.join(", "));
                    }
                    user.organizations.push(id);
                }
            }
            all.users.push(user);
        }
        all
    }

    /// What is not in the file, in sentences.
    pub(super) fn left_out(&self) -> Vec<String> {
        let mut notes = vec![];
        if self.invitations > 0 {
            let count = self.invitations;
            notes.push(format!("left out: memberships that are not active, such as invitations: {count}"));
        }
        if !self.unknown_roles.is_empty() {
            let names: Vec<&str> = self.unknown_roles.iter().map(String::as_str).collect();
            notes.push(format!("left out: roles of single organizations ({})", names.join(", ")));
        }
        notes
    }
}

fn role_names(membership: &Value) -> impl Iterator<Item = String> {
    membership["roles"].as_array().into_iter().flatten().filter_map(|role| text(role, "name"))
}

/// A user without memberships.
fn user(record: &Value) -> User {
    let profile = &record["user_profile"];
    User {
        id: required(record, "id"),
        email: required(record, "email"),
        name: text(profile, "name"),
        given_name: text(profile, "given_name").or_else(|| text(profile, "first_name")),
        family_name: text(profile, "family_name").or_else(|| text(profile, "last_name")),
        picture: text(profile, "picture"),
        locale: text(profile, "locale"),
        external_id: text(record, "external_id"),
        organizations: vec![],
        roles: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_keep_the_roles_that_a_seed_can_name() {
        let users = [json!({
            "id": "usr_1", "email": "jane@acme.test", "external_id": "", "user_profile": { "first_name": "Jane" },
            "memberships": [
                { "organization_id": "org_1", "membership_status": "ACTIVE", "roles": [{ "name": "admin" }, { "name": "buyer" }] },
                { "organization_id": "org_2", "membership_status": "PENDING_INVITE", "roles": [{ "name": "admin" }] },
                { "organization_id": "org_3", "membership_status": "ACTIVE", "roles": [] },
            ],
        })];
        let roles = [Role { name: "admin".into(), ..Role::default() }];
        let read = ImportedUsers::of(&users, &roles, &[json!({ "id": "org_1" }), json!({ "id": "org_2" })]);
        let jane = &read.users[0];
        assert_eq!((jane.given_name.as_deref(), jane.external_id.as_deref()), (Some("Jane"), None));
        assert_eq!(jane.organizations, ["org_1"], "org_3 is not there any more");
        assert_eq!(jane.roles["org_1"], "admin");
        let left_out = read.left_out();
        assert!(left_out[0].ends_with("invitations: 1") && left_out[1].contains("buyer"), "{left_out:?}");
    }

    #[test]
    fn an_application_has_no_secret_yet_and_numbers_of_64_bits_are_texts() {
        let fields =
            json!({ "id": "webc_1", "name": "Web", "client_type": "WEB_APP", "access_token_expiry": "900" });
        let web = client(&fields);
        assert_eq!((web.kind, web.access_token_lifetime_s), ("web", Some(900)));
        assert!(web.client_secrets.is_some(), "an empty list");
        let spa = client(&json!({ "id": "spac_1", "client_type": "SPA", "enforce_pkce": true }));
        assert_eq!((spa.kind, spa.enforce_pkce), ("spa", false));
        assert!(spa.client_secrets.is_none());
        assert!(permission(&json!({ "name": "sk_a", "is_scalekit_permission": true })).is_none());
    }
}
