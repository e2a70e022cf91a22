//! The settings of the environment: clients, sign-in, tokens, people.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use secrecy::SecretString;

use super::secrets::{weakness, weakness_of_hash};
use super::source::Source;
use super::{DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_SPA_CLIENT_ID};
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::email::EmailAddress;
use crate::domain::environment::{DEFAULT_ENVIRONMENT_ID, Environment};
use crate::domain::limits::MAX_RECENT_SENDS;
use crate::domain::logout_token::check_backchannel_logout_uri;
use crate::domain::public_url::PublicUrl;
use crate::domain::redirect_uri::RedirectPattern;
use crate::domain::settings::{
    Branding, Limits, LoginHintMode, LogoutConfirm, MailFrom, Mode, PasswordlessSettings, PasswordlessType,
    SessionSettings, TestUsers, TokenSettings,
};
use crate::domain::settings_change::{CODE_LENGTH, VALIDITY_S};
use crate::domain::signing_algorithm::SigningAlgorithm;

/// Colour of buttons and links when none is configured.
const DEFAULT_ACCENT: &str = "#3f4a8a";

/// People and organizations to exist from the start.
#[derive(Debug, Clone, Default)]
pub struct SeedSettings {
    pub organizations: Vec<SeedOrganization>,
    pub users: Vec<SeedUser>,
}

#[derive(Debug, Clone)]
pub struct SeedOrganization {
    /// `org_…`; made from the external id or the name when left out.
    pub id: Option<String>,
    pub display_name: String,
    pub external_id: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SeedUser {
    /// `usr_…`; made when left out.
    pub id: Option<String>,
    pub email: EmailAddress,
    pub name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub picture: Option<String>,
    pub locale: Option<String>,
    pub external_id: Option<String>,
    /// Ids or external ids of organizations.
    pub organizations: Vec<String>,
}

/// Reads the environment. `is_local`: only this machine can connect.
pub(super) fn read(source: &mut Source, base: &Path, is_local: bool) -> Environment {
    let modes = [("development", Mode::Development), ("production", Mode::Production)];
    let mode = source.choice("mode", &modes, Mode::Development);
    let hints = [("send", LoginHintMode::Send), ("prefill", LoginHintMode::Prefill)];
    let passwordless = read_passwordless(source);
    let branding = read_branding(source, base);
    Environment {
        id: source.filled("environment_id").unwrap_or_else(|| DEFAULT_ENVIRONMENT_ID.to_owned()),
        name: None,
        public_urls: source.parsed_list("public_urls", PublicUrl::parse).unwrap_or_default(),
        strict_redirects: source.boolean("strict_redirects", false),
        login_hint: source.choice("login_hint", &hints, LoginHintMode::Send),
        clients: read_clients(source, mode, is_local, &branding),
        test_users: read_test_users(source, mode, &passwordless),
        tokens: read_tokens(source),
        sessions: read_sessions(source),
        limits: read_limits(source, mode),
        mail_from: MailFrom {
            name: source.filled("mail.from_name").unwrap_or_else(|| branding.name.clone()),
            address: read_sender(source),
        },
        deterministic_seed: read_deterministic_seed(source, mode),
        demo: read_demo(source, mode),
        flows_keep_s: source.integer("flows.keep_s", 0..=31_536_000, 86_400),
        logout_confirm: read_logout_confirm(source, mode),
        mode,
        passwordless,
        branding,
    }
}

fn read_deterministic_seed(source: &mut Source, mode: Mode) -> Option<String> {
    let seed = source.filled("deterministic_seed");
    if seed.is_some() && mode == Mode::Production {
        source
            .problem("deterministic_seed", "must be left out in production mode: codes would be foreseeable");
    }
    seed
}

fn read_logout_confirm(source: &mut Source, mode: Mode) -> LogoutConfirm {
    let default = match mode {
        Mode::Development => LogoutConfirm::Never,
        Mode::Production => LogoutConfirm::WithoutHint,
    };
    let choices = [LogoutConfirm::WithoutHint, LogoutConfirm::Never].map(|c| (c.as_str(), c));
    source.choice("logout.confirm", &choices, default)
}

fn read_demo(source: &mut Source, mode: Mode) -> bool {
    let demo = source.boolean("demo", false);
    if demo && mode == Mode::Production {
        source.problem("demo", "must be false in production mode: it shows codes to whoever asks for them");
    }
    demo
}

fn read_passwordless(source: &mut Source) -> PasswordlessSettings {
    let types =
        [PasswordlessType::Otp, PasswordlessType::Link, PasswordlessType::LinkOtp].map(|t| (t.as_str(), t));
    PasswordlessSettings {
        enabled: source.boolean("passwordless.enabled", true),
        passwordless_type: source.choice("passwordless.type", &types, PasswordlessType::LinkOtp),
        validity_s: source.integer("passwordless.validity_s", VALIDITY_S, 300),
        enforce_same_browser_origin: source.boolean("passwordless.enforce_same_browser_origin", true),
        regenerate_passwordless_credentials_on_resend: source
            .boolean("passwordless.regenerate_passwordless_credentials_on_resend", true),
        code_length: u32::try_from(source.integer("passwordless.code_length", CODE_LENGTH, 6)).unwrap_or(6),
        connection_id: connection_id(source),
        sign_up_allowed: source.boolean("passwordless.sign_up_allowed", true),
    }
}

fn connection_id(source: &mut Source) -> String {
    let key = "passwordless.connection_id";
    let id = source.filled(key).unwrap_or_else(|| "conn_687000000000000001".to_owned());
    if !id.starts_with("conn_") || id.contains(';') {
        source.problem(key, "must start with conn_ and contain no semicolon");
    }
    id
}

fn read_test_users(source: &mut Source, mode: Mode, passwordless: &PasswordlessSettings) -> TestUsers {
    let enabled = source.boolean("test_users.enabled", mode == Mode::Development);
    if enabled && mode == Mode::Production {
        source.problem("test_users.enabled", "must be false in production mode");
    }
    let length = passwordless.code_length as usize;
    let default_code = "4242424242"[..length.min(10)].to_owned();
    let static_code = source.filled("test_users.static_code").unwrap_or(default_code);
    if static_code.len() != length || !static_code.bytes().all(|b| b.is_ascii_digit()) {
        source.problem(
            "test_users.static_code",
            format!("must be {length} digits, as passwordless.code_length says"),
        );
    }
    TestUsers {
        enabled,
        patterns: source.list("test_users.patterns").unwrap_or_else(|| vec!["*+sktest*@*".to_owned()]),
        static_code,
    }
}

fn read_tokens(source: &mut Source) -> TokenSettings {
    let user_management = source.boolean("tokens.user_management", false);
    let (access_s, id_s) = if user_management { (300, 1_800) } else { (900, 259_200) };
    TokenSettings {
        user_management,
        access_token_lifetime_s: source.integer("tokens.access_token_lifetime_s", 5..=2_592_000, access_s),
        id_token_lifetime_s: source.integer("tokens.id_token_lifetime_s", 5..=2_592_000, id_s),
        client_token_lifetime_s: source.integer("tokens.client_token_lifetime_s", 5..=2_592_000, 86_399),
        authorization_code_lifetime_s: source.integer("tokens.authorization_code_lifetime_s", 5..=600, 600),
        refresh_token_lifetime_s: source.integer(
            "tokens.refresh_token_lifetime_s",
            60..=31_536_000,
            2_592_000,
        ),
        refresh_grace_s: source.integer("tokens.refresh_grace_s", 0..=120, 30),
    }
}

fn read_sessions(source: &mut Source) -> SessionSettings {
    let settings = SessionSettings {
        absolute_timeout_s: source.integer("sessions.absolute_timeout_s", 60..=31_536_000, 2_592_000),
        idle_timeout_s: source.integer("sessions.idle_timeout_s", 60..=31_536_000, 604_800),
    };
    if settings.idle_timeout_s > settings.absolute_timeout_s {
        source.problem("sessions.idle_timeout_s", "must not be longer than sessions.absolute_timeout_s");
    }
    settings
}

fn read_limits(source: &mut Source, mode: Mode) -> Limits {
    let mut number = |key: &str, in_production: i64| {
        let default = if mode == Mode::Production { in_production } else { 0 };
        let number = source.integer(key, 0..=i64::try_from(MAX_RECENT_SENDS).unwrap_or(i64::MAX), default);
        u32::try_from(number).ok().filter(|n| *n > 0)
    };
    let mails_per_source = number("limits.mails_per_source", 30);
    let mails_in_all = number("limits.mails_in_all", 600);
    let mails = source.integer("limits.mails_per_address", 0..=10_000, 2);
    let failures = source.integer("limits.failed_attempts_per_address", 0..=10_000, 100);
    if failures == 1 {
        source.problem(
            "limits.failed_attempts_per_address",
            "must be 0, or at least 2: 1 would judge no code at all",
        );
    }
    Limits {
        code_attempts: u32::try_from(source.integer("limits.code_attempts", 1..=100, 5)).unwrap_or(5),
        code_attempts_window_s: source.integer("limits.code_attempts_window_s", 1..=86_400, 600),
        mails_per_address: u32::try_from(mails).ok().filter(|n| *n > 0),
        failed_attempts_per_address: u32::try_from(failures).ok().filter(|n| *n > 0),
        mails_per_source,
        mails_in_all,
        mails_window_s: source.integer("limits.mails_window_s", 1..=86_400, 60),
        auth_request_lifetime_s: source.integer("limits.auth_request_lifetime_s", 60..=86_400, 3_600),
    }
}

fn read_branding(source: &mut Source, base: &Path) -> Branding {
    let logo_path = source.filled("branding.logo").map(|p| base.join(p));
    if let Some(path) = &logo_path {
        let known = path.extension().and_then(|e| e.to_str()).is_some_and(|e| {
            ["svg", "png", "jpg", "jpeg", "webp"].contains(&e.to_ascii_lowercase().as_str())
        });
        if !path.is_file() {
            source.problem_with("branding.logo", path.display().to_string(), "there is no such file");
        } else if !known {
            source.problem("branding.logo", "must be an svg, png, jpg or webp file");
        }
    }
    let accent_color = source.filled("branding.accent_color").unwrap_or_else(|| DEFAULT_ACCENT.to_owned());
    let hex = accent_color.strip_prefix('#').unwrap_or_default();
    if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        source.problem("branding.accent_color", "must be a colour such as #3f4a8a");
    }
    Branding {
        name: source.filled("branding.name").unwrap_or_else(|| "Vestibule".to_owned()),
        logo_path,
        accent_color,
        support_email: source.parsed("branding.support_email", EmailAddress::parse).map(|e| e.to_string()),
    }
}

fn read_sender(source: &mut Source) -> EmailAddress {
    let default = || EmailAddress::from_static("no-reply@vestibule.localhost");
    source.parsed("mail.from_address", EmailAddress::parse).unwrap_or_else(default)
}

fn read_clients(source: &mut Source, mode: Mode, is_local: bool, branding: &Branding) -> Vec<Client> {
    let count = source.tables("clients");
    let is_well_known = count == 0 && !source.is_set("client_id") && !source.is_set("client_secret");
    let secrets = if is_local && mode == Mode::Development { Secrets::Any } else { Secrets::HardToGuess };
    let short = read_short_client(source, mode, secrets, branding, count == 0);
    let mut clients: Vec<Client> = short.into_iter().collect();
    if is_well_known {
        let public = clients.first().map(|web| Client {
            client_id: DEFAULT_SPA_CLIENT_ID.to_owned(),
            kind: ClientKind::Spa,
            ..web.clone()
        });
        clients.extend(public);
    }
    for index in 0..count {
        if let Some(client) = read_client(source, &format!("clients[{index}]"), mode, secrets, branding) {
            if clients.iter().any(|c| c.client_id == client.client_id) {
                source.problem(&format!("clients[{index}].client_id"), "is used by another client already");
            }
            clients.push(client);
        }
    }
    if mode == Mode::Production && clients.iter().any(|c| c.instant_sign_in) {
        source.problem("instant_sign_in", "must be false in production mode");
    }
    clients
}

/// The one client that needs no table: the default, shaped by `client_id`, `client_secret` and the like, which
/// are meant for variables.
fn read_short_client(
    source: &mut Source,
    mode: Mode,
    secrets: Secrets,
    branding: &Branding,
    is_only: bool,
) -> Option<Client> {
    let client_id = source.filled("client_id");
    let client_secret = source.filled("client_secret");
    let pattern = |text: &str| RedirectPattern::parse(text, mode);
    let redirect_uris = source.parsed_list("redirect_uris", pattern).unwrap_or_default();
    let post_logout_redirect_uris =
        source.parsed_list("post_logout_redirect_uris", pattern).unwrap_or_default();
    if !is_only && client_id.is_none() {
        return None;
    }
    if client_id.is_some() != client_secret.is_some() {
        let (missing, set) =
            if client_id.is_none() { ("client_id", "client_secret") } else { ("client_secret", "client_id") };
        source.problem(missing, format!("is missing: {set} is set, and they belong together"));
    }
    let client_secret = client_secret.unwrap_or_else(|| DEFAULT_CLIENT_SECRET.to_owned());
    secrets.check(source, "client_secret", &client_secret);
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
        instant_sign_in: source.boolean("instant_sign_in", false),
    })
}

/// Which client secrets are good enough.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrets {
    /// Only this machine can connect, and nobody real signs in.
    Any,
    HardToGuess,
}

impl Secrets {
    fn check(self, source: &mut Source, key: &str, secret: &str) {
        self.check_with(source, key, || weakness(secret));
    }

    fn check_hash(self, source: &mut Source, key: &str, hash: &str) {
        self.check_with(source, key, || weakness_of_hash(hash));
    }

    fn check_with(self, source: &mut Source, key: &str, weakness: impl Fn() -> Option<&'static str>) {
        if self == Self::HardToGuess
            && let Some(weakness) = weakness()
        {
            source.problem(key, weakness);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KindName {
    Web,
    Spa,
    Native,
}

fn read_client(
    source: &mut Source,
    table: &str,
    mode: Mode,
    required: Secrets,
    branding: &Branding,
) -> Option<Client> {
    let key = |name: &str| format!("{table}.{name}");
    let kinds = [("web", KindName::Web), ("spa", KindName::Spa), ("native", KindName::Native)];
    let kind = source.choice(&key("type"), &kinds, KindName::Web);
    let secrets = read_client_secrets(source, &key, required);
    match (kind, secrets.len()) {
        (KindName::Web, 0) => source.problem(&key("client_secret"), "is missing: a web client has a secret"),
        (KindName::Web, 1 | 2) => {}
        (KindName::Web, _) => source.problem(&key("client_secrets"), "holds more than two secrets"),
        (_, 0) => {}
        _ => {
            source.problem(&key("client_secret"), "must be left out: public clients (spa, native) have none");
        }
    }
    let pattern = |text: &str| RedirectPattern::parse(text, mode);
    let client_id = source.filled(&key("client_id"));
    if client_id.is_none() {
        source.problem(&key("client_id"), "is missing");
    }
    Some(Client {
        name: source.filled(&key("name")).unwrap_or_else(|| branding.name.clone()),
        redirect_uris: source.parsed_list(&key("redirect_uris"), pattern).unwrap_or_default(),
        post_logout_redirect_uris: source
            .parsed_list(&key("post_logout_redirect_uris"), pattern)
            .unwrap_or_default(),
        initiate_login_uri: source
            .parsed(&key("initiate_login_uri"), |text| RedirectPattern::parse_page(text, mode))
            .map(|page| page.as_str().to_owned()),
        backchannel_logout_uri: source
            .parsed(&key("backchannel_logout_uri"), |text| check_backchannel_logout_uri(text, mode)),
        enforce_pkce: source.boolean(&key("enforce_pkce"), false),
        require_pushed_authorization_requests: source
            .boolean(&key("require_pushed_authorization_requests"), false),
        id_token_signed_response_alg: source.choice(
            &key("id_token_signed_response_alg"),
            &SigningAlgorithm::ALL.map(|a| (a.as_str(), a)),
            SigningAlgorithm::default(),
        ),
        access_token_lifetime_s: source.optional_integer(&key("access_token_lifetime_s"), 5..=2_592_000),
        instant_sign_in: source.boolean(&key("instant_sign_in"), false),
        kind: match kind {
            KindName::Web => ClientKind::Web { secrets },
            KindName::Spa => ClientKind::Spa,
            KindName::Native => ClientKind::Native,
        },
        client_id: client_id?,
    })
}

fn read_client_secrets(
    source: &mut Source,
    key: &impl Fn(&str) -> String,
    required: Secrets,
) -> Vec<ClientSecret> {
    let mut secrets = Vec::new();
    if let Some(secret) = source.filled(&key("client_secret")) {
        required.check(source, &key("client_secret"), &secret);
        secrets.push(ClientSecret::Plain(SecretString::from(secret)));
    }
    for secret in source.list(&key("client_secrets")).unwrap_or_default() {
        if secret.is_empty() {
            source.problem(&key("client_secrets"), "holds an empty secret");
        } else {
            required.check(source, &key("client_secrets"), &secret);
        }
        secrets.push(ClientSecret::Plain(SecretString::from(secret)));
    }
    if let Some(hash) = source.filled(&key("client_secret_argon2")) {
        if argon2::password_hash::phc::PasswordHash::new(&hash).is_err() {
            source.problem(
                &key("client_secret_argon2"),
                "is not a hash in PHC form ($argon2id$…): vestibule config hash-secret makes one",
            );
        } else {
            required.check_hash(source, &key("client_secret_argon2"), &hash);
        }
        secrets.push(ClientSecret::Argon2(hash));
    }
    secrets
}

pub(super) fn read_seed(source: &mut Source) -> SeedSettings {
    let organizations: Vec<SeedOrganization> = (0..source.tables("organizations"))
        .map(|i| read_organization(source, &format!("organizations[{i}]")))
        .collect();
    let users: Vec<(usize, SeedUser)> = (0..source.tables("users"))
        .filter_map(|i| Some((i, read_user(source, &format!("users[{i}]"), &organizations)?)))
        .collect();
    let of_organizations = organizations.iter().enumerate();
    let organization_ids = of_organizations.filter_map(|(i, o)| Some((i, "id", o.id.clone()?)));
    refuse_twins(source, "organizations", organization_ids);
    let user_ids = users.iter().filter_map(|(i, u)| Some((*i, "id", u.id.clone()?)));
    refuse_twins(source, "users", user_ids);
    let mailboxes = users.iter().map(|(i, u)| (*i, "email", u.email.key().to_owned()));
    refuse_twins(source, "users", mailboxes);
    SeedSettings { organizations, users: users.into_iter().map(|(_, user)| user).collect() }
}

/// Refuses a record that has the id or the mailbox of another: one of the two would be lost without a word. `records` says
/// which table, which of its settings, and what that comes to, however it is spelled.
fn refuse_twins(
    source: &mut Source,
    tables: &str,
    records: impl Iterator<Item = (usize, &'static str, String)>,
) {
    let mut first = BTreeMap::new();
    for (index, name, identity) in records {
        let key = format!("{tables}[{index}].{name}");
        match first.entry(identity) {
            Entry::Vacant(entry) => {
                entry.insert(key);
            }
            Entry::Occupied(entry) => {
                let other = entry.get();
                let written = source.location(other).map(|at| format!(" ({at})")).unwrap_or_default();
                let text = format!("is the same {name} as {other}{written}");
                let value = source.text(&key).unwrap_or_default();
                source.problem_with(&key, value, text);
            }
        }
    }
}

fn read_organization(source: &mut Source, table: &str) -> SeedOrganization {
    let key = |name: &str| format!("{table}.{name}");
    let display_name = source.filled(&key("display_name"));
    if display_name.is_none() {
        source.problem(&key("display_name"), "is missing");
    }
    SeedOrganization {
        id: read_id(source, &key("id"), "org_"),
        display_name: display_name.unwrap_or_default(),
        external_id: source.filled(&key("external_id")),
    }
}

fn read_user(source: &mut Source, table: &str, organizations: &[SeedOrganization]) -> Option<SeedUser> {
    let key = |name: &str| format!("{table}.{name}");
    let email = source.parsed(&key("email"), EmailAddress::parse);
    if !source.is_set(&key("email")) {
        source.problem(&key("email"), "is missing");
    }
    let member_of = source.list(&key("organizations")).unwrap_or_default();
    for named in &member_of {
        let is_named = |id: &Option<String>| id.as_ref() == Some(named);
        if !organizations.iter().any(|o| is_named(&o.id) || is_named(&o.external_id)) {
            let text =
                format!("names {named:?}, which is neither id nor external_id of one of [[organizations]]");
            source.problem(&key("organizations"), text);
        }
    }
    let user = SeedUser {
        id: read_id(source, &key("id"), "usr_"),
        name: source.filled(&key("name")),
        given_name: source.filled(&key("given_name")),
        family_name: source.filled(&key("family_name")),
        picture: source.filled(&key("picture")),
        locale: source.filled(&key("locale")),
        external_id: source.filled(&key("external_id")),
        organizations: member_of,
        email: email?,
    };
    Some(user)
}

/// An id with its prefix and 15 to 21 digits, as Scalekit's messages demand.
fn read_id(source: &mut Source, key: &str, prefix: &str) -> Option<String> {
    let id = source.filled(key)?;
    let digits = id.strip_prefix(prefix).unwrap_or_default();
    if !(15..=21).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        source.problem(key, format!("must be {prefix} and 15 to 21 digits"));
    }
    Some(id)
}
