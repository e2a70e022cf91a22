//! What users read on the sign-in pages and in emails, in every language: `locales/*.toml`, one file for each. A text that
//! only those see who build or run things (inbox, dashboard, how to register an address) is English.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::domain::language::Language;

/// All texts of one language.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    pub pages: PageTexts,
    pub email: EmailTexts,
}

/// Texts of the sign-in pages.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageTexts {
    pub title_sign_in: String,
    pub title_sign_up: String,
    pub title_code: String,
    pub title_check_email: String,
    pub title_link: String,
    pub title_wrong_browser: String,
    pub title_too_many: String,
    pub title_sign_in_expired: String,
    pub title_code_expired: String,
    pub title_link_expired: String,
    pub title_done: String,
    pub title_choose_account: String,
    pub title_choose_organization: String,
    pub title_sign_out: String,
    pub title_signed_out: String,
    pub title_join: String,
    pub title_invitation_expired: String,
    pub title_joined: String,
    pub title_denied: String,
    pub title_lost: String,
    pub continue_button: String,
    pub continue_to: String,
    pub continue_as: String,
    pub use_another: String,
    pub return_to: String,
    pub start_again: String,
    pub join_button: String,
    pub create_organization: String,
    pub accept_invitation: String,
    pub sign_out: String,
    pub email_label: String,
    pub sign_in_intro_code: String,
    pub sign_in_intro_link: String,
    pub sign_in_intro_both: String,
    pub sign_up_intro_code: String,
    pub sign_up_intro_link: String,
    pub sign_up_intro_both: String,
    pub new_here: String,
    pub create_account: String,
    pub have_account: String,
    pub sign_in: String,
    pub email_empty: String,
    pub email_too_long: String,
    pub email_invalid: String,
    pub code_label: String,
    pub code_sent_to: String,
    pub code_or_link: String,
    pub link_sent_to: String,
    pub link_open_here: String,
    pub continues_automatically: String,
    pub not_you: String,
    pub no_email: String,
    pub resend: String,
    pub resend_in: String,
    pub resend_code: String,
    pub resend_link: String,
    pub code_resent: String,
    pub link_resent: String,
    pub code_missing: String,
    pub resend_hint: String,
    pub wrong_code_one: String,
    pub wrong_code_other: String,
    pub too_many_codes: String,
    pub address_rate_limited: String,
    pub address_rate_limited_link: String,
    pub emails_to_address: String,
    pub emails_requested: String,
    pub try_again_one: String,
    pub try_again_other: String,
    pub expired_text: String,
    pub expired_hint: String,
    pub link_auto: String,
    pub link_click: String,
    pub wrong_browser_text: String,
    pub wrong_browser_hint: String,
    pub done_text: String,
    pub done_elsewhere: String,
    pub lost_text: String,
    pub signed_in_as: String,
    pub sign_out_everywhere: String,
    pub sign_out_asked_by: String,
    pub stay_signed_in: String,
    pub signed_out_text: String,
    pub invited_by: String,
    pub invited: String,
    pub invitation_expired_text: String,
    pub joined_text: String,
    pub need_help: String,
    pub terms: String,
    pub privacy: String,
    pub demo_banner: String,
    pub demo_code: String,
    pub demo_link: String,
    pub demo_open_link: String,
}

/// Texts of emails.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmailTexts {
    pub subject_code_sign_in: String,
    pub subject_code_sign_up: String,
    pub subject_invitation: String,
    pub heading_sign_in: String,
    pub heading_sign_up: String,
    pub heading_invitation: String,
    pub hello: String,
    pub hello_name: String,
    pub code_sign_in: String,
    pub code_sign_up: String,
    pub link_sign_in: String,
    pub link_sign_up: String,
    pub or_link: String,
    pub or_button: String,
    pub button_sign_in: String,
    pub button_sign_up: String,
    pub button_invitation: String,
    pub button_fails: String,
    pub to_accept: String,
    pub expires_code: String,
    pub expires_link: String,
    pub expires_both: String,
    pub reason_sign_in: String,
    pub reason_sign_up: String,
    pub reason_invitation: String,
    pub invited_by: String,
    pub invited: String,
    pub need_help: String,
    pub second_one: String,
    pub second_other: String,
    pub minute_one: String,
    pub minute_other: String,
    pub hour_one: String,
    pub hour_other: String,
    pub day_one: String,
    pub day_other: String,
    pub duration_and: String,
}

/// The texts of a language.
pub fn texts(language: Language) -> &'static Texts {
    static EN: LazyLock<Texts> = LazyLock::new(|| read(Language::En));
    static DE: LazyLock<Texts> = LazyLock::new(|| read(Language::De));
    static ES: LazyLock<Texts> = LazyLock::new(|| read(Language::Es));
    match language {
        Language::En => &EN,
        Language::De => &DE,
        Language::Es => &ES,
    }
}

/// The file of a language.
const fn file(language: Language) -> &'static str {
    match language {
        Language::En => include_str!("../locales/en.toml"),
        Language::De => include_str!("../locales/de.toml"),
        Language::Es => include_str!("../locales/es.toml"),
    }
}

fn read(language: Language) -> Texts {
    toml::from_str(file(language)).unwrap_or_else(|error| {
        // The tests read every file.
        tracing::error!(language = language.tag(), %error, "the texts cannot be read");
        Texts::default()
    })
}

/// A text with the words in its braces filled in. What is filled in is not read again.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        filled.push_str(&rest[..start]);
        let inner = &rest[start + 1..];
        let found = inner.find('}').and_then(|end| {
            let (_, value) = values.iter().find(|(name, _)| **name == inner[..end])?;
            Some((*value, &inner[end + 1..]))
        });
        rest = match found {
            Some((value, after)) => {
                filled.push_str(value);
                after
            }
            None => {
                filled.push('{');
                inner
            }
        };
    }
    filled.push_str(rest);
    filled
}

/// A text with a number, in its singular or its plural.
pub fn count(one: &str, other: &str, count: i64) -> String {
    if count == 1 { one.to_owned() } else { fill(other, &[("count", &count.to_string())]) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The words in braces, in the order of the alphabet.
    fn placeholders(text: &str) -> Vec<&str> {
        let mut names: Vec<&str> =
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        names.sort_unstable();
        names
    }

    fn tables(language: Language) -> BTreeMap<String, BTreeMap<String, String>> {
        toml::from_str(file(language)).unwrap()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_words_to_fill_in() {
        let english = tables(Language::En);
        for language in Language::ALL {
            toml::from_str::<Texts>(file(language)).unwrap_or_else(|e| panic!("{language:?}: {e}"));
            let tables = tables(language);
            for (table, texts) in &english {
                for (name, text) in texts {
                    let translated = &tables[table][name];
                    assert!(!translated.trim().is_empty(), "{language:?} {name}");
                    assert_eq!(placeholders(translated), placeholders(text), "{language:?} {name}");
                }
            }
        }
    }

    #[test]
    fn the_main_button_of_english_pages_is_the_one_that_published_tests_press() {
        assert_eq!(texts(Language::En).pages.continue_button, "Continue");
    }

    #[test]
    fn what_is_filled_in_is_not_read_again() {
        assert_eq!(fill("{a} and {b}{c", &[("a", "{b}"), ("b", "x")]), "{b} and x{c");
        assert_eq!(count("1 day", "{count} days", 1), "1 day");
        assert_eq!(count("1 day", "{count} days", 3), "3 days");
    }
}
