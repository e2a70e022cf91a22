//! `[management]`: what Scalekit's API does with users where its documentation leaves a choice.

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::settings::{ExistingEmail, ManagementSettings};

static INVITATION_LIFETIME_S: Setting<i64> = Setting::integer(
    "management.invitation_lifetime_s",
    60..=2_592_000,
    1_296_000,
    "Seconds that an invitation to an organization can be accepted.",
)
.changeable(|e| e.management.invitation_lifetime_s.into());

static EXISTING_EMAIL: Setting<ExistingEmail> = Setting::choice(
    "management.existing_email",
    &[
        (ExistingEmail::Refuse.as_str(), ExistingEmail::Refuse),
        (ExistingEmail::Join.as_str(), ExistingEmail::Join),
    ],
    ExistingEmail::Refuse,
    "When a user is created with an address that has an account: `refuse`, or `join`, which adds the membership to that \
     account and changes nothing else of it.",
)
.changeable(|e| e.management.existing_email.as_str().into());

pub(super) fn section() -> Section {
    Section {
        table: "management",
        is_list: false,
        about: "Users and organizations by Scalekit's API.",
        settings: vec![INVITATION_LIFETIME_S.facts(), EXISTING_EMAIL.facts()],
    }
}

pub(super) fn read(source: &mut Source) -> ManagementSettings {
    ManagementSettings {
        invitation_lifetime_s: source.integer(&INVITATION_LIFETIME_S),
        existing_email: source.choice(&EXISTING_EMAIL),
    }
}
