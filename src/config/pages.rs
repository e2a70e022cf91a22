//! `[pages]`: how the sign-in pages behave.

use super::setting::{Section, Setting};
use super::source::Source;
use crate::domain::language::Language;
use crate::domain::settings::PageSettings;

static LANGUAGE: Setting<Language> = Setting::choice(
    "pages.language",
    &[
        (Language::En.tag(), Language::En),
        (Language::De.tag(), Language::De),
        (Language::Es.tag(), Language::Es),
    ],
    Language::En,
    "Language of pages and emails where neither `ui_locales` of the application nor `Accept-Language` of the browser names one of these, and of emails that no browser asked for.",
)
.changeable(|e| e.pages.language.tag().into());

static SUBMIT_ON_LAST_DIGIT: Setting<bool> = Setting::boolean(
    "pages.submit_on_last_digit",
    false,
    "Submit the code form with its last digit. Tests that type the code and then press Continue need it off.",
)
.changeable(|e| e.pages.submit_on_last_digit.into());

pub(super) static DEV_BAR: Setting<bool> = Setting::boolean(
    "dev_bar",
    true,
    "In development mode, show the code on the code page, with buttons to copy it and to fill it in. Only where the control API needs no token: a script reads it from the inbox, and the page itself does not hold it.",
)
.changeable(|e| e.pages.dev_bar.into());

pub(super) static ACCOUNT_PICKER: Setting<bool> = Setting::boolean(
    "account_picker",
    true,
    "In development mode, offer accounts beside the address form: one click continues as if the address had been typed, or signs in at once where the application has instant_sign_in. Only where the control API needs no token, and not in isolated environments.",
)
.changeable(|e| e.pages.account_picker.into());

pub(super) fn section() -> Section {
    Section {
        table: "pages",
        is_list: false,
        about: "How the sign-in pages behave.",
        settings: vec![LANGUAGE.facts(), SUBMIT_ON_LAST_DIGIT.facts()],
    }
}

pub(super) fn read(source: &mut Source) -> PageSettings {
    PageSettings {
        language: source.choice(&LANGUAGE),
        submit_on_last_digit: source.boolean(&SUBMIT_ON_LAST_DIGIT),
        dev_bar: source.boolean(&DEV_BAR),
        account_picker: source.boolean(&ACCOUNT_PICKER),
    }
}
