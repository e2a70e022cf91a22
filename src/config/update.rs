//! A configuration that was changed while the server runs: what of it holds at once, and what needs a restart.

use std::collections::BTreeSet;

use serde_json::json;

use super::layers::Layers;
use super::problem::{Problem, Problems};
use super::seed::SeedSettings;
use super::{
    Config, ConfiguredInterceptor, ConfiguredWebhook, control, database, environment, interceptors, seed,
    server, smtp, telemetry, tls, webhooks,
};
use crate::domain::environment::Environment;

/// What of a changed configuration holds at once.
#[derive(Debug, Clone)]
pub struct ConfigurationUpdate {
    /// With the server's own settings as they were.
    pub layers: Layers,
    /// The default environment.
    pub environment: Environment,
    pub seed: SeedSettings,
    pub webhooks: Vec<ConfiguredWebhook>,
    pub interceptors: Vec<ConfiguredInterceptor>,
    /// Settings that were changed and are read at the start alone.
    pub needs_restart: Vec<String>,
}

impl Layers {
    /// Takes over what a later configuration says of environments, clients, users and organizations.
    ///
    /// # Errors
    /// When that does not go together with the server's own settings, which stay as they are.
    pub fn updated(&self, later: &Config) -> Result<ConfigurationUpdate, Problems> {
        let mut source = later.layers.source.clone();
        let mut needs_restart = BTreeSet::new();
        for key in self.source.differences(&later.layers.source) {
            if is_read_at_start(&key) {
                source.take_from(&self.source, &key);
                needs_restart.insert(key.split('[').next().unwrap_or_default().to_owned());
            }
        }
        let seed = seed::read(&mut source.clone());
        let mut read_once = source.clone();
        let mut layers = later.layers.clone();
        layers.source = source;
        layers.is_local = self.is_local;
        layers.public_urls = self.public_urls.clone();
        let environment = layers.environment(&later.environment.id, None, &json!({})).map_err(|errors| {
            let problem = |error: crate::domain::field_error::FieldError| Problem {
                location: super::Location::Unwritten,
                key: error.field,
                value: None,
                message: error.reason,
            };
            Problems(errors.into_iter().map(problem).collect())
        })?;
        let webhooks = webhooks::read(&mut read_once, environment.mode);
        let interceptors = interceptors::read(&mut read_once, environment.mode);
        let needs_restart = needs_restart.into_iter().collect();
        Ok(ConfigurationUpdate { layers, environment, seed, webhooks, interceptors, needs_restart })
    }
}

/// Is a setting the server's own?
fn is_read_at_start(key: &str) -> bool {
    let tables = [
        database::section(),
        tls::section(),
        tls::backchannel_logout_section(),
        smtp::section(),
        control::section(),
        telemetry::log_section(),
        telemetry::metrics_section(),
        telemetry::traces_section(),
    ];
    let table = key.split(['.', '[']).next().unwrap_or_default();
    // `control = false` is a short form of a setting in a table.
    tables.iter().any(|section| section.table == table)
        || server::settings().iter().chain(&database::settings()).any(|setting| setting.key == key)
        || environment::identity().contains(&key)
        || key == webhooks::ALLOWED_HOSTS.key()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::source::Source;
    use super::*;

    fn config(toml: &str) -> Config {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        let mut config = Config::read(source, Path::new(".")).unwrap();
        config.settle_public_urls(6870, None);
        config
    }

    #[test]
    fn what_concerns_environments_holds_at_once_and_the_rest_is_named() {
        let running = config(
            "listen = \"localhost:6870\"\n[passwordless]\nvalidity_s = 120\n[log]\nfilter = \"warn\"\n",
        );
        let later = config(
            "listen = \"localhost:7000\"\ncontrol = false\nlogin_hint = \"prefill\"\n[passwordless]\nvalidity_s = 240\n\
             [[clients]]\nclient_id = \"spac_own\"\ntype = \"spa\"\n[[users]]\nemail = \"jane@example.com\"\n\
             [[webhooks]]\nurl = \"http://localhost:3000/hook\"\n\
             [[interceptors]]\nurl = \"http://localhost:3000/ask\"\n[delivery]\nallowed_hosts = [\"app.internal\"]\nretry_percent = 0\n",
        );
        let update = running.layers.updated(&later).unwrap();
        assert_eq!(update.needs_restart, ["control", "delivery.allowed_hosts", "listen", "log.filter"]);
        let environment = &update.environment;
        assert_eq!((environment.passwordless.validity_s, environment.login_hint.as_str()), (240, "prefill"));
        assert_eq!(environment.clients[0].client_id, "spac_own");
        assert_eq!(environment.public_urls[0].issuer(), "http://localhost:6870");
        assert_eq!((update.seed.users.len(), update.webhooks.len(), update.interceptors.len()), (1, 1, 1));
        assert_eq!(environment.delivery_retry_percent, 0);
        // The next change is compared with the server as it runs.
        let again = update.layers.updated(&later).unwrap();
        assert_eq!(again.needs_restart, update.needs_restart);
        let back = update.layers.updated(&running).unwrap();
        assert_eq!((back.needs_restart.len(), back.environment.passwordless.validity_s), (0, 120));
    }

    #[test]
    fn the_mode_does_not_change_while_the_server_runs() {
        let running = config("");
        let later = config(
            "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_own\"\n\
             client_secret = \"a secret of our own\"\n[smtp]\nhost = \"smtp.example.com\"\n",
        );
        let update = running.layers.updated(&later).unwrap();
        assert_eq!(update.needs_restart, ["mode", "public_urls", "smtp.host"]);
        assert_eq!(update.environment.mode.as_str(), "development");
    }
}
