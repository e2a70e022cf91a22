//! The frame around every page, and the pages that all edges share.

use askama::Template;

use super::texts;

/// The frame around every page.
#[derive(Debug, Clone)]
pub struct Layout {
    pub title: String,
    /// What stands before every path of ours: the environment's prefix.
    pub base: String,
    pub brand_name: String,
    pub has_logo: bool,
    pub support_email: Option<String>,
    /// A quiet line that says this is no place for real people.
    pub notice: Option<String>,
    /// Say that this is a demonstration.
    pub demo: bool,
    /// A page of the dashboard, with its navigation.
    pub navigation: Option<Navigation>,
}

/// Where in the dashboard a page is.
#[derive(Debug, Clone)]
pub struct Navigation {
    /// Address of the current entry.
    pub current: &'static str,
    /// `None`: the default environment.
    pub environment: Option<String>,
    /// Addresses and names.
    pub entries: &'static [(&'static str, &'static str)],
    /// Mistakes of a configuration file that was saved while the server runs.
    pub problems: Vec<String>,
    /// Settings of it that need a restart, in a line.
    pub needs_restart: Option<String>,
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
