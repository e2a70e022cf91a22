//! `[branding]` and `[mail]`: what users see of the environment's owner.

use std::path::{Path, PathBuf};

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::email::EmailAddress;
use crate::domain::settings::{Branding, MailFrom};

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
        settings: vec![NAME.facts(), LOGO.facts(), ACCENT_COLOR.facts(), SUPPORT_EMAIL.facts()],
    }
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
    let logo_path = read_logo(source, base);
    let accent_color = source.text(&ACCENT_COLOR);
    let hex = accent_color.strip_prefix('#').unwrap_or_default();
    if hex.len() != 6 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        source.problem(ACCENT_COLOR.key(), "must be a colour such as #3f4a8a");
    }
    Branding {
        name: source.text(&NAME),
        logo_path,
        accent_color,
        support_email: source.parsed(&SUPPORT_EMAIL, EmailAddress::parse).map(|e| e.to_string()),
    }
}

fn read_logo(source: &mut Source, base: &Path) -> Option<PathBuf> {
    let path = base.join(source.optional_text(&LOGO)?);
    let is_known = path
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ["svg", "png", "jpg", "jpeg", "webp"].contains(&e.to_ascii_lowercase().as_str()));
    if !path.is_file() {
        source.problem_with(LOGO.key(), path.display().to_string(), "there is no such file");
    } else if !is_known {
        source.problem(LOGO.key(), "must be an svg, png, jpg or webp file");
    }
    Some(path)
}

pub(super) fn read_sender(source: &mut Source, branding: &Branding) -> MailFrom {
    let default = || EmailAddress::from_static(FROM_ADDRESS.default());
    MailFrom {
        name: source.optional_text(&FROM_NAME).unwrap_or_else(|| branding.name.clone()),
        address: source.parsed(&FROM_ADDRESS, EmailAddress::parse).unwrap_or_else(default),
    }
}
