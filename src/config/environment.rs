//! The environment: its settings of the top level, `[flows]`, `[requests]`, `[faults]` and `[logout]`, and the sections
//! that are read with them.

use std::path::Path;

use super::setting::{Facts, Section, Setting};
use super::source::Source;
use super::{
    branding, clients, limits, management, pages, passwordless, sessions, test_users, token_template, tokens,
    webhooks,
};
use crate::domain::environment::{DEFAULT_ENVIRONMENT_ID, Environment};
use crate::domain::public_url::PublicUrl;
use crate::domain::request_journal::MAX_KEPT;
use crate::domain::settings::{LoginHintMode, LogoutConfirm, Mode};

pub(super) static MODE: Setting<Mode> = Setting::choice(
    "mode",
    &[(Mode::Development.as_str(), Mode::Development), (Mode::Production.as_str(), Mode::Production)],
    Mode::Development,
    "Production has no inbox, no test users and no loopback redirects, and needs https public_urls and SMTP.",
)
.shown(|e| e.mode.as_str().into());

static ENVIRONMENT_ID: Setting<&str> =
    Setting::text("environment_id", DEFAULT_ENVIRONMENT_ID, "Id of the environment in the database.");

pub(super) static PUBLIC_URLS: Setting<Option<&[&str]>> = Setting::optional_list(
    "public_urls",
    &["http://localhost:6870"],
    "URLs under which browsers and applications reach the server. Issuer, emails and redirects are built from these alone; the request's Host chooses among them, and an unknown Host gets the first. A sign-in keeps the URL it began under as its issuer, whichever one the application calls later. While a client has the well-known secret, a name of public DNS that is not among them is refused (421). Default: localhost, 127.0.0.1 and [::1] with the port really bound, by http and https.",
);

static ISSUER: Setting<bool> = Setting::choice(
    "issuer",
    &[("public_urls", false), ("from_host", true)],
    false,
    "`from_host`: in development, and where no public_urls are set, the request's Host makes the URL, as long as it is an address of a private network, a name without a dot or one of a private zone such as `.localhost` and `.internal`. It is for containers, whose port on the outside nobody knows beforehand; the image has it so. A sign-in keeps the URL it began under. `public_urls`: those alone.",
);

static STRICT_REDIRECTS: Setting<bool> = Setting::boolean(
    "strict_redirects",
    false,
    "In development too, refuse loopback http redirect URIs that are not registered.",
)
.changeable(|e| e.strict_redirects.into());

static LOGIN_HINT: Setting<LoginHintMode> = Setting::choice(
    "login_hint",
    &[
        (LoginHintMode::Send.as_str(), LoginHintMode::Send),
        (LoginHintMode::Prefill.as_str(), LoginHintMode::Prefill),
    ],
    LoginHintMode::Send,
    "`send`: email the hinted address at once. `prefill`: fill it into the form.",
)
.changeable(|e| e.login_hint.as_str().into());

static DEMO: Setting<bool> = Setting::boolean(
    "demo",
    false,
    "A demonstration without an inbox: a banner on the pages, and the code on the code page. Never in production mode.",
)
.changeable(|e| e.demo.into());

static DETERMINISTIC_SEED: Setting<Option<&str>> = Setting::optional_text(
    "deterministic_seed",
    "any text",
    "Makes ids, codes, links and token ids the same in every run that does the same steps in the same order. Never in production mode.",
)
.changeable(|e| e.deterministic_seed.clone().into());

pub(super) static FLOWS_KEEP_S: Setting<i64> = Setting::integer(
    "flows.keep_s",
    0..=31_536_000,
    86_400,
    "How long it is kept, in seconds; 0 keeps none.",
)
.changeable(|e| e.flows_keep_s.into());

static REQUESTS_KEEP: Setting<i64> = Setting::integer(
    "requests.keep",
    0..=MAX_KEPT,
    500,
    "How many are kept of an environment, in each server's memory; 0 keeps none. In production mode it must be 0.",
)
.except_in("production mode", 0)
.changeable(|e| e.requests_keep.into());

static FAULT_ADDRESSES: Setting<bool> = Setting::boolean(
    "faults.addresses",
    true,
    "Addresses with `+vb-expired`, `+vb-limited`, `+vb-mailfail`, `+vb-slow` or `+vb-denied` cause what they say. In production mode it must be false.",
)
.except_in("production mode", false)
.changeable(|e| e.fault_addresses.into());

static LOGOUT_CONFIRM: Setting<LogoutConfirm> = Setting::choice(
    "logout.confirm",
    &[
        (LogoutConfirm::WithoutHint.as_str(), LogoutConfirm::WithoutHint),
        (LogoutConfirm::Never.as_str(), LogoutConfirm::Never),
    ],
    LogoutConfirm::Never,
    "`without_hint`: ask the user first where no valid id_token_hint came. `never`: sign out at once. An id_token_hint of another user or session always asks.",
)
.except_in("production mode", LogoutConfirm::WithoutHint)
.changeable(|e| e.logout_confirm.as_str().into());

pub(super) fn settings() -> Vec<Facts> {
    vec![
        MODE.facts(),
        ENVIRONMENT_ID.facts(),
        PUBLIC_URLS.facts(),
        ISSUER.facts(),
        STRICT_REDIRECTS.facts(),
        LOGIN_HINT.facts(),
        DEMO.facts(),
        pages::DEV_BAR.facts(),
        pages::ACCOUNT_PICKER.facts(),
        DETERMINISTIC_SEED.facts(),
    ]
}

/// What an environment is known by, and what it is: they cannot change while the server runs.
pub(super) fn identity() -> [&'static str; 3] {
    [MODE.key(), ENVIRONMENT_ID.key(), PUBLIC_URLS.key()]
}

pub(super) fn flows_section() -> Section {
    Section {
        table: "flows",
        is_list: false,
        about: "The sign-in log: what was checked and decided, and why.",
        settings: vec![FLOWS_KEEP_S.facts()],
    }
}

pub(super) fn requests_section() -> Section {
    Section {
        table: "requests",
        is_list: false,
        about: "The request journal: the last requests to an environment, without their secrets.",
        settings: vec![REQUESTS_KEEP.facts()],
    }
}

pub(super) fn faults_section() -> Section {
    Section {
        table: "faults",
        is_list: false,
        about: "Faults without the control API: addresses that cause outcomes.",
        settings: vec![FAULT_ADDRESSES.facts()],
    }
}

pub(super) fn logout_section() -> Section {
    Section {
        table: "logout",
        is_list: false,
        about: "Logout by applications (`/oidc/logout`).",
        settings: vec![LOGOUT_CONFIRM.facts()],
    }
}

/// Reads the environment. `is_local`: only this machine can connect.
pub(super) fn read(source: &mut Source, base: &Path, is_local: bool) -> Environment {
    let mode = source.choice(&MODE);
    let passwordless = passwordless::read(source);
    let branding = branding::read(source, base);
    let public_urls = source.parsed_list(&PUBLIC_URLS, PublicUrl::parse);
    Environment {
        id: source.text(&ENVIRONMENT_ID),
        name: None,
        issuer_from_host: source.choice(&ISSUER) && mode == Mode::Development && public_urls.is_empty(),
        public_urls,
        strict_redirects: source.boolean(&STRICT_REDIRECTS),
        login_hint: source.choice(&LOGIN_HINT),
        clients: clients::read(source, base, mode, is_local, &branding),
        test_users: test_users::read(source, mode, &passwordless),
        tokens: tokens::read(source),
        token_template: token_template::read(source),
        sessions: sessions::read(source),
        management: management::read(source),
        limits: limits::read(source, mode),
        mail_from: branding::read_sender(source, &branding),
        deterministic_seed: read_deterministic_seed(source, mode),
        demo: read_demo(source, mode),
        flows_keep_s: source.integer(&FLOWS_KEEP_S),
        requests_keep: read_requests_keep(source, mode),
        fault_addresses: read_fault_addresses(source, mode),
        logout_confirm: source.choice(&LOGOUT_CONFIRM.in_case(mode == Mode::Production)),
        delivery_retry_percent: webhooks::read_retry_percent(source),
        mode,
        passwordless,
        pages: pages::read(source),
        branding,
    }
}

fn read_deterministic_seed(source: &mut Source, mode: Mode) -> Option<String> {
    let seed = source.optional_text(&DETERMINISTIC_SEED);
    if seed.is_some() && mode == Mode::Production {
        let text = "must be left out in production mode: codes would be foreseeable";
        source.problem(DETERMINISTIC_SEED.key(), text);
    }
    seed
}

fn read_requests_keep(source: &mut Source, mode: Mode) -> i64 {
    let keep = source.integer(&REQUESTS_KEEP.in_case(mode == Mode::Production));
    if keep > 0 && mode == Mode::Production {
        source.problem(REQUESTS_KEEP.key(), "must be 0 in production mode: nobody can read them there");
    }
    keep
}

fn read_fault_addresses(source: &mut Source, mode: Mode) -> bool {
    let addresses = source.boolean(&FAULT_ADDRESSES.in_case(mode == Mode::Production));
    if addresses && mode == Mode::Production {
        let text = "must be false in production mode: anybody could have such an address";
        source.problem(FAULT_ADDRESSES.key(), text);
    }
    addresses
}

fn read_demo(source: &mut Source, mode: Mode) -> bool {
    let demo = source.boolean(&DEMO);
    if demo && mode == Mode::Production {
        let text = "must be false in production mode: it shows codes to whoever asks for them";
        source.problem(DEMO.key(), text);
    }
    demo
}
