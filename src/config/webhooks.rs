//! `[[webhooks]]`: where events are sent. `[delivery]`: how they, and logout tokens, are.

use super::setting::{Section, Setting};
use super::source::Source;
use super::twins::refuse_twins;
use crate::domain::event::EventType;
use crate::domain::settings::Mode;
use crate::domain::webhook::{self, WebhookSecret};

static URL: Setting<Option<&str>> = Setting::optional_text(
    "webhooks.url",
    "http://localhost:3000/webhooks",
    "Required: events are posted to it. https in production mode.",
);
static EVENTS: Setting<Option<&[&str]>> = Setting::optional_list(
    "webhooks.events",
    &["user.signup", "organization.created"],
    "Types of the events that are sent; left out: all.",
);
static SECRET: Setting<Option<&str>> = Setting::optional_text(
    "webhooks.secret",
    "whsec_dGhpcyBpcyBub3QgYSBzZWNyZXQsIGNoYW5nZSBpdCE=",
    "What receivers verify signatures with: whsec_ and 24 to 64 bytes in base64. Made when left out; the control API \
     shows it.",
);
static ENABLED: Setting<bool> = Setting::boolean(
    "webhooks.enabled",
    true,
    "Whether events are sent. What happens while it is disabled is never sent.",
);
static DESCRIPTION: Setting<&str> = Setting::text("webhooks.description", "", "What it is for.");

static RETRY_PERCENT: Setting<i64> = Setting::integer(
    "delivery.retry_percent",
    0..=1_000,
    100,
    "Waits between attempts, as a percentage: 5 s, 30 s, 2 min, 5 min and 15 min for webhooks, and from 1 s on twice as \
     long each time for back-channel logout, by the environment's clock.",
)
.changeable(|e| e.delivery_retry_percent.into());

pub(super) static ALLOWED_HOSTS: Setting<Option<&[&str]>> = Setting::optional_list(
    "delivery.allowed_hosts",
    &["app.internal"],
    "Hosts that webhooks may be sent to in production mode although they have loopback, private or link-local addresses.",
);

pub(super) fn section() -> Section {
    Section {
        table: "webhooks",
        is_list: true,
        about: "Endpoints that events are sent to, signed as Scalekit's SDKs verify it.",
        settings: vec![URL.facts(), EVENTS.facts(), SECRET.facts(), ENABLED.facts(), DESCRIPTION.facts()],
    }
}

pub(super) fn delivery_section() -> Section {
    Section {
        table: "delivery",
        is_list: false,
        about: "How webhooks and logout tokens are delivered to applications.",
        settings: vec![RETRY_PERCENT.facts(), ALLOWED_HOSTS.facts()],
    }
}

/// An endpoint to exist from the start.
#[derive(Debug, Clone)]
pub struct ConfiguredWebhook {
    pub url: String,
    /// None: all.
    pub events: Vec<EventType>,
    /// `None`: one is made.
    pub secret: Option<WebhookSecret>,
    pub enabled: bool,
    pub description: String,
}

pub(super) fn read(source: &mut Source, mode: Mode) -> Vec<ConfiguredWebhook> {
    let webhooks: Vec<ConfiguredWebhook> =
        (0..source.tables("webhooks")).map(|index| read_one(source, index, mode)).collect();
    let urls = webhooks.iter().enumerate().map(|(index, webhook)| (index, webhook.url.clone()));
    refuse_twins(source, &URL, urls.filter(|(_, url)| !url.is_empty()));
    webhooks
}

fn read_one(source: &mut Source, index: usize, mode: Mode) -> ConfiguredWebhook {
    ConfiguredWebhook {
        url: read_url(source, &URL.at(index), mode),
        events: read_events(source, &EVENTS.at(index)),
        secret: read_secret(source, &SECRET.at(index)),
        enabled: source.boolean(&ENABLED.at(index)),
        description: read_description(source, &DESCRIPTION.at(index)),
    }
}

/// Empty where it is no good.
fn read_url(source: &mut Source, setting: &Setting<Option<&'static str>>, mode: Mode) -> String {
    let Some(text) = source.optional_text(setting) else {
        source.problem(setting.key(), "is missing");
        return String::new();
    };
    webhook::check_url(&text, mode).unwrap_or_else(|reason| {
        source.problem_with(setting.key(), text, reason);
        String::new()
    })
}

fn read_events(source: &mut Source, setting: &Setting<Option<&'static [&'static str]>>) -> Vec<EventType> {
    let names = source.optional_list(setting);
    webhook::parse_events(&names).unwrap_or_else(|reason| {
        source.problem(setting.key(), reason);
        vec![]
    })
}

/// A mistake in it is named without its text.
fn read_secret(source: &mut Source, setting: &Setting<Option<&'static str>>) -> Option<WebhookSecret> {
    let text = source.optional_text(setting)?;
    match WebhookSecret::parse(&text) {
        Ok(secret) => Some(secret),
        Err(error) => {
            source.problem(setting.key(), error.to_string());
            None
        }
    }
}

fn read_description(source: &mut Source, setting: &Setting<&'static str>) -> String {
    let description = source.text(setting);
    if let Some(reason) = webhook::bad_description(&description) {
        source.problem(setting.key(), reason);
    }
    description
}

pub(super) fn read_retry_percent(source: &mut Source) -> i64 {
    source.integer(&RETRY_PERCENT)
}

/// Hosts as URLs have them: in small letters, without other scripts.
pub(super) fn read_allowed_hosts(source: &mut Source) -> Vec<String> {
    source.parsed_list(&ALLOWED_HOSTS, |host| {
        url::Host::parse(host).map(|host| host.to_string()).map_err(|_| "is no host name")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read_toml(toml: &str, mode: Mode) -> (Vec<ConfiguredWebhook>, Vec<String>) {
        let mut source = Source::default();
        source.add_file(Path::new("vestibule.toml"), toml);
        let webhooks = read(&mut source, mode);
        read_allowed_hosts(&mut source);
        (webhooks, source.finish().into_iter().map(|problem| problem.key).collect())
    }

    #[test]
    fn an_endpoint_needs_a_url_alone() {
        let (webhooks, problems) =
            read_toml("[[webhooks]]\nurl = \"http://localhost:3000/hook\"\n", Mode::Development);
        assert_eq!(problems, Vec::<String>::new());
        let webhook = &webhooks[0];
        assert!(webhook.enabled && webhook.events.is_empty() && webhook.secret.is_none());
    }

    #[test]
    fn mistakes_are_named_and_secrets_are_not_repeated() {
        for (toml, key) in [
            ("[[webhooks]]\nevents = []\n", "webhooks[0].url"),
            ("[[webhooks]]\nurl = \"\"\n", "webhooks[0].url"),
            ("[[webhooks]]\nurl = \"/hook\"\n", "webhooks[0].url"),
            ("[[webhooks]]\nurl = \"http://a.io/\"\nevents = [\"user.created\"]\n", "webhooks[0].events"),
            ("[[webhooks]]\nurl = \"http://a.io/\"\nsecret = \"whsec_short\"\n", "webhooks[0].secret"),
            (
                "[[webhooks]]\nurl = \"http://a.io/\"\n[[webhooks]]\nurl = \"http://a.io/\"\n",
                "webhooks[1].url",
            ),
            ("[delivery]\nallowed_hosts = [\"a b\"]\n", "delivery.allowed_hosts"),
        ] {
            assert_eq!(read_toml(toml, Mode::Development).1, [key], "{toml}");
        }
        let plain = "[[webhooks]]\nurl = \"http://app.example.com/\"\n";
        assert_eq!(read_toml(plain, Mode::Production).1, ["webhooks[0].url"]);
        let mut source = Source::default();
        let toml = "[[webhooks]]\nurl = \"http://a.io/\"\nsecret = \"whsec_mistyped\"\n";
        source.add_file(Path::new("vestibule.toml"), toml);
        read(&mut source, Mode::Development);
        assert!(!source.finish().iter().any(|problem| problem.to_string().contains("mistyped")));
    }
}
