//! "Would this URL be allowed, and why?"

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::client::Client;
use crate::domain::client::{RedirectVerdict, check_post_logout_uri, check_redirect_uri};
use crate::domain::environment::Environment;
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::Mode;
use crate::runtime::Context;

/// The verdict on a URL for one application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RedirectCheck {
    pub client_id: String,
    /// Here, as the environment is set now.
    pub here: Verdict,
    /// In development, with these settings.
    pub development: Verdict,
    /// In production.
    pub production: Verdict,
    /// After logout, here.
    pub after_logout: Verdict,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RedirectVerdict)]
pub struct Verdict {
    pub allowed: bool,
    pub why: String,
}

/// Judges a URL for one application, or for all.
pub fn check(context: &Context, url: &str, client_id: Option<&str>) -> Vec<RedirectCheck> {
    let Environment { mode, strict_redirects: strict, .. } = *context.environment;
    let clients = context.environment.clients.iter().filter(|c| client_id.is_none_or(|id| c.client_id == id));
    let judged = clients.map(|client| RedirectCheck {
        client_id: client.client_id.clone(),
        here: verdict(check_redirect_uri(client, url, mode, strict), url, mode),
        development: verdict(
            check_redirect_uri(client, url, Mode::Development, strict),
            url,
            Mode::Development,
        ),
        production: in_production(client, url),
        after_logout: verdict(check_post_logout_uri(client, url, mode, strict), url, mode),
    });
    judged.collect()
}

fn verdict(verdict: RedirectVerdict, url: &str, mode: Mode) -> Verdict {
    let why = match verdict {
        RedirectVerdict::Registered => "It is registered.".to_owned(),
        RedirectVerdict::LoopbackInDevelopment => {
            "It is not registered, but in development any loopback http URL may be used (strict_redirects = false)."
                .to_owned()
        }
        RedirectVerdict::NotRegistered => match RedirectPattern::parse(url, mode) {
            Ok(_) => "It is not registered; URLs are compared byte for byte.".to_owned(),
            Err(error) => format!("It cannot be registered: it {error}."),
        },
    };
    Verdict { allowed: verdict.is_allowed(), why }
}

/// Production takes neither http nor loopback nor wildcards, registered or not.
fn in_production(client: &Client, url: &str) -> Verdict {
    let kept =
        client.redirect_uris.iter().filter(|p| RedirectPattern::parse(p.as_str(), Mode::Production).is_ok());
    let strict = Client { redirect_uris: kept.cloned().collect(), ..client.clone() };
    let found = verdict(check_redirect_uri(&strict, url, Mode::Production, true), url, Mode::Production);
    let is_only_by_wildcard = RedirectPattern::parse(url, Mode::Production).is_ok()
        && !found.allowed
        && check_redirect_uri(client, url, Mode::Production, true).is_allowed();
    if is_only_by_wildcard {
        let why =
            "It fits only a registered wildcard, which production does not take: register the URL itself.";
        return Verdict { allowed: false, why: why.to_owned() };
    }
    found
}
