//! `[branding]` and `[mail]`: what users see of the environment's owner.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::problem::Location;
use super::setting::{Facts, Section, Setting};
use super::source::Source;
use crate::domain::email::EmailAddress;
use crate::domain::settings::{Branding, ClientBranding, Logo, MailFrom, Theme};

/// Largest logo of an application, in bytes: it is kept in the database.
const MAX_CLIENT_LOGO: u64 = 64 * 1024;

/// The media types of logos, by the ending of their files.
const LOGO_TYPES: &[(&str, &str)] = &[
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
];

const COLOR: &str = "must be a colour such as #3f4a8a";

static NAME: Setting<&str> = Setting::text("branding.name", "Vestibule", "On pages and in emails.")
    .changeable(|e| e.branding.name.as_str().into());

// A file of this machine: nothing to be named from outside.
static LOGO: Setting<Option<&str>> = Setting::optional_text(
    "branding.logo",
    "logo.svg",
    "A file (svg, png, jpg, webp), relative to this one; served by the server itself.",
);

static ACCENT_COLOR: Setting<&str> = Setting::text(
    "branding.accent_color",
    "#3f4a8a",
    "Buttons and links; shades that stay readable are derived from it.",
)
.changeable(|e| e.branding.accent_color.as_str().into());

static SUPPORT_EMAIL: Setting<Option<&str>> =
    Setting::optional_text("branding.support_email", "help@example.com", "Shown where users get stuck.")
        .changeable(|e| e.branding.support_email.clone().into());

static TERMS_URL: Setting<Option<&str>> = Setting::optional_text(
    "branding.terms_url",
    "https://example.com/terms",
    "Linked below every sign-in page.",
)
.changeable(|e| e.branding.terms_url.clone().into());

static PRIVACY_URL: Setting<Option<&str>> = Setting::optional_text(
    "branding.privacy_url",
    "https://example.com/privacy",
    "Linked below every sign-in page.",
)
.changeable(|e| e.branding.privacy_url.clone().into());

static THEME: Setting<Theme> = Setting::choice(
    "branding.theme",
    &[
        (Theme::Auto.as_str(), Theme::Auto),
        (Theme::Light.as_str(), Theme::Light),
        (Theme::Dark.as_str(), Theme::Dark),
    ],
    Theme::Auto,
    "Light or dark pages; `auto` follows the user's device.",
)
.changeable(|e| e.branding.theme.as_str().into());

static CLIENT_LOGO: Setting<Option<&str>> = Setting::optional_text(
    "clients.logo",
    "logo.svg",
    "Its own logo, up to 64 KiB: a file (svg, png, jpg, webp), relative to this one, or a `data:` URL, which is what the control API takes. Default: branding.logo.",
);

static CLIENT_ACCENT_COLOR: Setting<Option<&str>> = Setting::optional_text(
    "clients.accent_color",
    "#3f4a8a",
    "Its own colour of buttons and links. Default: branding.accent_color.",
);

static CLIENT_SUPPORT_EMAIL: Setting<Option<&str>> = Setting::optional_text(
    "clients.support_email",
    "help@example.com",
    "Shown where its users get stuck. Default: branding.support_email.",
);

static CLIENT_TERMS_URL: Setting<Option<&str>> = Setting::optional_text(
    "clients.terms_url",
    "https://example.com/terms",
    "Its own terms. Default: branding.terms_url.",
);

static CLIENT_PRIVACY_URL: Setting<Option<&str>> = Setting::optional_text(
    "clients.privacy_url",
    "https://example.com/privacy",
    "Its own privacy policy. Default: branding.privacy_url.",
);

static CLIENT_THEME: Setting<Option<&str>> = Setting::optional_text(
    "clients.theme",
    "dark",
    "`auto`, `light` or `dark` for its pages alone. Default: branding.theme.",
);

static FROM_NAME: Setting<Option<&str>> =
    Setting::optional_text("mail.from_name", "Vestibule", "The sender's name. Default: branding.name.")
        .changeable(|e| e.mail_from.name.as_str().into());

static FROM_ADDRESS: Setting<&str> = Setting::text(
    "mail.from_address",
    "no-reply@vestibule.localhost",
    "The sender's address, without a name.",
)
.changeable(|e| e.mail_from.address.to_string().into());

pub(super) fn section() -> Section {
    Section {
        table: "branding",
        is_list: false,
        about: "What users see.",
        settings: vec![
            NAME.facts(),
            LOGO.facts(),
            ACCENT_COLOR.facts(),
            SUPPORT_EMAIL.facts(),
            TERMS_URL.facts(),
            PRIVACY_URL.facts(),
            THEME.facts(),
        ],
    }
}

/// What `[[clients]]` may have of its own.
pub(super) fn client_settings() -> Vec<Facts> {
    vec![
        CLIENT_LOGO.facts(),
        CLIENT_ACCENT_COLOR.facts(),
        CLIENT_SUPPORT_EMAIL.facts(),
        CLIENT_TERMS_URL.facts(),
        CLIENT_PRIVACY_URL.facts(),
        CLIENT_THEME.facts(),
    ]
}

pub(super) fn mail_section() -> Section {
    Section {
        table: "mail",
        is_list: false,
        about: "The sender of emails.",
        settings: vec![FROM_NAME.facts(), FROM_ADDRESS.facts()],
    }
}

pub(super) fn read(source: &mut Source, base: &Path) -> Branding {
    let accent_color = source.text(&ACCENT_COLOR);
    if !is_color(&accent_color) {
        source.problem(ACCENT_COLOR.key(), COLOR);
    }
    Branding {
        name: source.text(&NAME),
        logo: read_logo(source, base),
        accent_color,
        support_email: source.parsed(&SUPPORT_EMAIL, EmailAddress::parse).map(|e| e.to_string()),
        terms_url: source.parsed(&TERMS_URL, web_page),
        privacy_url: source.parsed(&PRIVACY_URL, web_page),
        theme: source.choice(&THEME),
    }
}

/// What the client of this index has of its own.
pub(super) fn read_client(source: &mut Source, base: &Path, index: usize) -> ClientBranding {
    let color = |text: &str| if is_color(text) { Ok(text.to_owned()) } else { Err(COLOR) };
    ClientBranding {
        logo: read_client_logo(source, base, index),
        accent_color: source.parsed(&CLIENT_ACCENT_COLOR.at(index), color),
        support_email: source
            .parsed(&CLIENT_SUPPORT_EMAIL.at(index), EmailAddress::parse)
            .map(|e| e.to_string()),
        terms_url: source.parsed(&CLIENT_TERMS_URL.at(index), web_page),
        privacy_url: source.parsed(&CLIENT_PRIVACY_URL.at(index), web_page),
        theme: source.parsed(&CLIENT_THEME.at(index), theme),
    }
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#').is_some_and(|hex| hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn theme(text: &str) -> Result<Theme, &'static str> {
    let themes = [Theme::Auto, Theme::Light, Theme::Dark];
    themes.into_iter().find(|t| t.as_str() == text).ok_or("must be one of: auto, light, dark")
}

fn web_page(text: &str) -> Result<String, &'static str> {
    let is_web_page = Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    if is_web_page { Ok(text.to_owned()) } else { Err("must be a URL such as https://example.com/terms") }
}

fn read_logo(source: &mut Source, base: &Path) -> Option<Logo> {
    let path = base.join(source.optional_text(&LOGO)?);
    if !path.is_file() {
        source.problem_with(LOGO.key(), path.display().to_string(), "there is no such file");
    } else if logo_type(&path).is_none() {
        source.problem(LOGO.key(), "must be an svg, png, jpg or webp file");
    }
    Some(Logo::File(path))
}

fn logo_type(path: &Path) -> Option<&'static str> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    LOGO_TYPES.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
}

/// A client's logo as a `data:` URL, so that the control API shows and takes what it is, and names no file of this machine.
fn read_client_logo(source: &mut Source, base: &Path, index: usize) -> Option<String> {
    let setting = CLIENT_LOGO.at(index);
    let is_of_api = source.take(setting.key()).is_some_and(|entry| entry.location == Location::Api);
    let text = source.optional_text(&setting)?;
    let read = if text.starts_with("data:") {
        check_data_url(text)
    } else if is_of_api {
        Err("must be a data: URL of an svg, png, jpg or webp picture".to_owned())
    } else {
        data_url(&base.join(text))
    };
    read.map_err(|problem| source.problem(setting.key(), problem)).ok()
}

fn data_url(path: &Path) -> Result<String, String> {
    let media_type = logo_type(path).ok_or("must be an svg, png, jpg or webp file")?;
    let file = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file);
    if file.ok_or("there is no such file")?.len() > MAX_CLIENT_LOGO {
        return Err(format!("is larger than {MAX_CLIENT_LOGO} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)))
}

fn check_data_url(text: String) -> Result<String, String> {
    let parts = text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let picture = parts
        .filter(|(media_type, _)| LOGO_TYPES.iter().any(|(_, known)| known == media_type))
        .and_then(|(_, encoded)| STANDARD.decode(encoded).ok())
        .ok_or("must be data:image/svg+xml;base64,… or the same with image/png, image/jpeg or image/webp")?;
    if picture.len() as u64 > MAX_CLIENT_LOGO {
        return Err(format!("is larger than {MAX_CLIENT_LOGO} bytes"));
    }
    Ok(text)
}

pub(super) fn read_sender(source: &mut Source, branding: &Branding) -> MailFrom {
    let default = || EmailAddress::from_static(FROM_ADDRESS.default());
    MailFrom {
        name: source.optional_text(&FROM_NAME).unwrap_or_else(|| branding.name.clone()),
        address: source.parsed(&FROM_ADDRESS, EmailAddress::parse).unwrap_or_else(default),
    }
}
