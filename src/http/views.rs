//! The frame around every page, and the pages that all edges share.

use askama::Template;

use super::texts;
use crate::domain::language::Language;
use crate::domain::settings::{Branding, Theme};
use crate::locales::{self, PageTexts};

/// The frame around every page.
#[derive(Debug, Clone)]
pub struct Layout {
    pub title: String,
    /// Language tag of the page.
    pub language: &'static str,
    pub texts: &'static PageTexts,
    /// What stands before every path of ours: the environment's prefix.
    pub base: String,
    pub brand_name: String,
    pub has_logo: bool,
    pub support_email: Option<String>,
    pub terms_url: Option<String>,
    pub privacy_url: Option<String>,
    /// CSS colour of the brand.
    pub accent_color: String,
    /// `auto`, `light` or `dark`.
    pub theme: &'static str,
    /// Query of the brand's files, where they are those of one application: `?client_id=skc_1`.
    pub brand_query: String,
    /// A quiet line that says this is no place for real users.
    pub notice: Option<String>,
    /// Say that this is a demonstration.
    pub demo: bool,
    /// A page of the dashboard, with its navigation.
    pub navigation: Option<Navigation>,
}

impl Layout {
    /// A frame in this branding and language, and nothing else yet. `base` is the environment's prefix.
    pub fn new(branding: &Branding, language: Language, base: &str, title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            language: language.tag(),
            texts: &locales::texts(language).pages,
            base: base.to_owned(),
            brand_name: branding.name.clone(),
            has_logo: branding.logo.is_some(),
            support_email: branding.support_email.clone(),
            terms_url: branding.terms_url.clone(),
            privacy_url: branding.privacy_url.clone(),
            accent_color: branding.accent_color.clone(),
            theme: branding.theme.as_str(),
            brand_query: String::new(),
            notice: None,
            demo: false,
            navigation: None,
        }
    }

    /// What browsers prepare themselves for.
    pub fn color_scheme(&self) -> &'static str {
        if self.theme == Theme::Auto.as_str() { "light dark" } else { self.theme }
    }

    /// Does the title say already whose page it is?
    pub fn title_has_brand(&self) -> bool {
        self.title.contains(&self.brand_name)
    }
}

/// The way back to an application.
#[derive(Debug, Clone)]
pub struct ReturnLink {
    /// "Return to Acme", in the language of the page.
    pub text: String,
    pub url: String,
}

/// Where in the dashboard a page is, and what its frame says.
#[derive(Debug, Clone)]
pub struct Navigation {
    /// Path of the current entry.
    pub current: &'static str,
    /// `None`: the default environment.
    pub environment: Option<String>,
    pub groups: &'static [NavigationGroup],
    /// Environments to switch to.
    pub environments: Vec<EnvironmentLink>,
    /// What is unusual.
    pub status: Vec<StatusEntry>,
    /// The time here, RFC 3339.
    pub now: String,
    /// The dashboard asks for a token, and forgets it on request.
    pub may_sign_out: bool,
    /// Mistakes of a configuration file that was saved while the server runs.
    pub problems: Vec<String>,
    /// Settings of it that need a restart, in a line.
    pub needs_restart: Option<String>,
}

/// Entries of the dashboard's sidebar under one name.
#[derive(Debug)]
pub struct NavigationGroup {
    pub name: &'static str,
    /// Paths and names.
    pub entries: &'static [(&'static str, &'static str)],
}

/// The dashboard of an environment.
#[derive(Debug, Clone)]
pub struct EnvironmentLink {
    /// `None`: the default environment.
    pub name: Option<String>,
    pub href: String,
    pub is_current: bool,
}

/// Something unusual, with the button that undoes it.
#[derive(Debug, Clone)]
pub struct StatusEntry {
    /// What the button names to the server.
    pub what: &'static str,
    pub text: String,
    /// Where to look at it.
    pub href: String,
    pub button: &'static str,
    pub is_wrong: bool,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
pub struct Error {
    pub layout: Layout,
    pub status: u16,
    pub heading: String,
    pub message: String,
    /// Names and values, as the request brought them.
    pub details: Vec<(String, String)>,
    /// Text of several lines, some of them to copy.
    pub how_to: Option<String>,
    pub remedy: Option<Remedy>,
}

/// A form that puts an error right.
#[derive(Debug, Clone)]
pub struct Remedy {
    pub action: String,
    pub parameters: Vec<(String, String)>,
    pub button: &'static str,
    /// The application's address that the browser may be sent on to.
    pub leads_to: String,
}

#[derive(Template)]
#[template(path = "pages/not_emulated.html")]
pub struct NotEmulated {
    pub layout: Layout,
    pub method: String,
    pub path: String,
    /// Where to read what is emulated.
    pub compatibility: String,
}
