//! `[smtp]`: the server that emails leave by.

use std::path::Path;

use secrecy::SecretString;

use super::files::read_file;
use super::setting::{Section, Setting};
use super::source::Source;
use crate::mail::{Encryption, SmtpSettings};

pub(super) static HOST: Setting<Option<&str>> =
    Setting::optional_text("smtp.host", "smtp.example.com", "Name or address of the SMTP server.");

static PORT: Setting<i64> =
    Setting::integer("smtp.port", 1..=65_535, 587, "Default by encryption: none 25, starttls 587, tls 465.");

static ENCRYPTION: Setting<Encryption> = Setting::choice(
    "smtp.encryption",
    &[("none", Encryption::None), ("starttls", Encryption::StartTls), ("tls", Encryption::Tls)],
    Encryption::StartTls,
    "`starttls` refuses a server that does not offer it.",
);

static USERNAME: Setting<Option<&str>> =
    Setting::optional_text("smtp.username", "user", "Together with the password, or not at all.");

static PASSWORD: Setting<Option<&str>> =
    Setting::optional_text("smtp.password", "password", "Best set as VESTIBULE_SMTP__PASSWORD.");

static TIMEOUT_S: Setting<i64> =
    Setting::integer("smtp.timeout_s", 1..=120, 10, "Seconds that one whole delivery may take.");

static CA_FILE: Setting<Option<&str>> =
    Setting::optional_text("smtp.ca_file", "ca.pem", "Also trust the certificates in this file.");

static MAX_ATTEMPTS: Setting<i64> = Setting::integer(
    "smtp.max_attempts",
    1..=1000,
    20,
    "Attempts, at growing intervals, before an email is given up.",
);

pub(super) fn section() -> Section {
    Section {
        table: "smtp",
        is_list: false,
        about: "Without a host, emails stay in the built-in inbox.",
        settings: vec![
            HOST.facts(),
            PORT.facts(),
            ENCRYPTION.facts(),
            USERNAME.facts(),
            PASSWORD.facts(),
            TIMEOUT_S.facts(),
            CA_FILE.facts(),
            MAX_ATTEMPTS.facts(),
        ],
    }
}

pub(super) fn read(source: &mut Source, base: &Path) -> Option<SmtpSettings> {
    let host = source.optional_text(&HOST);
    let encryption = source.choice(&ENCRYPTION);
    let usual_port = match encryption {
        Encryption::None => 25,
        Encryption::StartTls => PORT.default(),
        Encryption::Tls => 465,
    };
    let settings = SmtpSettings {
        host: host.clone().unwrap_or_default(),
        port: u16::try_from(source.integer(&PORT.or(usual_port))).unwrap_or_default(),
        encryption,
        username: source.optional_text(&USERNAME),
        password: source.optional_text(&PASSWORD).map(SecretString::from),
        timeout_s: source.integer(&TIMEOUT_S).unsigned_abs(),
        ca_file: read_file(source, base, &CA_FILE),
        max_attempts: source.unsigned(&MAX_ATTEMPTS),
    };
    if settings.username.is_some() != settings.password.is_some() {
        source.problem(USERNAME.key(), "and smtp.password are needed together");
    }
    host.map(|_| settings)
}
