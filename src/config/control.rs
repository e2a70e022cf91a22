//! `[control]`: the inbox and the control API.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::secrets::read_secret;
use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::Mode;

/// Short for `control.enabled`, and instead of the whole table: the one key that stands for another setting.
static SHORT: Setting<bool> = Setting::boolean("control", true, "");

pub(super) static ENABLED: Setting<bool> = Setting::boolean(
    "control.enabled",
    true,
    "In production mode it must be false. `control = false` instead of the whole table does the same.",
)
.except_in("production mode", false);

pub(super) static TOKEN: Setting<Option<&str>> = Setting::optional_text(
    "control.token",
    "",
    "Required of every caller when set, 16 characters or more: as Bearer token, or as the password a browser asks for.",
);

static SCENARIOS: Setting<&str> = Setting::text(
    "control.scenarios",
    "scenarios",
    "Folder of the named scenarios, one JSON or TOML file each.",
);

pub(super) fn section() -> Section {
    Section {
        table: "control",
        is_list: false,
        about: "The inbox and the control API below /_emulator.",
        settings: vec![ENABLED.facts(), TOKEN.facts(), SCENARIOS.facts()],
    }
}

/// The inbox and the control API.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    pub enabled: bool,
    /// Required of every caller when set; needed off loopback.
    pub token: Option<SecretString>,
    /// Folder of the named scenarios.
    pub scenarios: PathBuf,
}

pub(super) fn read(source: &mut Source, base: &Path, mode: Mode) -> ControlSettings {
    let mut enabled = ENABLED.in_case(mode == Mode::Production);
    if source.is_set(SHORT.key()) {
        enabled = enabled.or(source.boolean(&SHORT.or(enabled.default())));
    }
    ControlSettings {
        enabled: source.boolean(&enabled),
        token: read_secret(source, &TOKEN),
        scenarios: base.join(source.text(&SCENARIOS)),
    }
}
