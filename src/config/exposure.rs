//! What must not be reachable by others, or be switched on for real users.

use super::source::Source;
use super::{Config, control, environment, server, smtp};
use crate::domain::settings::Mode;

/// Refuses what must not be reachable from elsewhere, or be switched on for real users.
pub(super) fn check(source: &mut Source, config: &Config) {
    let exposed = !config.is_loopback();
    let production = config.environment.mode == Mode::Production;
    if exposed || production {
        if exposed && config.control.enabled && config.control.token.is_none() {
            source.problem(
                control::TOKEN.key(),
                "is missing: with a listener that others can reach, the inbox and the control API need a token \
                 (VESTIBULE_CONTROL__TOKEN), or switch them off (VESTIBULE_CONTROL__ENABLED=false)",
            );
        }
        if exposed && config.environment.public_urls.is_empty() && !config.environment.issuer_from_host {
            source.problem(
                environment::PUBLIC_URLS.key(),
                "is missing: say under which URLs users and applications reach this server \
                 (VESTIBULE_PUBLIC_URLS=http://localhost:6870,http://vestibule:6870)",
            );
        }
    }
    if production {
        if config.control.enabled {
            source.problem(
                control::ENABLED.key(),
                "must be false in production mode: emails of real users are not kept",
            );
        }
        if config.smtp_listen.is_some() {
            source.problem(
                server::SMTP_LISTEN.key(),
                "must not be set in production mode: it fills the inbox, which production mode does not have",
            );
        }
        if config.smtp.is_none() {
            source.problem(smtp::HOST.key(), "is missing: production mode sends its emails by SMTP");
        }
        if config.environment.public_urls.iter().any(|u| !u.is_secure()) {
            source.problem(environment::PUBLIC_URLS.key(), "must all start with https:// in production mode");
        }
    }
}
