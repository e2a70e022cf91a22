//! `[[interceptors]]`: applications that are asked before something happens.

use super::setting::{Section, Setting};
use super::source::Source;
use super::twins::refuse_twins;
use crate::domain::interceptor::{
    DEFAULT_TIMEOUT_MS, FailurePolicy, MAX_INTERCEPTORS, TIMEOUT_MS, TriggerPoint, bad_description,
    bad_display_name,
};
use crate::domain::settings::Mode;
use crate::domain::webhook::{WebhookSecret, check_url};

static DISPLAY_NAME: Setting<Option<&str>> = Setting::optional_text(
    "interceptors.display_name",
    "Validate email domain",
    "What it is called in requests and logs. Default: its trigger point.",
);
static DESCRIPTION: Setting<&str> = Setting::text("interceptors.description", "", "What it is for.");
static TRIGGER_POINT: Setting<TriggerPoint> = Setting::choice(
    "interceptors.trigger_point",
    &[
        (TriggerPoint::PreSignup.as_str(), TriggerPoint::PreSignup),
        (TriggerPoint::PreSessionCreation.as_str(), TriggerPoint::PreSessionCreation),
        (TriggerPoint::PreUserInvitation.as_str(), TriggerPoint::PreUserInvitation),
        (TriggerPoint::PreM2mTokenCreation.as_str(), TriggerPoint::PreM2mTokenCreation),
    ],
    TriggerPoint::PreSessionCreation,
    "Before what it is asked: an organization that a sign-up makes, a session or its change of organization, an \
     invitation, a token of an organization's machine client.",
);
static URL: Setting<Option<&str>> = Setting::optional_text(
    "interceptors.url",
    "http://localhost:3000/interceptors",
    "Required: requests are posted to it. https in production mode, where hosts have to be public ones or in \
     delivery.allowed_hosts.",
);
static SECRET: Setting<Option<&str>> = Setting::optional_text(
    "interceptors.secret",
    "whsec_dGhpcyBpcyBub3QgYSBzZWNyZXQsIGNoYW5nZSBpdCE=",
    "What the application verifies signatures with: whsec_ and 24 to 64 bytes in base64. Made when left out; the \
     control API shows it.",
);
static TIMEOUT: Setting<i64> = Setting::integer(
    "interceptors.timeout_ms",
    TIMEOUT_MS,
    DEFAULT_TIMEOUT_MS,
    "Milliseconds that the application may take, by real time.",
);
static FAILURE_POLICY: Setting<FailurePolicy> = Setting::choice(
    "interceptors.failure_policy",
    &[
        (FailurePolicy::FailOpen.as_str(), FailurePolicy::FailOpen),
        (FailurePolicy::FailClosed.as_str(), FailurePolicy::FailClosed),
    ],
    FailurePolicy::FailOpen,
    "What holds where it gives no decision: `FAIL_OPEN` allows, `FAIL_CLOSED` denies.",
);
static ENABLED: Setting<bool> = Setting::boolean("interceptors.enabled", true, "Whether it is asked.");

pub(super) fn section() -> Section {
    Section {
        table: "interceptors",
        is_list: true,
        about: "Applications that are asked before something happens, and allow or deny it. Requests are signed as Scalekit's SDKs verify it.",
        settings: vec![
            DISPLAY_NAME.facts(),
            DESCRIPTION.facts(),
            TRIGGER_POINT.facts(),
            URL.facts(),
            SECRET.facts(),
            TIMEOUT.facts(),
            FAILURE_POLICY.facts(),
            ENABLED.facts(),
        ],
    }
}

/// An interceptor to exist from the start.
#[derive(Debug, Clone)]
pub struct ConfiguredInterceptor {
    pub display_name: String,
    pub description: String,
    pub trigger_point: TriggerPoint,
    pub url: String,
    /// `None`: one is made.
    pub secret: Option<WebhookSecret>,
    pub timeout_ms: i64,
    pub failure_policy: FailurePolicy,
    pub is_enabled: bool,
}

impl ConfiguredInterceptor {
    /// What tells it apart from the others: its id comes from it.
    pub fn key(&self) -> String {
        format!("{} {}", self.trigger_point.as_str(), self.url)
    }
}

pub(super) fn read(source: &mut Source, mode: Mode) -> Vec<ConfiguredInterceptor> {
    let interceptors: Vec<ConfiguredInterceptor> =
        (0..source.tables("interceptors")).map(|index| read_one(source, index, mode)).collect();
    let keys = interceptors.iter().enumerate().filter(|(_, interceptor)| !interceptor.url.is_empty());
    let keys: Vec<_> = keys.map(|(index, interceptor)| (index, interceptor.key())).collect();
    refuse_twins(source, &URL, keys.into_iter());
    if interceptors.len() > MAX_INTERCEPTORS {
        source.problem(URL.at(MAX_INTERCEPTORS).key(), format!("is one of more than {MAX_INTERCEPTORS}"));
    }
    interceptors
}

fn read_one(source: &mut Source, index: usize, mode: Mode) -> ConfiguredInterceptor {
    let trigger_point = source.choice(&TRIGGER_POINT.at(index));
    let display_name = source.optional_text(&DISPLAY_NAME.at(index));
    let display_name = display_name.unwrap_or_else(|| trigger_point.as_str().to_owned());
    if let Some(reason) = bad_display_name(&display_name) {
        source.problem(DISPLAY_NAME.at(index).key(), reason);
    }
    let description = source.text(&DESCRIPTION.at(index));
    if let Some(reason) = bad_description(&description) {
        source.problem(DESCRIPTION.at(index).key(), reason);
    }
    ConfiguredInterceptor {
        display_name,
        description,
        trigger_point,
        url: read_url(source, &URL.at(index), mode),
        secret: read_secret(source, &SECRET.at(index)),
        timeout_ms: source.integer(&TIMEOUT.at(index)),
        failure_policy: source.choice(&FAILURE_POLICY.at(index)),
        is_enabled: source.boolean(&ENABLED.at(index)),
    }
}

/// Empty where it is no good.
fn read_url(source: &mut Source, setting: &Setting<Option<&'static str>>, mode: Mode) -> String {
    let Some(text) = source.optional_text(setting) else {
        source.problem(setting.key(), "is missing");
        return String::new();
    };
    check_url(&text, mode).unwrap_or_else(|reason| {
        source.problem_with(setting.key(), text, reason);
        String::new()
    })
}

/// A mistake in it is named without its text.
fn read_secret(source: &mut Source, setting: &Setting<Option<&'static str>>) -> Option<WebhookSecret> {
    let text = source.optional_text(setting)?;
    let parsed = WebhookSecret::parse(&text);
    parsed.inspect_err(|error| source.problem(setting.key(), error.to_string())).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_toml(toml: &str, mode: Mode) -> (Vec<ConfiguredInterceptor>, Vec<String>) {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        let interceptors = read(&mut source, mode);
        (interceptors, source.finish().into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn an_interceptor_needs_a_url_alone() {
        let toml = "[[interceptors]]\nurl = \"http://localhost:3000/hook\"\n";
        let (interceptors, problems) = read_toml(toml, Mode::Development);
        assert_eq!(problems, Vec::<String>::new());
        let interceptor = &interceptors[0];
        assert_eq!((interceptor.timeout_ms, interceptor.is_enabled), (10_000, true));
        assert_eq!(interceptor.display_name, "PRE_SESSION_CREATION");
        assert_eq!(interceptor.failure_policy, FailurePolicy::FailOpen);
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not_repeated() {
        let one = |line: &str| format!("[[interceptors]]\nurl = \"http://a.io/\"\n{line}\n");
        for (toml, key) in [
            ("[[interceptors]]\nenabled = true\n".to_owned(), "interceptors[0].url"),
            ("[[interceptors]]\nurl = \"/hook\"\n".to_owned(), "interceptors[0].url"),
            (one("trigger_point = \"POST_USER_AUTHENTICATION\""), "interceptors[0].trigger_point"),
            (one("timeout_ms = 99"), "interceptors[0].timeout_ms"),
            (one("failure_policy = \"OPEN\""), "interceptors[0].failure_policy"),
            (one("secret = \"whsec_short\""), "interceptors[0].secret"),
            (one("") + &one(""), "interceptors[1].url"),
        ] {
            assert_eq!(read_toml(&toml, Mode::Development).1, [key], "{toml}");
        }
        assert_eq!(read_toml(&one(""), Mode::Production).1, ["interceptors[0].url"]);
        let two = one("") + &one("trigger_point = \"PRE_SIGNUP\"");
        assert_eq!(read_toml(&two, Mode::Development).1, Vec::<String>::new(), "one URL for two triggers");
    }
}
