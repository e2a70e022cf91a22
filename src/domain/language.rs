//! The languages of pages and emails, and how a user's is chosen.

use serde::{Deserialize, Serialize};

/// A language that every text is there in: `locales/{tag}.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    #[default]
    En,
    De,
    Es,
}

impl Language {
    pub const ALL: [Self; 3] = [Self::En, Self::De, Self::Es];

    /// Its language tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Es => "es",
        }
    }

    /// The language of a tag, whatever its region: `de-AT` is German.
    pub fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// The first that is there of `ui_locales`, which names them by preference (OpenID Connect Core 1.0 §3.1.2.1).
    pub fn of_ui_locales(locales: &str) -> Option<Self> {
        locales.split(' ').find_map(Self::of_tag)
    }

    /// The one with the highest weight in `Accept-Language` (RFC 9110 §12.5.4).
    pub fn of_accept_language(header: &str) -> Option<Self> {
        let mut chosen: Option<(f32, Self)> = None;
        for range in header.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let Some(language) = parts.next().and_then(Self::of_tag) else { continue };
            let weight = match parts.find_map(|part| part.strip_prefix("q=")) {
                Some(weight) => weight.parse().unwrap_or(0.0),
                None => 1.0,
            };
            let is_better = chosen.is_none_or(|(best, _)| weight > best);
            if weight > 0.0 && weight <= 1.0 && is_better {
                chosen = Some((weight, language));
            }
        }
        chosen.map(|(_, language)| language)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_and_case_do_not_matter() {
        for (tag, language) in [
            ("de", Some(Language::De)),
            ("de-AT", Some(Language::De)),
            ("ES_mx", Some(Language::Es)),
            ("en-US", Some(Language::En)),
            ("fr", None),
            ("deu", None),
            ("", None),
        ] {
            assert_eq!(Language::of_tag(tag), language, "{tag}");
        }
        for language in Language::ALL {
            assert_eq!(Language::of_tag(language.tag()), Some(language));
        }
    }

    #[test]
    fn the_first_of_the_applications_locales_that_is_there_is_chosen() {
        assert_eq!(Language::of_ui_locales("fr-CA es de"), Some(Language::Es));
        assert_eq!(Language::of_ui_locales("se fr"), None);
    }

    #[test]
    fn the_browsers_favourite_among_those_that_are_there_is_chosen() {
        for (header, language) in [
            ("de-DE,de;q=0.9,en;q=0.8", Some(Language::De)),
            ("fr, en;q=0.5, es;q=0.7", Some(Language::Es)),
            ("en;q=0.5,de;q=0.5", Some(Language::En)),
            ("de;q=0, en;q=0.1", Some(Language::En)),
            ("de;q=many", None),
            ("fr, *", None),
            ("", None),
        ] {
            assert_eq!(Language::of_accept_language(header), language, "{header}");
        }
    }
}
