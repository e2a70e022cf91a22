//! Credentials of a server that was given none: made at its start.

use super::setting::{Facts, Setting};
use super::source::Source;
use super::{DEFAULT_CLIENT_ID, control, default_client, environment};
use crate::domain::entropy::{Entropy, secret_text};
use crate::domain::settings::Mode;

static GENERATE_CREDENTIALS: Setting<bool> = Setting::boolean(
    "generate_credentials",
    false,
    "Make a client secret where no client is configured, and a control token where none is set, at each start, and print them. The container image does. Never in production mode.",
);

pub(super) fn settings() -> Vec<Facts> {
    vec![GENERATE_CREDENTIALS.facts()]
}

/// Which credentials were made at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Generated {
    pub client_secret: bool,
    pub control_token: bool,
}

impl Generated {
    /// Whether the server made any.
    pub fn is_any(self) -> bool {
        self.client_secret || self.control_token
    }
}

pub(super) fn of(source: &mut Source) -> Generated {
    source.boolean(&GENERATE_CREDENTIALS);
    Generated {
        client_secret: source.is_generated(default_client::CLIENT_SECRET.key()),
        control_token: source.is_generated(control::TOKEN.key()),
    }
}

impl Source {
    /// Sets the credentials that are missing, where the settings say so.
    pub fn generate_credentials(&mut self, entropy: &dyn Entropy) {
        if !self.boolean(&GENERATE_CREDENTIALS) || self.choice(&environment::MODE) == Mode::Production {
            return;
        }
        if self.tables("clients") == 0 && !default_client::is_written(self) {
            self.generate(default_client::CLIENT_ID.key(), DEFAULT_CLIENT_ID.to_owned());
            self.generate(default_client::CLIENT_SECRET.key(), format!("test_{}", secret_text(entropy)));
        }
        if !self.is_set(control::TOKEN.key()) {
            self.generate(control::TOKEN.key(), secret_text(entropy));
        }
    }
}
