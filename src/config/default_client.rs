//! The one client that needs no table: settings of the top level, meant for variables.

use secrecy::SecretString;

use super::secrets::SecretRules;
use super::setting::{Facts, Setting};
use super::source::Source;
use super::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SPA_CLIENT_ID};
use crate::domain::client::{Client, ClientApiSettings, ClientKind, ClientSecret};
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::{Branding, ClientBranding, Mode};
use crate::domain::signing_algorithm::SigningAlgorithm;

pub(super) static CLIENT_ID: Setting<Option<&str>> = Setting::optional_text(
    "client_id",
    DEFAULT_CLIENT_ID,
    "Id of the default web client, for when no [[clients]] are listed; meant to be set as VESTIBULE_CLIENT_ID.",
);

pub(super) static CLIENT_SECRET: Setting<Option<&str>> = Setting::optional_text(
    "client_secret",
    "test_…",
    "Its secret. The default pair is the same on every machine and accepted on loopback in development only; everywhere else a secret needs 16 characters or more.",
);

static REDIRECT_URIS: Setting<Option<&[&str]>> = Setting::optional_list(
    "redirect_uris",
    &["https://app.example.com/callback"],
    "Its registered callbacks. Loopback http URLs need no registration in development.",
);

static POST_LOGOUT_REDIRECT_URIS: Setting<Option<&[&str]>> = Setting::optional_list(
    "post_logout_redirect_uris",
    &["https://app.example.com/"],
    "Where browsers may go after logout, when the application asks for it.",
);

pub(super) static INSTANT_SIGN_IN: Setting<bool> = Setting::boolean(
    "instant_sign_in",
    false,
    "Let the control API sign users in to it without an email. Never in production mode.",
);

pub(super) fn settings() -> Vec<Facts> {
    vec![
        CLIENT_ID.facts(),
        CLIENT_SECRET.facts(),
        REDIRECT_URIS.facts(),
        POST_LOGOUT_REDIRECT_URIS.facts(),
        INSTANT_SIGN_IN.facts(),
    ]
}

/// Is its id or its secret set?
pub(super) fn is_written(source: &Source) -> bool {
    source.is_set(CLIENT_ID.key()) || source.is_set(CLIENT_SECRET.key())
}

/// The client that the settings describe, and beside the one that nobody described a public one. None where others are listed and
/// none is described.
pub(super) fn read(
    source: &mut Source,
    mode: Mode,
    rules: SecretRules,
    branding: &Branding,
    is_only: bool,
) -> Vec<Client> {
    let is_default = is_only && (!is_written(source) || source.is_generated(CLIENT_ID.key()));
    let web = read_web(source, mode, rules, branding, is_only);
    let public = web.as_ref().filter(|_| is_default).map(|web| Client {
        client_id: DEFAULT_SPA_CLIENT_ID.to_owned(),
        kind: ClientKind::Spa,
        ..web.clone()
    });
    web.into_iter().chain(public).collect()
}

fn read_web(
    source: &mut Source,
    mode: Mode,
    rules: SecretRules,
    branding: &Branding,
    is_only: bool,
) -> Option<Client> {
    let client_id = source.optional_text(&CLIENT_ID);
    let client_secret = source.optional_text(&CLIENT_SECRET);
    let pattern = |text: &str| RedirectPattern::parse(text, mode);
    let redirect_uris = source.parsed_list(&REDIRECT_URIS, pattern);
    let post_logout_redirect_uris = source.parsed_list(&POST_LOGOUT_REDIRECT_URIS, pattern);
    if !is_only && client_id.is_none() {
        return None;
    }
    if client_id.is_some() != client_secret.is_some() {
        let is_id_missing = client_id.is_none();
        let (missing, set) =
            if is_id_missing { (&CLIENT_ID, &CLIENT_SECRET) } else { (&CLIENT_SECRET, &CLIENT_ID) };
        let text = format!("is missing: {} is set, and they belong together", set.key());
        source.problem(missing.key(), text);
    }
    let client_secret = client_secret.unwrap_or_else(|| DEFAULT_CLIENT_SECRET.to_owned());
    rules.check(source, CLIENT_SECRET.key(), &client_secret);
    Some(Client {
        client_id: client_id.unwrap_or_else(|| DEFAULT_CLIENT_ID.to_owned()),
        name: branding.name.clone(),
        kind: ClientKind::Web { secrets: vec![ClientSecret::Plain(SecretString::from(client_secret))] },
        redirect_uris,
        post_logout_redirect_uris,
        initiate_login_uri: None,
        backchannel_logout_uri: None,
        enforce_pkce: false,
        require_pushed_authorization_requests: false,
        id_token_signed_response_alg: SigningAlgorithm::default(),
        access_token_lifetime_s: None,
        instant_sign_in: source.boolean(&INSTANT_SIGN_IN),
        api: ClientApiSettings::default(),
        branding: ClientBranding::default(),
    })
}

/// Forgets these settings, where clients are listed.
pub(super) fn remove(source: &mut Source) {
    for setting in settings() {
        source.remove(&setting.key);
    }
}

/// Is this the id of the client that these settings describe, or would describe?
pub(super) fn is_described(source: &mut Source, client_id: &str) -> bool {
    match source.optional_text(&CLIENT_ID) {
        Some(id) => id == client_id,
        None => {
            source.tables("clients") == 0 && [DEFAULT_CLIENT_ID, DEFAULT_SPA_CLIENT_ID].contains(&client_id)
        }
    }
}
