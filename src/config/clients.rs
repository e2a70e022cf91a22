//! `[[clients]]`: the applications that the configuration registers.

use std::path::Path;

use secrecy::SecretString;

use super::branding;
use super::default_client;
use super::secrets::SecretRules;
use super::setting::{Pairs, Section, Setting};
use super::source::Source;
use super::tokens::LIFETIME_S;
use crate::domain::client::{Client, ClientApiSettings, ClientKind, ClientSecret};
use crate::domain::logout_token::check_backchannel_logout_uri;
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::{Branding, Mode};
use crate::domain::signing_algorithm::SigningAlgorithm;

pub(super) static CLIENT_ID: Setting<Option<&str>> =
    Setting::optional_text("clients.client_id", "skc_1234", "Any text; Scalekit's start with skc_.");

static NAME: Setting<Option<&str>> =
    Setting::optional_text("clients.name", "My App", "Shown to users. Default: branding.name.");

static TYPE: Setting<KindName> = Setting::choice(
    "clients.type",
    &[("web", KindName::Web), ("spa", KindName::Spa), ("native", KindName::Native)],
    KindName::Web,
    "`web` has a secret; `spa` and `native` are public and use PKCE.",
);

static CLIENT_SECRET: Setting<Option<&str>> = Setting::optional_text(
    "clients.client_secret",
    "test_secret",
    "Secret of a web client. At least 16 characters in production mode and on listeners beyond loopback.",
);

static CLIENT_SECRETS: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.client_secrets",
    &[],
    "Several secrets while one is being replaced: at most two in all. An empty list: none yet.",
);

static CLIENT_SECRET_ARGON2: Setting<Option<&str>> = Setting::optional_text(
    "clients.client_secret_argon2",
    "$argon2id$…",
    "Instead of the secret itself; `vestibule config hash-secret` makes it.",
);

static REDIRECT_URIS: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.redirect_uris",
    &["https://app.example.com/callback"],
    "Callbacks. In development one `*` may stand in the leftmost host label.",
);

static POST_LOGOUT_REDIRECT_URIS: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.post_logout_redirect_uris",
    &["https://app.example.com/"],
    "Where browsers may go after logout.",
);

static INITIATE_LOGIN_URI: Setting<Option<&str>> = Setting::optional_text(
    "clients.initiate_login_uri",
    "https://app.example.com/login",
    "Where to send a browser whose sign-in was lost.",
);

static BACKCHANNEL_LOGOUT_URI: Setting<Option<&str>> = Setting::optional_text(
    "clients.backchannel_logout_uri",
    "https://app.example.com/backchannel-logout",
    "Where logout tokens are sent when a session ends in which this client got tokens.",
);

static MORE_BACKCHANNEL_LOGOUT_URIS: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.more_backchannel_logout_uris",
    &["https://api.example.com/backchannel-logout"],
    "Where they are sent besides, where one address is not enough.",
);

static ENFORCE_PKCE: Setting<bool> =
    Setting::boolean("clients.enforce_pkce", false, "Require PKCE of a web client too.");

static REQUIRE_PUSHED_AUTHORIZATION_REQUESTS: Setting<bool> = Setting::boolean(
    "clients.require_pushed_authorization_requests",
    false,
    "Accept only authorization requests that this client pushed to /oauth/par.",
);

static ID_TOKEN_SIGNED_RESPONSE_ALG: Setting<SigningAlgorithm> = Setting::choice(
    "clients.id_token_signed_response_alg",
    &[
        (SigningAlgorithm::Rs256.as_str(), SigningAlgorithm::Rs256),
        (SigningAlgorithm::Es256.as_str(), SigningAlgorithm::Es256),
    ],
    SigningAlgorithm::Rs256,
    "For ID tokens and logout tokens. The key set has a key for ES256 once a client asks for it.",
);

static ACCESS_TOKEN_LIFETIME_S: Setting<Option<i64>> = Setting::optional_integer(
    "clients.access_token_lifetime_s",
    LIFETIME_S,
    900,
    "Lifetime of this client's access tokens, in seconds. Default: tokens.access_token_lifetime_s.",
);

static INSTANT_SIGN_IN: Setting<bool> = Setting::boolean(
    "clients.instant_sign_in",
    false,
    "Let the control API sign users in to it without an email. Never in production mode.",
);

static DISALLOW_SCALEKIT_API_ACCESS: Setting<bool> =
    Setting::boolean("clients.disallow_scalekit_api_access", false, "Refuse its calls of Scalekit's API.");

static SCOPES: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.scopes",
    &["openid", "profile"],
    "Shown by Scalekit's API, and enforced by nothing.",
);

static GRANT_TYPES: Setting<Option<&[&str]>> = Setting::optional_list(
    "clients.grant_types",
    &["authorization_code"],
    "Shown by Scalekit's API, and enforced by nothing.",
);

static CUSTOM_CLAIMS: Setting<Option<Pairs>> = Setting::optional_table(
    "clients.custom_claims",
    &[("tier", "gold")],
    "Shown by Scalekit's API; no token says them.",
);

pub(super) fn section() -> Section {
    Section {
        table: "clients",
        is_list: true,
        about: "Registered applications. Without any, there are two with well-known credentials: the web client skc_687000000000000001 with its secret, and the public client spac_687000000000000001 for applications in a browser.",
        settings: vec![
            CLIENT_ID.facts(),
            NAME.facts(),
            TYPE.facts(),
            CLIENT_SECRET.facts(),
            CLIENT_SECRETS.facts(),
            CLIENT_SECRET_ARGON2.facts(),
            REDIRECT_URIS.facts(),
            POST_LOGOUT_REDIRECT_URIS.facts(),
            INITIATE_LOGIN_URI.facts(),
            BACKCHANNEL_LOGOUT_URI.facts(),
            MORE_BACKCHANNEL_LOGOUT_URIS.facts(),
            ENFORCE_PKCE.facts(),
            REQUIRE_PUSHED_AUTHORIZATION_REQUESTS.facts(),
            ID_TOKEN_SIGNED_RESPONSE_ALG.facts(),
            ACCESS_TOKEN_LIFETIME_S.facts(),
            INSTANT_SIGN_IN.facts(),
            DISALLOW_SCALEKIT_API_ACCESS.facts(),
            SCOPES.facts(),
            GRANT_TYPES.facts(),
            CUSTOM_CLAIMS.facts(),
        ]
        .into_iter()
        .chain(branding::client_settings())
        .collect(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KindName {
    Web,
    Spa,
    Native,
}

/// The default clients, or those that are listed.
pub(super) fn read(
    source: &mut Source,
    base: &Path,
    mode: Mode,
    is_local: bool,
    branding: &Branding,
) -> Vec<Client> {
    let count = source.tables("clients");
    let is_guarded = !is_local || mode == Mode::Production;
    let rules = if is_guarded { SecretRules::HardToGuess } else { SecretRules::Any };
    let mut clients = default_client::read(source, mode, rules, branding, count == 0);
    for index in 0..count {
        if let Some(client) = read_client(source, base, index, mode, rules, branding) {
            if clients.iter().any(|c| c.client_id == client.client_id) {
                source.problem(CLIENT_ID.at(index).key(), "is used by another client already");
            }
            clients.push(client);
        }
    }
    if mode == Mode::Production && clients.iter().any(|c| c.instant_sign_in) {
        source.problem(default_client::INSTANT_SIGN_IN.key(), "must be false in production mode");
    }
    clients
}

fn read_client(
    source: &mut Source,
    base: &Path,
    index: usize,
    mode: Mode,
    rules: SecretRules,
    branding: &Branding,
) -> Option<Client> {
    let kind = read_kind(source, index, rules);
    let pattern = |text: &str| RedirectPattern::parse(text, mode);
    let client_id = source.optional_text(&CLIENT_ID.at(index));
    if client_id.is_none() {
        source.problem(CLIENT_ID.at(index).key(), "is missing");
    }
    Some(Client {
        name: source.optional_text(&NAME.at(index)).unwrap_or_else(|| branding.name.clone()),
        redirect_uris: source.parsed_list(&REDIRECT_URIS.at(index), pattern),
        post_logout_redirect_uris: source.parsed_list(&POST_LOGOUT_REDIRECT_URIS.at(index), pattern),
        initiate_login_uri: source
            .parsed(&INITIATE_LOGIN_URI.at(index), |text| RedirectPattern::parse_page(text, mode))
            .map(|page| page.as_str().to_owned()),
        backchannel_logout_uri: source
            .parsed(&BACKCHANNEL_LOGOUT_URI.at(index), |text| check_backchannel_logout_uri(text, mode)),
        enforce_pkce: source.boolean(&ENFORCE_PKCE.at(index)),
        require_pushed_authorization_requests: source
            .boolean(&REQUIRE_PUSHED_AUTHORIZATION_REQUESTS.at(index)),
        id_token_signed_response_alg: source.choice(&ID_TOKEN_SIGNED_RESPONSE_ALG.at(index)),
        access_token_lifetime_s: source.optional_integer(&ACCESS_TOKEN_LIFETIME_S.at(index)),
        instant_sign_in: source.boolean(&INSTANT_SIGN_IN.at(index)),
        api: ClientApiSettings {
            more_backchannel_logout_uris: source
                .parsed_list(&MORE_BACKCHANNEL_LOGOUT_URIS.at(index), |text| {
                    check_backchannel_logout_uri(text, mode)
                }),
            disallow_scalekit_api_access: source.boolean(&DISALLOW_SCALEKIT_API_ACCESS.at(index)),
            scopes: source.optional_list(&SCOPES.at(index)),
            grant_types: source.optional_list(&GRANT_TYPES.at(index)),
            custom_claims: source.optional_table(&CUSTOM_CLAIMS.at(index)).into_iter().collect(),
        },
        branding: branding::read_client(source, base, index),
        kind,
        client_id: client_id?,
    })
}

/// The client's kind with its secrets, which a web client has, and no other.
fn read_kind(source: &mut Source, index: usize, rules: SecretRules) -> ClientKind {
    let kind = source.choice(&TYPE.at(index));
    let secrets = read_secrets(source, index, rules);
    let (secret, list) = (CLIENT_SECRET.at(index), CLIENT_SECRETS.at(index));
    match (kind, secrets.len()) {
        // Scalekit's API makes it without one, and gives it one later.
        (KindName::Web, 0) if source.is_set(list.key()) => {}
        (KindName::Web, 0) => source.problem(secret.key(), "is missing: a web client has a secret"),
        (KindName::Web, 1 | 2) => {}
        (KindName::Web, _) => source.problem(list.key(), "holds more than two secrets"),
        (_, 0) => {}
        _ => source.problem(secret.key(), "must be left out: public clients (spa, native) have none"),
    }
    match kind {
        KindName::Web => ClientKind::Web { secrets },
        KindName::Spa => ClientKind::Spa,
        KindName::Native => ClientKind::Native,
    }
}

fn read_secrets(source: &mut Source, index: usize, rules: SecretRules) -> Vec<ClientSecret> {
    let (one, list) = (CLIENT_SECRET.at(index), CLIENT_SECRETS.at(index));
    let mut secrets = Vec::new();
    if let Some(secret) = source.optional_text(&one) {
        rules.check(source, one.key(), &secret);
        secrets.push(ClientSecret::Plain(SecretString::from(secret)));
    }
    for secret in source.optional_list(&list) {
        if secret.is_empty() {
            source.problem(list.key(), "holds an empty secret");
        } else {
            rules.check(source, list.key(), &secret);
        }
        secrets.push(ClientSecret::Plain(SecretString::from(secret)));
    }
    let hashed = CLIENT_SECRET_ARGON2.at(index);
    if let Some(hash) = source.optional_text(&hashed) {
        if argon2::password_hash::phc::PasswordHash::new(&hash).is_err() {
            source.problem(
                hashed.key(),
                "is not a hash in PHC form ($argon2id$…): vestibule config hash-secret makes one",
            );
        } else {
            rules.check_hash(source, hashed.key(), &hash);
        }
        secrets.push(ClientSecret::Argon2(hash));
    }
    secrets
}

/// Is this the id of one of the listed clients?
pub(super) fn is_listed(source: &mut Source, client_id: &str) -> bool {
    (0..source.tables("clients"))
        .any(|index| source.optional_text(&CLIENT_ID.at(index)).as_deref() == Some(client_id))
}
