//! "Would this URL be allowed, and why?"

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::Context;
use crate::domain::client::Client;
use crate::domain::environment::Mode;
use crate::domain::redirect_uri::{
    RedirectPattern, RedirectVerdict, check_post_logout_uri, check_redirect_uri,
};

/// The verdict on a URL for one application.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RedirectCheck {
    pub client_id: String,
    /// Here, as the environment is set now.
    pub here: Verdict,
    /// In a development environment of Scalekit's kind.
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
    let environment = &context.environment;
    let clients = environment.clients.iter().filter(|c| client_id.is_none_or(|id| c.client_id == id));
    let judged = clients.map(|client| RedirectCheck {
        client_id: client.client_id.clone(),
        here: redirect(client, url, environment.mode, environment.strict_redirects),
        development: redirect(client, url, Mode::Development, true),
        production: in_production(client, url),
        after_logout: verdict(check_post_logout_uri(
            client,
            url,
            environment.mode,
            environment.strict_redirects,
        )),
    });
    judged.collect()
}

fn redirect(client: &Client, url: &str, mode: Mode, strict: bool) -> Verdict {
    verdict(check_redirect_uri(client, url, mode, strict))
}

fn verdict(verdict: RedirectVerdict) -> Verdict {
    let why = match verdict {
        RedirectVerdict::Registered => "It is registered.",
        RedirectVerdict::LoopbackInDevelopment => {
            "It is not registered, but in development any loopback http URL may be used (strict_redirects = false)."
        }
        RedirectVerdict::NotRegistered => "It is not registered; URLs are compared byte for byte.",
    };
    Verdict { allowed: verdict.is_allowed(), why: why.to_owned() }
}

/// Production takes neither http nor loopback nor wildcards, registered or not.
fn in_production(client: &Client, url: &str) -> Verdict {
    if let Err(error) = RedirectPattern::parse(url, Mode::Production) {
        return Verdict { allowed: false, why: format!("It {error}.") };
    }
    let kept =
        client.redirect_uris.iter().filter(|p| RedirectPattern::parse(p.as_str(), Mode::Production).is_ok());
    let strict = Client { redirect_uris: kept.cloned().collect(), ..client.clone() };
    let found = redirect(&strict, url, Mode::Production, true);
    let only_by_wildcard = !found.allowed && redirect(client, url, Mode::Production, true).allowed;
    if only_by_wildcard {
        let why =
            "It fits only a registered wildcard, which production does not take: register the URL itself.";
        return Verdict { allowed: false, why: why.to_owned() };
    }
    found
}
