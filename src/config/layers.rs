//! Environments made from the configuration with what the control API changed on top: one reader, and thereby one
//! set of rules, for both.

use std::path::PathBuf;

use serde_json::Value;

use super::problem::Problem;
use super::seed::{self, SeedSettings};
use super::source::Source;
use super::{clients, default_client, environment};
use crate::domain::client::ClientPlace;
use crate::domain::environment::Environment;
use crate::domain::environment_name::{EnvironmentName, urls_of};
use crate::domain::field_error::FieldError;
use crate::domain::public_url::PublicUrl;

impl From<Problem> for FieldError {
    fn from(problem: Problem) -> Self {
        Self { field: problem.key, reason: problem.message }
    }
}

/// The configuration's layers, kept to make environments from.
#[derive(Clone)]
pub struct Layers {
    pub(super) source: Source,
    base: PathBuf,
    /// Can only this machine connect?
    pub(super) is_local: bool,
    /// Of the default environment, with the ports really bound.
    pub public_urls: Vec<PublicUrl>,
}

impl std::fmt::Debug for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Secrets are among the settings.
        write!(f, "Layers({:?}, [redacted])", self.public_urls)
    }
}

impl Layers {
    pub(super) fn new(source: Source, base: PathBuf, is_local: bool, public_urls: Vec<PublicUrl>) -> Self {
        Self { source, base, is_local, public_urls }
    }

    /// The environment with these changes. `name` says which: `None` is the default one.
    pub fn environment(
        &self,
        id: &str,
        name: Option<EnvironmentName>,
        changes: &Value,
    ) -> Result<Environment, Vec<FieldError>> {
        let mut source = self.source.clone();
        if changes.get("clients").is_some_and(|c| !c.is_null()) {
            default_client::remove(&mut source);
        }
        source.add_json(changes);
        let mut errors: Vec<FieldError> = source
            .sent_by_api()
            .into_iter()
            .filter(|key| !is_changeable(key))
            .map(|key| FieldError::new(key, "cannot be changed while the server runs"))
            .collect();
        let mut environment = environment::read(&mut source, &self.base, self.is_local);
        let listed = errors.iter().map(|e| e.field.clone()).collect::<Vec<_>>();
        errors.extend(
            source.finish_api().into_iter().map(FieldError::from).filter(|e| !listed.contains(&e.field)),
        );
        let has_none = changes.get("clients").and_then(Value::as_array).is_some_and(Vec::is_empty);
        if has_none || environment.clients.is_empty() {
            errors.push(FieldError::new("clients", "must name at least one client"));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        environment.id = id.to_owned();
        environment.public_urls = match &name {
            None => self.public_urls.clone(),
            Some(name) => urls_of(name, &self.public_urls),
        };
        environment.name = name;
        Ok(environment)
    }

    /// Takes out of these changes what no setting is, such as what a later version wrote; returns the names.
    pub fn drop_unknown(&self, changes: &mut Value) -> Vec<String> {
        let mut source = self.source.clone();
        source.add_json(changes);
        environment::read(&mut source, &self.base, self.is_local);
        let is_setting = |key: &str| super::all().any(|setting| setting.key == key);
        let mut unknown = source.unread_of_api();
        unknown.retain(|key| !is_setting(key) && crate::domain::json::remove(changes, key));
        unknown
    }

    /// How long an environment with these changes keeps the log of its sign-ins, in seconds.
    pub fn flows_keep_s(&self, changes: &Value) -> i64 {
        let mut source = self.source.clone();
        if let Some(flows) = changes.get("flows") {
            source.add_json(&serde_json::json!({ "flows": flows }));
        }
        source.integer(&environment::FLOWS_KEEP_S)
    }

    /// Where the configuration file speaks of this client of the default environment.
    pub fn place_of_client(&self, client_id: &str) -> ClientPlace {
        let mut source = self.source.clone();
        if clients::is_listed(&mut source, client_id) {
            ClientPlace::Table
        } else if default_client::is_described(&mut source, client_id) {
            ClientPlace::TopLevel
        } else {
            ClientPlace::Elsewhere
        }
    }
}

/// May this be changed while the server runs? What is no setting at all, the reader says.
fn is_changeable(key: &str) -> bool {
    let table = key.split_once('.').map_or("", |(table, _)| table);
    // The list of clients is replaced as a whole.
    if key.split(['.', '[']).next() == Some("clients") {
        return true;
    }
    match super::all().find(|setting| setting.key == key) {
        Some(setting) => setting.is_changeable(),
        None => !table.is_empty() && super::all().any(|s| s.table_and_name().0 == table && s.is_changeable()),
    }
}

/// Users and organizations as the control API sends them, by the rules of the configuration.
pub fn seed_from_json(value: &Value) -> Result<SeedSettings, Vec<FieldError>> {
    let mut source = Source::default();
    source.add_json(value);
    let seed = seed::read(&mut source);
    let errors = source.finish_api();
    if errors.is_empty() { Ok(seed) } else { Err(errors.into_iter().map(FieldError::from).collect()) }
}

/// Lays changes over earlier ones, as RFC 7396 merges: `null` takes a change back, lists are replaced.
pub fn merge(earlier: &mut Value, later: &Value) {
    let (Value::Object(into), Value::Object(from)) = (&mut *earlier, later) else {
        later.clone_into(earlier);
        return;
    };
    for (name, value) in from {
        if value.is_null() {
            into.remove(name);
        } else {
            let slot = into.entry(name.clone()).or_insert_with(|| Value::Object(serde_json::Map::new()));
            merge(slot, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    fn layers(toml: &str) -> Layers {
        let mut source = Source::default();
        source.add_file(std::path::Path::new("vestibule.toml"), toml);
        let mut config = Config::read(source, std::path::Path::new(".")).unwrap();
        config.settle_public_urls(6870, None);
        config.layers
    }

    fn errors(changes: &Value) -> Vec<(String, String)> {
        let found = layers("").environment("env_1", None, changes).unwrap_err();
        found.into_iter().map(|e| (e.field, e.reason)).collect()
    }

    #[test]
    fn changes_lie_over_the_configuration_and_keep_its_rules() {
        let layers = layers("[passwordless]\nvalidity_s = 120\ncode_length = 8\n");
        let changes = json!({ "passwordless": { "validity_s": 600 }, "login_hint": "prefill" });
        let environment = layers.environment("env_1", None, &changes).unwrap();
        assert_eq!((environment.passwordless.validity_s, environment.passwordless.code_length), (600, 8));
        assert_eq!(environment.public_urls.len(), 6);
        let named = EnvironmentName::parse("a");
        let environment = layers.environment("env_2", named, &json!({})).unwrap();
        assert_eq!(environment.public_urls[0].issuer(), "http://a.localhost:6870");
    }

    #[test]
    fn every_mistake_is_named_with_its_field() {
        let found = errors(&json!({ "passwordless": { "validity_s": 10, "typo": 1 }, "listen": "x:1",
            "branding": { "logo": "/etc/passwd" }, "clients": [{ "client_id": "a" }] }));
        let fields: Vec<&str> = found.iter().map(|(f, _)| f.as_str()).collect();
        for field in [
            "passwordless.validity_s",
            "passwordless.typo",
            "listen",
            "branding.logo",
            "clients[0].client_secret",
        ] {
            assert!(fields.contains(&field), "{field}: {found:?}");
        }
        let none = errors(&json!({ "clients": [] }));
        assert_eq!(none, [("clients".to_owned(), "must name at least one client".to_owned())]);
        assert!(errors(&json!({ "tokens": 3 })).iter().any(|(f, _)| f == "tokens"));
    }

    #[test]
    fn listed_clients_replace_all_that_were_there() {
        let layers = layers("client_id = \"skc_own\"\nclient_secret = \"s\"\n");
        let changes = json!({ "clients": [{ "client_id": "skc_new", "type": "spa" }] });
        let environment = layers.environment("env_1", None, &changes).unwrap();
        let ids: Vec<&str> = environment.clients.iter().map(|c| c.client_id.as_str()).collect();
        assert_eq!(ids, ["skc_new"]);
    }

    #[test]
    fn a_merge_takes_null_for_as_configured() {
        let mut changes = json!({ "tokens": { "user_management": true }, "demo": true });
        merge(&mut changes, &json!({ "demo": null, "tokens": { "id_token_lifetime_s": 9 } }));
        assert_eq!(changes, json!({ "tokens": { "user_management": true, "id_token_lifetime_s": 9 } }));
    }

    #[test]
    fn a_seed_is_read_by_the_rules_of_the_configuration() {
        assert!(seed_from_json(&json!({ "users": [], "organizations": [] })).unwrap().users.is_empty());
        let seed = seed_from_json(&json!({
            "organizations": [{ "display_name": "Acme", "external_id": "acme" }],
            "users": [{ "email": "jane@acme.test", "organizations": ["acme"] }] }));
        assert_eq!(seed.unwrap().users[0].organizations, ["acme"]);
        let found = seed_from_json(
            &json!({ "users": [{ "email": "no", "organizations": ["x"] }], "passwordless": 1 }),
        );
        let fields: Vec<String> = found.unwrap_err().into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["passwordless", "users[0].email", "users[0].organizations"]);
    }
}
